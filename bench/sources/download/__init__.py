"""Brings published files into a folder: each is there whole and checked, or not at all.

NAME               a file that was checked
NAME.part          what has come of it so far; the next start goes on from there
NAME.part.json     what the server said of it, to notice when it changes in between
downloads.json     what came when from where, with its hash: later downloads must give the same
.lock              held by the process that fetches
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
    """What is there of a file, without reading it.

    Attributes:
        name: The file's.
        kind: What it was held against when it came; ``part`` is a download that stopped.
        size: Bytes on disk.
    """

    name: str
    kind: Literal["published", "recorded", "unchecked", "part", "missing"]
    size: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file's bytes are now.

    Attributes:
        name: The file's.
        size: Bytes; None where it is missing.
        sha256: None where it is missing.
        against: What it was held against; ``nothing`` has neither a published nor a recorded hash.
        fault: What differs; None where nothing does.
    """

    name: str
    size: int | None
    sha256: str | None
    against: Literal["published", "recorded", "nothing", "missing"]
    fault: str | None

    @property
    def ok(self) -> bool:
        """Whether the file is there and differs in nothing."""
        return self.fault is None


def fetch_all(
    files: Sequence[RemoteFile],
    folder: Path,
    console: Console = SILENT,
    *,
    mirror: str | None = None,
    source: Path | None = None,
) -> None:
    """Bring every file into the folder that is not there yet.

    A file that is there is never overwritten: one that nobody recorded is hashed, and held against
    what is published, or recorded.

    Args:
        files: What belongs into the folder.
        folder: Made where it is missing.
        console: Where people watch.
        mirror: A URL; files come from ``<mirror>/<name>`` instead.
        source: A folder with files downloaded before; they are copied and nothing is downloaded.

    Raises:
        BenchError: A file cannot be had, is not what it should be, or cannot be written.
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
    """Read every file and hold it against what is published, or else recorded.

    Raises:
        BenchError: The folder's records are damaged, or a file cannot be read.
    """
    records = Records(folder)
    try:
        return [_checked(file, records) for file in files]
    except OSError as error:
        raise BenchError(f"cannot read {error.filename}: {error.strerror}.") from None


def state(files: Sequence[RemoteFile], folder: Path) -> list[State]:
    """Tell what is there, reading none of it.

    Raises:
        BenchError: The folder's records are damaged.
    """
    records = Records(folder)
    return [_state(file, records) for file in files]


@contextmanager
def _locked(folder: Path, console: Console) -> Iterator[None]:
    """Hold the folder; a process that was killed holds nothing."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        console.say(f"Another process fetches into {folder}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_there(file: RemoteFile, records: Records) -> bool:
    """Tell whether a file is there; check and record one that nobody has recorded."""
    path = records.path(file)
    if not path.is_file() or records.fit(file):
        return path.is_file()
    size, sha256 = measure(path)
    if wrong := records.misfit(file, size, sha256):
        raise BenchError(f"{path} is there, but {wrong}. Move it away and run the command again.")
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
    if lacking := [file.name for file, path in found if not path.is_file()]:
        raise BenchError(
            f"{argument('source')} {source} lacks {', '.join(lacking)}. "
            "Without it they are fetched."
        )
    for file, path in found:
        part = Part(file, records)
        part.discard()
        shutil.copyfile(path, part.path)
        if wrong := part.settle(Origin(url=path.absolute().as_uri())):
            raise BenchError(
                f"{path} is not the file: {wrong}. Without {argument('source')} it is fetched."
            )
        console.say(_done(file, records))


def _locate(file: RemoteFile, files: Sequence[RemoteFile], source: Path) -> Path:
    """Find a file by its name, or by its base name where no other file has the same."""
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
