"""Records of a folder's checked files, and files whose download is not complete."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from bench.atomic import write_json
from bench.cards import RemoteFile
from bench.errors import BenchError

RECORDS = "downloads.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """A server's description of a file.

    Attributes:
        url: Address of the request; None if unknown.
        etag: Value of the header ETag.
        last_modified: Value of the header Last-Modified.
    """

    url: str | None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def validator(self) -> str | None:
        """Value for If-Range, so that the server continues only an unchanged file.

        A weak ETag does not promise equal bytes, so the modification time is used instead.
        """
        weak = self.etag is None or self.etag.startswith("W/")
        return self.last_modified if weak else self.etag


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRecord:
    """Record of a checked file: an entry of downloads.json.

    Attributes:
        url: Address of the request; see :class:`Origin`.
        size: Size in bytes.
        sha256: Hash in lower-case hexadecimal digits.
        kind: Origin of the hash: published, or recorded at the first download.
        etag: Value of the header ETag.
        last_modified: Value of the header Last-Modified.
        time: Time of the download in UTC (ISO 8601).
    """

    url: str | None
    size: int
    sha256: str
    kind: Literal["published", "recorded"]
    etag: str | None
    last_modified: str | None
    time: str


class Records:
    """Records of a folder, stored in downloads.json.

    Args:
        folder: Folder of the files; it may be missing.

    Raises:
        BenchError: The file downloads.json cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / RECORDS
        try:
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else "{}"
            self._records = {
                name: FileRecord(**fields) for name, fields in json.loads(text).items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            raise BenchError(
                f"{self._path} cannot be read. Remove it: the files are then hashed anew."
            ) from None

    def path(self, file: RemoteFile) -> Path:
        """Return the final path of a file."""
        return self.folder / file.name

    def get(self, file: RemoteFile) -> FileRecord | None:
        """Return a file's record, unless another hash has been published since."""
        record = self._records.get(file.name)
        return record if record and file.sha256 in (None, record.sha256) else None

    def fit(self, file: RemoteFile) -> bool:
        """Return whether a file exists with the size in its record."""
        path, record = self.path(file), self.get(file)
        return (
            record is not None
            and path.is_file()
            and path.stat().st_size == record.size
            and file.size in (None, record.size)
        )

    def against(self, file: RemoteFile) -> Literal["published", "recorded", "nothing"]:
        """Return the origin of the hash with which a file is checked."""
        if file.sha256 is not None:
            return "published"
        return "nothing" if self.get(file) is None else "recorded"

    def misfit(self, file: RemoteFile, size: int, sha256: str | None = None) -> str | None:
        """Return how a file's size or hash differs from the published or recorded one, or None."""
        record = self.get(file)
        wanted_size = file.size if file.size is not None else record and record.size
        if wanted_size not in (None, size):
            kind = "published" if file.size is not None else "recorded at the first download"
            return f"its size is {size:,} bytes, {kind} is {wanted_size:,}"
        wanted = file.sha256 or (record and record.sha256)
        if None not in (wanted, sha256) and wanted != sha256:
            kind = "published" if file.sha256 else "recorded at the first download"
            return f"its sha256 is {str(sha256)[:12]}…, {kind} is {str(wanted)[:12]}…"
        return None

    def add(self, file: RemoteFile, size: int, sha256: str, origin: Origin) -> None:
        """Write the record of a checked file."""
        self._records[file.name] = FileRecord(
            **asdict(origin),
            size=size,
            sha256=sha256,
            kind="recorded" if file.sha256 is None else "published",
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_json(self._path, {name: asdict(record) for name, record in self._records.items()})


class Part:
    """The downloaded part of a file, with the server's description in a second file.

    Args:
        file: File to download.
        records: Records of the folder.
    """

    def __init__(self, file: RemoteFile, records: Records) -> None:
        self.file, self._records = file, records
        self._final = records.path(file)
        self.path = part_path(self._final)
        self._note = self.path.with_name(f"{self.path.name}.json")
        self._final.parent.mkdir(parents=True, exist_ok=True)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def origin(self) -> Origin | None:
        """The server's description of the file at the start of the download."""
        try:
            return Origin(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None  # without a description the part is not continued

    @origin.setter
    def origin(self, origin: Origin) -> None:
        write_json(self._note, asdict(origin))

    @property
    def known(self) -> bool:
        """Whether a hash of the file is known, which detects a part continued with other bytes."""
        return self._records.against(self.file) != "nothing"

    def misfit(self, size: int) -> str | None:
        """Return how this size differs from the expected size, or None."""
        return self._records.misfit(self.file, size)

    def discard(self) -> None:
        """Remove the part, then its description; a description without a part is harmless."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def settle(self, origin: Origin) -> str | None:
        """Check the file: rename it if it is right, else remove it and return the difference."""
        size, sha256 = measure(self.path)
        if wrong := self._records.misfit(self.file, size, sha256):
            self.discard()
            return wrong
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self._final)
        self._note.unlink(missing_ok=True)
        self._records.add(self.file, size, sha256, origin)
        return None


def part_path(path: Path) -> Path:
    """Return the path of the incomplete download of ``path``."""
    return path.with_name(f"{path.name}.part")


def measure(path: Path) -> tuple[int, str]:
    """Return a file's size (bytes) and its sha256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
