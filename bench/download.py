"""Brings published files into a folder: each is there whole and checked, or not at all.

NAME               a file that was checked
NAME.part          what has come of it so far; the next start goes on from there
NAME.part.json     what the server said of it, to notice when it changes in between
downloads.json     what came when from where, with its hash: later downloads must give the same
.lock              held by the process that fetches
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from bench.errors import BenchError
from bench.results import write_json

if TYPE_CHECKING:
    import requests
    from rich.progress import Progress

    from bench.report import Screen

CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0
TRIES = 5  # in a row that bring nothing new
BACKOFF_SECONDS = 2.0  # before the second of them; doubles
LONGEST_WAIT = 120.0  # whatever the server asks for
PLAIN_SECONDS = 10.0  # between two lines where there is no terminal to redraw
RECORDS, LOCK = "downloads.json", ".lock"

_BLOCK = 1 << 20
_REDIRECTS = 10
_PASSING = {429, 500, 502, 503, 504}
_AGAIN = "Run the command again: it goes on where it stopped."
_ELSEWHERE = "Try another source by --mirror URL, or --from DIR with files you have."


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: Path inside the task's folder, such as ``test_subset_ids/yeast_seqs.csv``.
        url: Where it is published.
        size: Bytes, where published.
        sha256: Lower-case hexadecimal, where published.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if not path.name or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"a file's name is a path inside the folder; got {self.name!r}")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"{self.name}: no lower-case sha256: {self.sha256!r}")


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
    screen: Screen,
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
        screen: Where people watch.
        mirror: A URL; files come from ``<mirror>/<name>`` instead.
        source: A folder with files downloaded before; they are copied and nothing is downloaded.

    Raises:
        BenchError: A file cannot be had, is not what it should be, or cannot be written.
    """
    records = _Records(folder)
    if all(records.fit(file) for file in files):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, screen):
            records = _Records(folder)  # another process may have written them just now
            missing = [file for file in files if not _is_there(file, records)]
            if source is not None:
                _copy(missing, files, source, records, screen)
            elif missing:
                _download(missing, mirror, records, screen)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise BenchError(
            f"cannot put files into {folder}: {error.strerror or error}{where}. "
            "Make room or get access there, or name another folder by BENCH_CACHE. "
            + _AGAIN.replace("Run", "Then run")
        ) from None


def verify(files: Sequence[RemoteFile], folder: Path) -> list[Checked]:
    """Read every file and hold it against what is published, or else recorded.

    Raises:
        BenchError: The folder's records are damaged, or a file cannot be read.
    """
    records = _Records(folder)
    try:
        return [_checked(file, records) for file in files]
    except OSError as error:
        raise BenchError(f"cannot read {error.filename}: {error.strerror}.") from None


def state(files: Sequence[RemoteFile], folder: Path) -> list[State]:
    """Tell what is there, reading none of it.

    Raises:
        BenchError: The folder's records are damaged.
    """
    records = _Records(folder)
    return [_state(file, records) for file in files]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Origin:
    """What a server said of a file."""

    url: str | None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def validator(self) -> str | None:
        """What makes a server continue only this very file; a weak tag does not promise bytes."""
        weak = self.etag is None or self.etag.startswith("W/")
        return self.last_modified if weak else self.etag


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """What came, when and from where."""

    url: str | None
    size: int
    sha256: str
    kind: Literal["published", "recorded"]
    etag: str | None
    last_modified: str | None
    time: str


