"""Where a study is kept: a journal file, or a database, and how to wait for either.

A worker must survive a storage that goes away for a while, and a neighbour that dies in the middle
of a write. Every call is repeated until it goes through; that may do it twice, which is why nothing
in :mod:`bench.tuning.slots` counts calls.
"""

from __future__ import annotations

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
    ProgrammingError,
    SQLAlchemyError,
)

from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.extras import needed

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

T = TypeVar("T")

_PATIENCE = 3600.0  # seconds: a database is restarted in minutes
_PAUSE = 1.0  # seconds between two tries
_TRIES = 5


def open_storage(place: str, *, create: bool, wait: bool, console: Console = SILENT) -> BaseStorage:
    """Open a journal file, by its path, or a database, by its URL.

    Args:
        place: What ``--storage`` says.
        create: Make a journal that is not there yet.
        wait: It was there a moment ago: if it is away, it will be back.
        console: Where to tell when the storage is away, also later.

    Raises:
        BenchError: It cannot be opened.
    """

    def opened() -> BaseStorage:
        return _database(place) if "://" in place else _journal(Path(place), create=create)

    try:
        storage = _patiently(opened, place, console) if wait else opened()
        return cast("BaseStorage", Patient(storage, place, console))
    except ImportError as error:
        raise BenchError(
            f"{argument('storage')} {shown(place)}: {_first(error)}. "
            "For PostgreSQL: pip install 'dream-bench[postgresql]'."
        ) from None
    except (SQLAlchemyError, StorageInternalError, OSError, ValueError, KeyError) as error:
        raise BenchError(
            f"{argument('storage')} {shown(place)} cannot be opened: {_first(error)}"
        ) from None


def shown(place: str) -> str:
    """Return a storage's place without its password."""
    scheme, separator, rest = place.partition("://")
    account, at, server = rest.rpartition("@")
    return f"{scheme}://{account.partition(':')[0]}{at}{server}" if separator else place


def _journal(path: Path, *, create: bool) -> BaseStorage:
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.is_file():  # Optuna would make it
        raise FileNotFoundError(f"{path}: no such file")
    if path.is_file():
        with path.open("rb") as file:
            first = file.readline()
        if first and not first.startswith(b'{"op_code":'):  # somebody's own text
            raise ValueError(f"{path} is not a journal of studies")
    return JournalStorage(Journal(path))


def _database(url: str) -> BaseStorage:
    if url.startswith(("postgresql:", "postgresql+psycopg:")):
        needed("psycopg", extra="postgresql", what="a study in PostgreSQL")
    for _ in range(_TRIES):
        try:
            # A connection that broke while it was idle is replaced before it is used.
            database = storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
            return storages.get_storage(database)  # adds a cache of finished trials
        except (IntegrityError, ProgrammingError):  # two workers make its tables at once
            time.sleep(_PAUSE)
    raise BenchError(
        f"{argument('storage')} {shown(url)}: its tables cannot be made. Is the account allowed?"
    )


def _patiently(call: Callable[[], T], place: str, console: Console) -> T:
    """Call until the storage is there."""
    away_since = None
    while True:
        try:
            value = call()
        except Exception as error:
            if not _is_away(error):
                raise
            if away_since is None:
                away_since = time.monotonic()
                console.warn(f"{shown(place)} is away ({_first(error)}); waiting")
            if time.monotonic() - away_since > _PATIENCE:
                raise BenchError(f"{shown(place)} stayed away: {_first(error)}") from None
            time.sleep(_PAUSE)
        else:
            if away_since is not None:
                console.warn(f"{shown(place)} is back after {time.monotonic() - away_since:.0f} s")
            return value


class Patient:
    """A storage whose every call waits while the storage is away.

    Args:
        storage: The storage.
        place: What it is called in messages.
        console: Where to tell that it is away.
    """

    def __init__(self, storage: BaseStorage, place: str, console: Console) -> None:
        self._storage, self._place, self._console = storage, place, console

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return _patiently(lambda: found(*arguments, **options), self._place, self._console)

        return call


def _is_away(error: BaseException) -> bool:
    """Say whether an error comes from the way to a storage, and not from what was asked of it."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, DBAPIError) and cause.connection_invalidated:
        return True
    return isinstance(cause, OSError | OperationalError | InterfaceError)


def _first(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return (str(cause).splitlines() or [type(cause).__name__])[0][:120]


class Journal(JournalFileBackend):
    """Optuna's journal file, safe from writers that die and from a folder that goes away.

    Optuna's own appends to the half line a dead writer left, which makes the file unreadable for
    ever, and starts a new file where the old one is away for a moment.
    """

    def __init__(self, path: Path) -> None:
        # Absolute: the lock is a link to the file, and a relative one would lead nowhere.
        self._path = path.absolute()
        super().__init__(str(self._path), JournalFileSymlinkLock(str(self._path)))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write whole lines at the end, in one piece."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._lock.acquire()
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND)  # no O_CREAT: see above
            try:
                _cut_half_line(file)
                os.write(file, text.encode())
                os.fsync(file)
            finally:
                os.close(file)
        finally:
            self._release()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Read the lines after the first ``log_number_from``, all before the first is used."""
        # A generator that failed half-way would leave the storage with half of them applied.
        return iter(list(super().read_logs(log_number_from)))

    def _release(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:  # another took it by force, or the folder is away
            return


def _cut_half_line(file: int) -> None:
    """Remove what a writer that died left behind its last whole line; nobody was told of it."""
    size = end = os.lseek(file, 0, os.SEEK_END)
    while end and os.pread(file, 1, end - 1) != b"\n":
        end -= 1
    if end < size:
        os.ftruncate(file, end)
