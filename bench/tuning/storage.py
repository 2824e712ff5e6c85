"""The storage of a study, a journal file or a database, and waiting while it cannot be reached.

A worker must survive a storage that cannot be reached for a while, and another worker that dies in
the middle of a write. Every call is repeated until it succeeds. A call may therefore take effect
twice, which is why nothing in :mod:`bench.tuning.slots` counts calls.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from optuna import storages
from optuna.exceptions import StorageInternalError
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock, JournalStorage
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    ProgrammingError,
    SQLAlchemyError,
)

from bench.addresses import scrubbed, shown
from bench.console import SILENT, Console
from bench.errors import BenchError, argument, first_line
from bench.extras import needed

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

T = TypeVar("T")

_LONGEST_WAIT = 3600.0  # seconds: a database is restarted in minutes
_PAUSE = 1.0  # seconds between two attempts
_ATTEMPTS = 5


def open_storage(place: str, *, create: bool, wait: bool, console: Console = SILENT) -> BaseStorage:
    """Return the storage in a journal file, given by its path, or in a database, given by its URL.

    Args:
        place: Path of a journal or URL of a database, as given to ``--storage``.
        create: Whether to make a journal that does not exist yet.
        wait: Whether to wait for a storage that cannot be reached; it existed a moment ago.
        console: Console for warnings that the storage cannot be reached, now or later.

    Raises:
        BenchError: The storage cannot be opened.
    """

    def opened() -> BaseStorage:
        return _database(place) if "://" in place else _journal(Path(place), create=create)

    try:
        storage = _call_when_reached(opened, place, console) if wait else opened()
        return cast("BaseStorage", WaitingStorage(storage, place, console))
    except ImportError as error:
        raise BenchError(
            f"{argument('storage')} {shown(place)}: {_first(error, place)}. "
            "For PostgreSQL: pip install 'dream-bench[postgresql]'."
        ) from None
    except (SQLAlchemyError, StorageInternalError, OSError, ValueError, KeyError) as error:
        raise BenchError(
            f"{argument('storage')} {shown(place)} cannot be opened: {_first(error, place)}"
        ) from None


def _journal(path: Path, *, create: bool) -> BaseStorage:
    if path.exists() and not path.is_file():  # opening a named pipe would wait for its writer
        raise ValueError(f"{path} is not a file")
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.is_file():  # Optuna would create it
        raise FileNotFoundError(f"{path}: no such file")
    if path.is_file():
        with path.open("rb") as file:
            first = file.readline()
        if first and not first.startswith(b'{"op_code":'):  # a file that Optuna did not write
            raise ValueError(f"{path} is not a journal of studies")
    return _CheckedStorage(Journal(path))


def _database(url: str) -> BaseStorage:
    if url.startswith(("postgresql:", "postgresql+psycopg:")):
        needed("psycopg", extra="postgresql", what="a study in PostgreSQL")
    for _ in range(_ATTEMPTS):
        try:
            # A connection that broke while it was idle is replaced before it is used.
            database = storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
            return storages.get_storage(database)  # adds a cache of finished trials
        except (IntegrityError, ProgrammingError):  # two workers create the tables at the same time
            time.sleep(_PAUSE)
    raise BenchError(
        f"{argument('storage')} {shown(url)}: its tables cannot be created. "
        "Does the account have the rights?"
    )


def _call_when_reached(call: Callable[[], T], place: str, console: Console) -> T:
    """Call a function, again and again while its error says that the storage cannot be reached."""
    lost_since = None
    while True:
        try:
            value = call()
        except Exception as error:
            if not _cannot_be_reached(error):
                raise
            if lost_since is None:
                lost_since = time.monotonic()
                console.warn(f"{shown(place)} cannot be reached ({_first(error, place)}); waiting")
            if time.monotonic() - lost_since > _LONGEST_WAIT:
                raise BenchError(
                    f"{shown(place)} could not be reached for an hour: {_first(error, place)}"
                ) from None
            time.sleep(_PAUSE)
        else:
            if lost_since is not None:
                seconds = time.monotonic() - lost_since
                console.warn(f"{shown(place)} can be reached again after {seconds:.0f} s")
            return value


class WaitingStorage:
    """A storage whose every call waits while the storage cannot be reached.

    Args:
        storage: Optuna's storage.
        place: Path or URL of the storage, for messages.
        console: Console for warnings that the storage cannot be reached.
    """

    def __init__(self, storage: BaseStorage, place: str, console: Console) -> None:
        self._storage, self._place, self._console = storage, place, console

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return _call_when_reached(
                lambda: found(*arguments, **options), self._place, self._console
            )

        return call


def _cannot_be_reached(error: BaseException) -> bool:
    """Return whether an error means that the storage cannot be reached."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, PendingRollbackError):
        # Optuna repeats a query that failed in another form, in the same lost transaction.
        cause = cause.__context__
    if isinstance(cause, DBAPIError) and cause.connection_invalidated:
        return True
    return isinstance(cause, OSError | OperationalError | InterfaceError)