class _Records:
    """A folder's downloads.json."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / RECORDS
        try:
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else "{}"
            self._records = {name: _Record(**fields) for name, fields in json.loads(text).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            raise BenchError(
                f"{self._path} cannot be read. Remove it: the files are then hashed anew."
            ) from None

    def get(self, file: RemoteFile) -> _Record | None:
        """Return a file's record, unless another hash has been published since."""
        record = self._records.get(file.name)
        return record if record and file.sha256 in (None, record.sha256) else None

    def fit(self, file: RemoteFile) -> bool:
        """Tell whether a file is there and was recorded, by its size."""
        path, record = self.folder / file.name, self.get(file)
        return (
            record is not None
            and path.is_file()
            and path.stat().st_size == record.size
            and file.size in (None, record.size)
        )

    def add(self, file: RemoteFile, size: int, sha256: str, origin: _Origin) -> None:
        """Record a file that was checked."""
        self._records[file.name] = _Record(
            **asdict(origin),
            size=size,
            sha256=sha256,
            kind="recorded" if file.sha256 is None else "published",
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_json(self._path, {name: asdict(record) for name, record in self._records.items()})


class _Part:
    """A file on its way, and beside it what the server said of it."""

    def __init__(self, file: RemoteFile, records: _Records) -> None:
        self.file, self._records, self._final = file, records, records.folder / file.name
        self.path = self._final.with_name(self._final.name + ".part")
        self._note = self._final.with_name(self._final.name + ".part.json")
        self._final.parent.mkdir(parents=True, exist_ok=True)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def origin(self) -> _Origin | None:
        """What the server said when the part was begun."""
        try:
            return _Origin(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None  # then nothing is continued on its word

    @origin.setter
    def origin(self, origin: _Origin) -> None:
        write_json(self._note, asdict(origin))

    @property
    def known(self) -> bool:
        """Whether a hash will tell if the part was continued with another file's bytes."""
        return self.file.sha256 is not None or self._records.get(self.file) is not None

    def misfit(self, size: int, sha256: str | None = None) -> str | None:
        """Say how a file of this size and hash is not the one that should come."""
        return _difference(self.file, self._records.get(self.file), size, sha256)

    def discard(self) -> None:
        """Remove it; the part first, for a part without a note is harmless."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def settle(self, origin: _Origin) -> str | None:
        """Give the file its name if it is what it should be; else remove it and say why."""
        size, sha256 = _measure(self.path)
        if wrong := self.misfit(size, sha256):
            self.discard()
            return wrong
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self._final)
        self._note.unlink(missing_ok=True)
        self._records.add(self.file, size, sha256, origin)
        return None


class _PassingError(Exception):
    """A request failed that may do better in a while.

    Args:
        reason: In the middle of a sentence.
        wait: Seconds the server asks for.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Download:
    """One file's way here, over as many requests as it takes."""

    def __init__(self, part: _Part, url: str, session: requests.Session, meter: _Meter) -> None:
        self._part, self._url, self._session, self._meter = part, url, session, meter

    def run(self) -> None:
        """Bring the file; once more from the beginning if what came is wrong."""
        for last in (False, True):
            self._complete()
            wrong = self._part.settle(self._part.origin or _Origin(url=self._url))
            if wrong is None:
                return
            if last:
                raise self._error(f"{wrong}; removed it", _ELSEWHERE)
            self._meter.say(f"{wrong}; once more from the beginning")

    def _complete(self) -> None:
        """Bring the part to its full length."""
        fruitless, furthest = 0, self._part.size
        while True:
            try:
                self._request()
                return
            except _PassingError as error:
                have = self._part.size
                # The furthest point ever, or a server that always breaks off there is asked forever
                fruitless = 0 if have > furthest else fruitless + 1
                furthest = max(have, furthest)
                if fruitless == TRIES:
                    raise self._error(f"{error}, {TRIES} times", f"{_AGAIN} {_ELSEWHERE}") from None
                wait = BACKOFF_SECONDS * 2 ** max(fruitless - 1, 0) * random.uniform(0.75, 1.25)
                wait = min(max(wait, error.wait), LONGEST_WAIT)
                self._meter.say(f"{error}; trying again in {wait:.0f} s")
                time.sleep(wait)

    def _request(self) -> None:
        import requests
        import urllib3

        have, ranged = self._continuation()
        if have and have == self._part.file.size:
            return
        try:
            with self._session.get(
                self._url,
                headers={"Accept-Encoding": "identity", **ranged},
                stream=True,
                timeout=(CONNECT_SECONDS, STALL_SECONDS),
            ) as response:
                self._take(response, have)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, requests.TooManyRedirects):
                raise self._error("redirected without end", _ELSEWHERE) from None
            if isinstance(error, ValueError):  # all that is wrong with a URL, or with a redirect's
                raise self._error("it is, or leads to, no web address", _ELSEWHERE) from None
            raise _PassingError(_reason(error)) from None

    def _continuation(self) -> tuple[int, dict[str, str]]:
        """Return how much of the part can be kept, and the headers that ask for the rest."""
        part, have = self._part, self._part.size
        origin = part.origin
        validator = origin.validator if origin and origin.url == self._url else None
        too_long = part.file.size is not None and have > part.file.size
        if not have or too_long or not (validator or part.known):
            return 0, {}
        condition = {"If-Range": validator} if validator else {}
        return have, {"Range": f"bytes={have}-", **condition}

    def _take(self, response: requests.Response, have: int) -> None:
        """Append what a server sends to the part, or begin it again."""
        code = response.status_code
        if code in _PASSING:
            raise _PassingError(f"the server answers {code}", _retry_after(response))
        if code not in (200, 206) and not (code == 416 and have):
            raise self._error(f"the server answers {code} {response.reason}", _ELSEWHERE)
        start, total = _span(response)
        if code != 200 and (start != have or self._changed(response)):
            self._part.discard()
            raise _PassingError("the server cannot go on where it stopped")
        if code == 416:  # and there is nothing after what is here
            return
        self._examine(response, total)
        total = self._part.file.size if total is None else total
        self._receive(response, start or 0, total)
        if total is not None and self._part.size < total:
            raise _PassingError("the file was cut short")

    def _changed(self, response: requests.Response) -> bool:
        """Tell whether a server continues another file than the part's, as some do."""
        before, now = self._part.origin, _origin(self._url, response)
        return (
            before is not None
            and before.url == self._url
            and None not in (before.validator, now.validator)
            and before.validator != now.validator
        )

    def _examine(self, response: requests.Response, total: int | None) -> None:
        """Refuse an answer that cannot be the file, before it is read."""
        file, headers = self._part.file, response.headers
        page = headers.get("Content-Type", "").lower().startswith("text/html")
        if page and not file.name.lower().endswith((".html", ".htm")):
            raise self._error("the server sends a web page, not the file", _ELSEWHERE)
        if (packed := headers.get("Content-Encoding", "identity")) != "identity":
            raise self._error(f"the server sends it packed ({packed}), unasked", _ELSEWHERE)
        if total is not None and (wrong := self._part.misfit(total)):
            raise self._error(f"{wrong}; not downloaded", _ELSEWHERE)
        whole = total is not None or "Transfer-Encoding" in headers
        if not whole and file.size is None and not self._part.known:
            raise self._error("the server does not say where the file ends", _ELSEWHERE)

    def _receive(self, response: requests.Response, start: int, total: int | None) -> None:
        with self._part.path.open("ab" if start else "wb") as out:
            if not start:  # after the old part is gone, so that none is ever taken for the new
                self._part.origin = _origin(self._url, response)
            self._meter.begin(start, total)
            have = start
            while block := response.raw.read1(_BLOCK, decode_content=False):
                out.write(block)
                have += len(block)
                self._meter.at(have)

    def _error(self, reason: str, advice: str) -> BenchError:
        return BenchError(f"{self._part.file.name}: {reason} ({self._url}). {advice}")


class _Meter:
    """Shows how far a file is; a context manager, so that the screen is left tidy."""

    def __init__(self, name: str, screen: Screen) -> None:
        self._name, self._screen = name, screen
        self._bar: Progress | None = None
        self._start = 0
        self._total: int | None = None
        self._began = self._spoken = time.monotonic()

    def __enter__(self) -> _Meter:
        if self._screen.terminal:
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.add_task(self._name, total=None)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Write a line about the file."""
        if self._bar is not None:
            self._bar.console.print(f"  {self._name}: {text}", highlight=False, markup=False)
        else:
            self._screen.say(f"  {self._name}: {text}")

    def begin(self, start: int, total: int | None) -> None:
        """Take note of where a request begins, which is not its speed."""
        self._start, self._total, self._began = start, total, time.monotonic()
        if self._bar is not None:
            self._bar.reset(self._bar.task_ids[0], total=total, completed=start)

    def at(self, have: int) -> None:
        """Show how many bytes are there."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=have)
        elif now - self._spoken >= PLAIN_SECONDS:
            speed = (have - self._start) / max(now - self._began, 1e-9)
            self.say(_progress(have, self._total, speed))
            self._spoken = now


@contextmanager
def _locked(folder: Path, screen: Screen) -> Iterator[None]:
    """Hold the folder; a process that was killed holds nothing."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        screen.say(f"Another process fetches into {folder}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_there(file: RemoteFile, records: _Records) -> bool:
    """Tell whether a file is there; check and record one that nobody has recorded."""
    path = records.folder / file.name
    if not path.is_file() or records.fit(file):
        return path.is_file()
    size, sha256 = _measure(path)
    if wrong := _difference(file, records.get(file), size, sha256):
        raise BenchError(f"{path} is there, but {wrong}. Move it away and run the command again.")
    records.add(file, size, sha256, _Origin(url=None))
    return True


def _copy(
    missing: Sequence[RemoteFile],
    files: Sequence[RemoteFile],
    source: Path,
    records: _Records,
    screen: Screen,
) -> None:
    found = [(file, _locate(file, files, source)) for file in missing]
    if lacking := [file.name for file, path in found if path is None]:
        raise BenchError(
            f"--from {source} lacks {', '.join(lacking)}. Without it they are fetched."
        )
    for file, path in found:
        assert path is not None
        part = _Part(file, records)
        part.discard()
        shutil.copyfile(path, part.path)
        if wrong := part.settle(_Origin(url=path.absolute().as_uri())):
            raise BenchError(f"{path} is not the file: {wrong}. Without --from it is fetched.")
        screen.say(_done(file, records))


def _locate(file: RemoteFile, files: Sequence[RemoteFile], source: Path) -> Path | None:
    """Find a file by its name, or by its base name where no other file has the same."""
    base = PurePosixPath(file.name).name
    alone = sum(PurePosixPath(other.name).name == base for other in files) == 1
    names = [file.name, base] if alone else [file.name]
    return next((source / name for name in names if (source / name).is_file()), None)


def _download(
    missing: Sequence[RemoteFile], mirror: str | None, records: _Records, screen: Screen
) -> None:
    import requests

    with requests.Session() as session:
        session.max_redirects = _REDIRECTS
        for file in missing:
            url = file.url if mirror is None else f"{mirror.rstrip('/')}/{quote(file.name)}"
            with _Meter(file.name, screen) as meter:
                _Download(_Part(file, records), url, session, meter).run()
            screen.say(_done(file, records))


def _done(file: RemoteFile, records: _Records) -> str:
    record = records.get(file)
    assert record is not None, file.name
    held = "as published" if file.sha256 else f"no hash is published; recorded in {RECORDS}"
    return f"  {file.name}: {record.size / 1e6:,.1f} MB, {held}"


def _checked(file: RemoteFile, records: _Records) -> Checked:
    path, record = records.folder / file.name, records.get(file)
    if not path.is_file():
        return Checked(file.name, None, None, "missing", "it is missing")
    size, sha256 = _measure(path)
    against: Literal["published", "recorded", "nothing"] = (
        "published" if file.sha256 is not None else "recorded" if record is not None else "nothing"
    )
    return Checked(file.name, size, sha256, against, _difference(file, record, size, sha256))


def _state(file: RemoteFile, records: _Records) -> State:
    path = records.folder / file.name
    part = path.with_name(path.name + ".part")
    if records.fit(file):
        kind: Literal["published", "recorded"] = "published" if file.sha256 else "recorded"
        return State(file.name, kind, path.stat().st_size)
    if path.is_file():
        return State(file.name, "unchecked", path.stat().st_size)
    if part.is_file():
        return State(file.name, "part", part.stat().st_size)
    return State(file.name, "missing", 0)


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _difference(
    file: RemoteFile, record: _Record | None, size: int, sha256: str | None
) -> str | None:
    """Say how a file is not as published, or else as recorded; without a hash, by its size."""
    wanted_size = file.size if file.size is not None else record and record.size
    if wanted_size not in (None, size):
        kind = "published" if file.size is not None else "recorded at the first download"
        return f"its size is {size:,} bytes, {kind} is {wanted_size:,}"
    wanted = file.sha256 or (record and record.sha256)
    if None not in (wanted, sha256) and wanted != sha256:
        kind = "published" if file.sha256 else "recorded at the first download"
        return f"its sha256 is {str(sha256)[:12]}…, {kind} is {str(wanted)[:12]}…"
    return None


def _origin(url: str, response: requests.Response) -> _Origin:
    etag, last_modified = (response.headers.get(name) for name in ("ETag", "Last-Modified"))
    return _Origin(url=url, etag=etag, last_modified=last_modified)


def _span(response: requests.Response) -> tuple[int | None, int | None]:
    """Return where an answer begins and how long the whole file is; None where untold.

    A 416 begins where the file ends.
    """
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    told = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "")
    )
    if told is None:
        return None, None
    total = None if told[2] == "*" else int(told[2])
    return total if told[1] is None else int(told[1]), total


def _retry_after(response: requests.Response) -> float:
    """Return the seconds a server asks to wait, given as such or as a date."""
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0


def _reason(error: Exception) -> str:
    """Say in a few words what happened to a connection."""
    import requests
    from urllib3 import exceptions as urllib3

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, requests.Timeout | urllib3.TimeoutError):
        return f"nothing came for {STALL_SECONDS:g} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy cannot be reached"
    if isinstance(error, requests.exceptions.SSLError | urllib3.SSLError):
        return "the connection is not secure"
    if isinstance(error, urllib3.HTTPError):
        return "the connection broke off"
    return "no connection"


def _progress(have: int, total: int | None, speed: float) -> str:
    """Return such as ``120/805 MB, 12.3 MB/s, 0:00:56 left``."""
    of = "" if total is None else f"/{total / 1e6:,.0f}"
    left = timedelta(seconds=round((total - have) / speed)) if total and speed else "unknown time"
    return f"{have / 1e6:,.0f}{of} MB, {speed / 1e6:.1f} MB/s, {left} left"
