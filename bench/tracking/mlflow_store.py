"""MLflow's store of all runs: its address, a client for it, and its web pages.

MLflow reads its settings (telemetry, log level, timeouts) from the environment. The command line
sets them, see :mod:`bench.cli.environment`; a program that imports this package has MLflow's own
defaults, or the values that it sets before MLflow is imported.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from bench.addresses import scrubbed, shown
from bench.children import run_module
from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.paths import tracking_database
from bench.tracking import sqlite_file

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_ADDRESS = "MLFLOW_TRACKING_URI"


def tracking_uri(home: Path) -> str:
    """Return the address of the store: MLFLOW_TRACKING_URI, else a SQLite file beside the runs.

    It may have a password: :func:`bench.addresses.shown` returns it without.
    """
    return os.environ.get(_ADDRESS) or f"sqlite:///{tracking_database(home)}"


def is_default() -> bool:
    """Return whether the store is the SQLite file beside the runs, which is ours alone."""
    return not os.environ.get(_ADDRESS)


def check_address(home: Path) -> None:
    """Check that the default store can be in a folder, before anything is written.

    MLflow and SQLAlchemy read the address of a SQLite file each in their own way: the one would
    open a file beside the folder, the other would make a folder of the encoded name.

    Raises:
        BenchError: The path of the folder has characters that they read differently.
    """
    if not is_default():
        return
    path = str(home)
    found = re.search(r"\?|%[0-9A-Fa-f]{2}|[\udc80-\udcff]", path)
    if found is not None:
        what = repr(found[0]) if found[0].isascii() else "a byte that is not UTF-8"
        raise BenchError(
            f"{argument('runs_dir')} {home}: MLflow cannot keep its store in a folder whose path "
            f"has {what}. Name another folder, or another store by {_ADDRESS}; or do not track."
        )


@contextmanager
def connected(home: Path, *, reading: bool = False) -> Iterator[tuple[MlflowClient, str]]:
    """Yield a client and the address of the store.

    A SQLite file is written by one process of this program at a time.

    Args:
        home: Folder of all runs, which holds the default store.
        reading: Whether the store is only read; then an empty one is not created.

    Raises:
        BenchError: The server cannot be reached or refuses, or there is no store to read.
    """
    _check_home_folder()
    import mlflow

    if reading:
        _check_store(home)
    else:
        check_address(home)
    uri = tracking_uri(home)
    with _reported(uri, "read" if reading else "written"):
        database = _database(home)
        if database is None:
            yield mlflow.MlflowClient(tracking_uri=uri), uri
            return
        with nullcontext() if reading else sqlite_file.locked(database):
            sqlite_file.require_whole(database, create=not reading, ours=is_default())
            client = mlflow.MlflowClient(tracking_uri=uri)
            sqlite_file.disconnect(client)  # others in this process may have an old file open
            try:
                yield client, uri
            finally:
                sqlite_file.disconnect(client)


def mended(home: Path) -> str | None:
    """Mend the default store; return a line that says what was done, or None.

    Raises:
        BenchError: The store cannot be mended.
    """
    if not is_default() or not tracking_database(home).exists():
        return None
    _check_home_folder()
    with _reported(tracking_uri(home), "mended"):
        return sqlite_file.mend(tracking_database(home))


def has_store(home: Path) -> bool:
    """Return whether there is a store to read: a file that exists, or the address of a server."""
    database = _database(home)
    return database is None or database.is_file()


def _database(home: Path) -> Path | None:
    """Return the path of a store that is a SQLite file; None for any other store."""
    if is_default():
        return tracking_database(home)
    uri = tracking_uri(home)
    if not uri.startswith("sqlite:"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database or ""
    return None if name.startswith((":", "file:")) or not name else Path(name).absolute()


@contextmanager
def _reported(uri: str, what: str) -> Iterator[None]:
    """Turn the errors of MLflow and of databases into one line without secrets."""
    from alembic.util.exc import CommandError
    from mlflow import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, CommandError, ImportError, OSError) as error:
        reason = scrubbed(" ".join(str(error).split()), uri)[:300]
        raise BenchError(f"MLflow at {shown(uri)} cannot be {what}: {reason}") from None


def _check_home_folder() -> None:
    """Raise an error where MLflow cannot be imported: it asks for the user's home folder."""
    try:
        Path.home()
    except RuntimeError:  # HOME is not set, and the user is not in the list of users
        raise BenchError("MLflow cannot be used: this user has no home folder. Set HOME.") from None


def _check_store(home: Path) -> None:
    """Raise an error if there is no store to read; MLflow would create an empty one."""
    if not has_store(home):
        raise BenchError(f"no runs are recorded in {home} yet. Try `bench demo`.")


def serve(home: Path, *, port: int, console: Console = SILENT) -> None:
    """Run MLflow's web server on the default store until the user stops it.

    Raises:
        BenchError: Runs are sent to another server, or the web server cannot start.
    """
    uri = tracking_uri(home)
    if not uri.startswith("sqlite:"):
        raise BenchError(f"runs are recorded at {shown(uri)}: open this address in a browser.")
    with connected(home, reading=True):  # MLflow would make tables in a file that is not whole
        pass
    # The server starts uvicorn, which would import files of the current folder, too.
    nowhere = shlex.join(["--app-dir", sys.prefix])
    words = ["server", "--backend-store-uri", uri]
    words += ["--host", "127.0.0.1", "--port", str(port), "--uvicorn-opts", nowhere]
    console.say(f"MLflow's pages: http://127.0.0.1:{port} (Ctrl-C stops the server)")
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    status = run_module("mlflow", *words, environment=environment)
    if status > 0:
        raise BenchError(
            f"MLflow ended with status {status}. Is port {port} taken? Try {argument('port')}."
        )