def _first(error: BaseException, place: str) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    text = (str(cause).splitlines() or [type(cause).__name__])[0]
    return scrubbed(text, place)[:120]


class Journal(JournalFileBackend):
    """Optuna's journal file, made safe against writers that die and folders that disappear.

    Optuna's own class appends to the half line that a dead writer left, after which the file can
    never be read again. It also starts a new file while the old one cannot be reached.
    """

    def __init__(self, path: Path) -> None:
        # An absolute path: the lock is a link to the file, and a relative link would be broken.
        self._path = path.absolute()
        super().__init__(str(self._path), JournalFileSymlinkLock(str(self._path)))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append whole lines to the file, in one write.

        Raises:
            OSError: They do not fit on the disk; the file is as before.
        """
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        self._lock.acquire()
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND)  # no O_CREAT: see above
            try:
                _cut_half_line(file)
                end = os.lseek(file, 0, os.SEEK_END)
                if os.write(file, text) < len(text):  # the disk became full on the way
                    os.ftruncate(file, end)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                os.fsync(file)
            finally:
                os.close(file)
        finally:
            self._release()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Return the lines after the first ``log_number_from``; all are read at once.

        Optuna's own method takes a last line that is damaged for one that is being written, and
        appends to it.

        Raises:
            BenchError: A line is damaged.
        """
        number, start = log_number_from, self._log_number_offset[log_number_from]
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(start)
            whole, newline, _ = file.read().rpartition(b"\n")  # a half line is still being written
        if size < start:
            raise BenchError(f"{self._path} is shorter than it was: something else wrote to it.")
        logs = []
        for line in whole.split(b"\n") if newline else []:
            number, start = number + 1, start + len(line) + 1
            try:
                logs.append(json.loads(line))
            except ValueError as error:  # no JSON, or no UTF-8
                raise damaged_line(self._path, number, error) from None
            self._log_number_offset[number] = start
        # Not a generator: one that failed half-way would leave the storage with half of the lines.
        return iter(logs)

    def _release(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:  # another worker took the lock by force, or the folder is missing
            return


class _CheckedStorage(JournalStorage):
    """Optuna's storage in a journal, which names the line that it cannot apply."""

    def _sync_with_backend(self) -> None:
        try:
            super()._sync_with_backend()
        except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
            assert isinstance(self._backend, Journal)
            number = self._replay_result.log_number_read
            raise damaged_line(self._backend._path, number, error) from None


def damaged_line(path: Path, number: int, error: Exception) -> BenchError:
    """Return the error of a journal with a damaged line, by its number from 1."""
    return BenchError(
        f"{argument('storage')} {path}: line {number} is damaged ({type(error).__name__}: "
        f"{first_line(error)}). Take a copy of the file from before, or begin a new study."
    )


def check_writable(place: str) -> None:
    """Check that a journal can be written, before waiting for it as for a server that is down.

    Raises:
        BenchError: The journal or its folder, where the lock is made, is read-only.
    """
    if "://" in place:
        return
    for path in (Path(place), Path(place).absolute().parent):
        if not os.access(path, os.W_OK):
            raise BenchError(f"{argument('storage')} {path} is read-only, so no trial can run.")


def _cut_half_line(file: int) -> None:
    """Remove the half line that a dead writer left at the end; no reader has used it."""
    size = end = os.lseek(file, 0, os.SEEK_END)
    while end and os.pread(file, 1, end - 1) != b"\n":
        end -= 1
    if end < size:
        os.ftruncate(file, end)
