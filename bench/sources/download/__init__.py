"""Download of published files; a file appears in its folder complete and checked, or not at all.

NAME               a checked file
NAME.part          the downloaded part of a file; the next download continues it
NAME.part.json     the server's description of the file, to notice when the file changes
downloads.json     time, origin and hash of every download; later downloads must have equal hashes
.lock              lock of the process that downloads
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote

from bench.cards import RemoteFile
from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.sources.download import limits
from bench.sources.download.meter import Meter
from bench.sources.download.records import RECORDS, Origin, Part, Records, measure, part_path
from bench.sources.download.transfer import AGAIN, Download

__all__ = ["Checked", "RemoteFile", "State", "fetch_all", "state", "verify"]


@dataclass(frozen=True, slots=True)
class State:
    """State of a file on disk, found without reading it.

    Attributes:
        name: Name of the file.
        kind: Origin of the hash with which the file was checked; ``part`` for a stopped download.
        size: Bytes on disk.
    """

    name: str
    kind: Literal["published", "recorded", "unchecked", "part", "missing"]
    size: int


@dataclass(frozen=True, slots=True)
class Checked:
    """Check of a file's bytes against a known hash.

    Attributes:
        name: Name of the file.
        size: Size in bytes; None for a missing file.
        sha256: Hash of the file; None for a missing file.
        against: Origin of the known hash; ``nothing`` if there is no published or recorded hash.
        fault: Description of the difference; None if there is none.
    """

    name: str
    size: int | None
    sha256: str | None
    against: Literal["published", "recorded", "nothing", "missing"]
    fault: str | None

    @property
    def ok(self) -> bool:
        """Whether the file exists and has the expected size and hash."""
        return self.fault is None


def fetch_all(
    files: Sequence[RemoteFile],
    folder: Path,
    console: Console = SILENT,
    *,
    mirror: str | None = None,
    source: Path | None = None,
) -> None:
    """Download the files that are missing in a folder.

    An existing file is never overwritten. An existing file without a record is hashed, checked
    against the published hash if there is one, and recorded.

    Args:
        files: Files that belong into the folder.
        folder: Target folder, created if it is missing.
        console: Console for progress.
        mirror: URL of a mirror; files are downloaded from ``<mirror>/<name>`` instead.
        source: Folder with files downloaded before; they are copied, and nothing is downloaded.

    Raises:
        BenchError: A file cannot be downloaded, differs from the expected file, or cannot be
            written.
    """
    records = Records(folder)
    if all(records.fit(file) for file in files):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, console):
            records = Records(folder)  # another process may have written them just now
            missing = [file for file in files if not _is_there(file, records)]
            if source is not None:
                _copy(missing, files, source, records, console)
            elif missing:
                _download(missing, mirror, records, console)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise BenchError(
            f"cannot put files into {folder}: {error.strerror or error}{where}. "
            "Make room or get access there, or name another folder by BENCH_CACHE. "
            + AGAIN.replace("Run", "Then run")
        ) from None


def verify(files: Sequence[RemoteFile], folder: Path) -> list[Checked]:
    """Return the check of every file against its published hash, or else its recorded hash.

    Raises:
        BenchError: The folder's records are damaged, or a file cannot be read.
    """
    records = Records(folder)
    try:
        return [_checked(file, records) for file in files]
    except OSError as error:
        raise BenchError(f"cannot read {error.filename}: {error.strerror}.") from None


def state(files: Sequence[RemoteFile], folder: Path) -> list[State]:
    """Return the state of every file, without reading the files.

    Raises:
        BenchError: The folder's records are damaged.
    """
    records = Records(folder)
    return [_state(file, records) for file in files]


@contextmanager
def _locked(folder: Path, console: Console) -> Iterator[None]:
    """Lock the folder; the lock of a killed process is released by the system."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        console.say(f"Another process downloads to {folder}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_there(file: RemoteFile, records: Records) -> bool:
    """Return whether a file exists; an existing file without a record is checked and recorded."""
    path = records.path(file)
    if not path.is_file() or records.fit(file):
        return path.is_file()
    size, sha256 = measure(path)
    if wrong := records.misfit(file, size, sha256):
        raise BenchError(f"{path} exists, but {wrong}. Move it away and run the command again.")
    records.add(file, size, sha256, Origin(url=None))
    return True


def _copy(
    missing: Sequence[RemoteFile],
    files: Sequence[RemoteFile],
    source: Path,
    records: Records,
    console: Console,
) -> None:
    found = [(file, _locate(file, files, source)) for file in missing]
    if absent := [file.name for file, path in found if not path.is_file()]:
        raise BenchError(
            f"{argument('source')} {source} has no {', '.join(absent)}. "
            f"Without {argument('source')} the files are downloaded."
        )
    for file, path in found:
        part = Part(file, records)
        part.discard()
        shutil.copyfile(path, part.path)
        if wrong := part.settle(Origin(url=path.absolute().as_uri())):
            raise BenchError(
                f"{path} is not the expected file: {wrong}. "
                f"Without {argument('source')} the file is downloaded."
            )
        console.say(_done(file, records))


def _locate(file: RemoteFile, files: Sequence[RemoteFile], source: Path) -> Path:
    """Return the path of a file by its name, or by its base name if that is unique."""
    path, base = source / file.name, PurePosixPath(file.name).name
    alone = sum(PurePosixPath(other.name).name == base for other in files) == 1
    return source / base if alone and not path.is_file() else path


def _download(
    missing: Sequence[RemoteFile], mirror: str | None, records: Records, console: Console
) -> None:
    import requests

    with requests.Session() as session:
        session.max_redirects = limits.REDIRECTS
        for file in missing:
            url = file.url if mirror is None else f"{mirror.rstrip('/')}/{quote(file.name)}"
            with Meter(file.name, console) as meter:
                Download(Part(file, records), url, session, meter).run()
            console.say(_done(file, records))


def _done(file: RemoteFile, records: Records) -> str:
    size = records.path(file).stat().st_size
    held = "as published" if file.sha256 else f"no hash is published; recorded in {RECORDS}"
    return f"  {file.name}: {size / 1e6:,.1f} MB, {held}"


def _checked(file: RemoteFile, records: Records) -> Checked:
    path = records.path(file)
    if not path.is_file():
        return Checked(file.name, None, None, "missing", "it is missing")
    size, sha256 = measure(path)
    wrong = records.misfit(file, size, sha256)
    return Checked(file.name, size, sha256, records.against(file), wrong)


def _state(file: RemoteFile, records: Records) -> State:
    path = records.path(file)
    part = part_path(path)
    if records.fit(file):
        kind: Literal["published", "recorded"] = "published" if file.sha256 else "recorded"
        return State(file.name, kind, path.stat().st_size)
    if path.is_file():
        return State(file.name, "unchecked", path.stat().st_size)
    if part.is_file():
        return State(file.name, "part", part.stat().st_size)
    return State(file.name, "missing", 0)
