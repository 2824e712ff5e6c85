"""MLflow's store of all runs: its address, a client for it, and its web pages.

MLflow reads its settings (telemetry, log level, timeouts) from the environment. The command line
sets them, see :mod:`bench.cli.environment`; a program that imports this package has MLflow's own
defaults, or the values that it sets before MLflow is imported.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.children import python_command
from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.paths import tracking_database

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def tracking_uri(home: Path) -> str:
    """Return the address of the store: MLFLOW_TRACKING_URI, else a SQLite file beside the runs."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{tracking_database(home)}"


@contextmanager
def connected(home: Path, *, reading: bool = False) -> Iterator[tuple[MlflowClient, str]]:
    """Yield a client and the address of the store.

    Args:
        home: Folder of all runs, which holds the default store.
        reading: Whether the store is only read; then an empty one is not created.

    Raises:
        BenchError: The server cannot be reached or refuses, or there is no store to read.
    """
    import mlflow
    from sqlalchemy.exc import SQLAlchemyError

    uri = tracking_uri(home)
    if reading:
        _check_store(uri, home)
    try:
        yield mlflow.MlflowClient(tracking_uri=uri), uri
    except (mlflow.MlflowException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        what = "read" if reading else "written"
        raise BenchError(f"MLflow at {uri} cannot be {what}: {reason}") from None


def has_store(home: Path) -> bool:
    """Return whether there is a store to read: a file that exists, or the address of a server."""
    uri = tracking_uri(home)
    return not uri.startswith("sqlite:") or Path(uri.removeprefix("sqlite:///")).is_file()


def _check_store(uri: str, home: Path) -> None:
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
        raise BenchError(f"runs are recorded at {uri}: open this address in a browser.")
    _check_store(uri, home)
    # The server starts uvicorn, which would import files of the current folder, too.
    nowhere = shlex.join(["--app-dir", sys.prefix])
    command = python_command("-m", "mlflow", "server", "--backend-store-uri", uri)
    command += ["--host", "127.0.0.1", "--port", str(port), "--uvicorn-opts", nowhere]
    console.say(f"MLflow's pages: http://127.0.0.1:{port} (Ctrl-C stops the server)")
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    status = subprocess.run(command, env=environment, check=False).returncode
    if status > 0:
        raise BenchError(
            f"MLflow ended with status {status}. Is port {port} taken? Try {argument('port')}."
        )
