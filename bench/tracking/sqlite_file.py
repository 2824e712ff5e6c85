"""The SQLite file of an MLflow store: made whole or not at all, examined, and mended.

MLflow makes the tables in the file itself, by dozens of migrations, without a lock and without a
transaction. A process that dies in between, or a second one that begins meanwhile, leaves a file
that MLflow can never use again. Here the tables are made under another name, and the whole file is
renamed. A lock lets one process of this program write at a time.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError, first_line

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory
    from mlflow.tracking import MlflowClient

_PATIENCE = 300.0  # seconds for other processes, each of which sends one run
_BUSY = 20.0  # seconds that SQLite waits for another connection, as MLflow's own do
_SIDES = ("", "-journal", "-wal", "-shm")
_PASSING = {  # states of the disk or of another process, which say nothing about the file
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL),
    *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY),
    sqlite3.SQLITE_INTERRUPT,
}


@dataclass(frozen=True, slots=True)
class State:
    """The state of the file of a store.

    Attributes:
        kind: "missing" also stands for an empty file, "older" also for one half made.
        words: Reason, as part of a sentence.
    """

    kind: Literal["missing", "whole", "older", "newer", "broken"]
    words: str = ""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the lock of a store for the duration of a block.

    Raises:
        BenchError: The lock cannot be made, or another process holds it for minutes.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(database.with_name(f".{database.name}.lock"))
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise BenchError(
            f"another process has been writing to {database} for {_PATIENCE:.0f} s"
        ) from None
    except OSError as error:
        raise BenchError(f"{lock.lock_file} cannot be locked: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def require_whole(database: Path, *, create: bool, ours: bool) -> None:
    """Check that MLflow can use a store as it is.

    Args:
        database: Path of the store, which the caller has locked if it may be created.
        create: Whether to make a store that is missing.
        ours: Whether the store belongs to this program alone, which then may mend it.

    Raises:
        BenchError: The store has to be mended first.
    """
    state = examine(database)
    if state.kind == "missing" and create:
        _replace(database, _open_once)
    elif state.kind not in ("whole", "missing"):
        raise BenchError(
            f"MLflow's store {database} {state.words}. {_remedy(state, database, ours=ours)}"
        )


def mend(database: Path) -> str | None:
    """Make a store usable: complete its tables, or make a new one; the old file is kept.

    Returns:
        A line that says what was done; None if nothing was wrong.

    Raises:
        BenchError: A later MLflow made the store, or it cannot be read or written.
    """
    with locked(database):
        state = examine(database, thorough=True)
        if state.kind == "newer":
            remedy = _remedy(state, database, ours=True)
            raise BenchError(f"MLflow's store {database} {state.words}. {remedy}")
        if state.kind in ("whole", "missing"):
            return None
        if state.kind == "older" and (kept := _completed(database)) is not None:
            return (
                f"{database} {state.words}. Its tables are complete now; {kept.name} is as it was"
            )
        kept = _replace(database, _open_once)
        return f"{database} {state.words}. It is kept as {kept.name}, and a new one is made"


def examine(database: Path, *, thorough: bool = False) -> State:
    """Return the state of the file of a store, which is not changed.

    Args:
        database: Path of the file.
        thorough: Whether to read the whole file, and not only the version of its tables.

    Raises:
        BenchError: The file cannot be read at present.
    """
    if not database.exists() or (database.is_file() and not database.stat().st_size):
        return State("missing")
    try:
        address = f"{database.as_uri()}?mode=rw"  # never creates a file
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY)) as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'table'"
            tables = {name for (name,) in connection.execute(query)}
            if not tables:
                return State("missing")
            if "alembic_version" not in tables:
                return State("broken", "is half made, or not MLflow's")
            versions = [row[0] for row in connection.execute("SELECT * FROM alembic_version")]
            fault = "ok"
            if thorough:
                (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _PASSING and not database.is_dir():
            raise BenchError(f"{database} cannot be read: {first_line(error)}") from None
        return State("broken", f"is damaged ({first_line(error)})")
    if fault != "ok":
        return State("broken", f"is damaged ({fault.splitlines()[-1]})")
    return _by_version(versions)


def disconnect(client: MlflowClient) -> None:
    """Close a client's connections: MLflow keeps them, and the file may be replaced meanwhile."""
    engine = getattr(client._tracking_client.store, "engine", None)
    if engine is not None:
        engine.dispose()


def _by_version(versions: list[str]) -> State:
    if versions == [_migrations().get_current_head()]:
        return State("whole")
    known = {script.revision for script in _migrations().walk_revisions()}
    if known.issuperset(versions):
        return State("older", "is half made, or an earlier MLflow made it")
    return State("newer", f"is of a later MLflow, with tables of version {', '.join(versions)}")


@cache
def _migrations() -> ScriptDirectory:
    import mlflow
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))


def _remedy(state: State, database: Path, *, ours: bool) -> str:
    if state.kind == "newer":
        return "Upgrade MLflow: pip install -U mlflow."
    if ours:
        return "`bench sync` mends it."
    if state.kind == "older":
        return f"Keep a copy of it, then: mlflow db upgrade {shlex.quote(f'sqlite:///{database}')}"
    return "Move it away, then `bench sync` sends the runs to a new one."


def _replace(database: Path, fill: Callable[[Path], None]) -> Path:
    """Make a file under another name and rename it; return where the old file is kept."""
    folder = database.with_name(f".{database.name}.making")
    shutil.rmtree(folder, ignore_errors=True)  # of a process that died
    folder.mkdir()
    try:
        # A new name each time: MLflow remembers which addresses it has made tables at.
        fresh = folder / f"{secrets.token_hex(4)}.db"
        fill(fresh)
        _flush(fresh)
        kept = _set_aside(database)
        fresh.replace(database)
        _flush(database.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return kept


def _completed(database: Path) -> Path | None:
    """Complete the tables of a copy, which replaces the file; return where the old file is kept.

    None if MLflow cannot complete them; the file is then unchanged.
    """
    from alembic.util.exc import CommandError
    from mlflow import MlflowException
    from mlflow.store.db.utils import _upgrade_db
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    def fill(fresh: Path) -> None:
        with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(fresh)) as new:
            old.backup(new)
        engine = create_engine(f"sqlite:///{fresh}")
        try:
            _upgrade_db(engine)  # type: ignore[no-untyped-call]  # as `mlflow db upgrade`
        finally:
            engine.dispose()
        _open_once(fresh)
        if (state := examine(fresh, thorough=True)).kind != "whole":
            raise CommandError(state.words)

    try:
        return _replace(database, fill)
    except (SQLAlchemyError, MlflowException, CommandError, sqlite3.Error, KeyError):
        return None


def _open_once(database: Path) -> None:
    """Let MLflow make all tables and its first experiment."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}")
    client.search_experiments(max_results=1)
    disconnect(client)


def _flush(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_aside(database: Path) -> Path:
    """Rename a store's file and its journals, which SQLite would roll back into a new file."""
    now = datetime.now(UTC)
    kept = database.with_name(f"{database.name}.broken-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")
    for side in _SIDES:
        path = database.with_name(database.name + side)
        if path.exists():
            path.rename(kept.with_name(kept.name + side))
    return kept
