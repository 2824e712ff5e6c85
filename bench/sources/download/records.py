"""What is known of a folder's files: those that were checked, and those on their way."""

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
    """What a server said of a file.

    Attributes:
        url: Where the file was asked for; None where nobody recorded it.
        etag: The header of that name.
        last_modified: The header of that name.
    """

    url: str | None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def validator(self) -> str | None:
        """What makes a server continue only this very file; a weak tag does not promise bytes."""
        weak = self.etag is None or self.etag.startswith("W/")
        return self.last_modified if weak else self.etag


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What came, when and from where: a line of downloads.json.

    Attributes:
        url: See :class:`Origin`.
        size: Bytes.
        sha256: Lower-case hexadecimal.
        kind: Whether that hash was published, or only recorded.
        etag: See :class:`Origin`.
        last_modified: See :class:`Origin`.
        time: In UTC, by ISO 8601.
    """

    url: str | None
    size: int
    sha256: str
    kind: Literal["published", "recorded"]
    etag: str | None
    last_modified: str | None
    time: str


class Records:
    """A folder's downloads.json.

    Args:
        folder: It need not exist.

    Raises:
        BenchError: The file is there and cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / RECORDS
        try:
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else "{}"
            self._records = {name: Record(**fields) for name, fields in json.loads(text).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            raise BenchError(
                f"{self._path} cannot be read. Remove it: the files are then hashed anew."
            ) from None

    def path(self, file: RemoteFile) -> Path:
        """Return where a file belongs."""
        return self.folder / file.name

    def get(self, file: RemoteFile) -> Record | None:
        """Return a file's record, unless another hash has been published since."""
        record = self._records.get(file.name)
        return record if record and file.sha256 in (None, record.sha256) else None

    def fit(self, file: RemoteFile) -> bool:
        """Tell whether a file is there and was recorded, by its size."""
        path, record = self.path(file), self.get(file)
        return (
            record is not None
            and path.is_file()
            and path.stat().st_size == record.size
            and file.size in (None, record.size)
        )

    def against(self, file: RemoteFile) -> Literal["published", "recorded", "nothing"]:
        """Tell where the hash comes from that a file is held against."""
        if file.sha256 is not None:
            return "published"
        return "nothing" if self.get(file) is None else "recorded"

    def misfit(self, file: RemoteFile, size: int, sha256: str | None = None) -> str | None:
        """Say how a file is not as published, or else as recorded; without a hash, by its size."""
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
        """Record a file that was checked."""
        self._records[file.name] = Record(
            **asdict(origin),
            size=size,
            sha256=sha256,
            kind="recorded" if file.sha256 is None else "published",
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_json(self._path, {name: asdict(record) for name, record in self._records.items()})


class Part:
    """A file on its way, and beside it what the server said of it.

    Args:
        file: What shall come.
        records: What it is held against, and where it goes in the end.
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
        """What the server said when the part was begun."""
        try:
            return Origin(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None  # then nothing is continued on its word

    @origin.setter
    def origin(self, origin: Origin) -> None:
        write_json(self._note, asdict(origin))

    @property
    def known(self) -> bool:
        """Whether a hash will tell if the part was continued with another file's bytes."""
        return self._records.against(self.file) != "nothing"

    def misfit(self, size: int) -> str | None:
        """Say how a file of this size is not the one that should come."""
        return self._records.misfit(self.file, size)

    def discard(self) -> None:
        """Remove it; the part first, for a part without a note is harmless."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def settle(self, origin: Origin) -> str | None:
        """Give the file its name if it is what it should be; else remove it and say why."""
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
    """Return where a file is while it is on its way to ``path``."""
    return path.with_name(f"{path.name}.part")


def measure(path: Path) -> tuple[int, str]:
    """Return a file's bytes and its sha256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
