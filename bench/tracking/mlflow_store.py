"""MLflow's store of all runs: where it is, how to open it, and its pages."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, argument

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # no word leaves the machine
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight idle processes fewer
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; the default waits 120, seven times
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}


def quiet_environment() -> None:
    """Set MLflow's switches, where the user has not; call it before MLflow is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def tracking_uri(home: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or a SQLite file beside the runs."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"


@contextmanager
def connected(home: Path, *, reading: bool = False) -> Iterator[tuple[MlflowClient, str]]:
    """Give a client and the store's address for the length of a block.

    Args:
        home: Folder of all runs, where the default store lies.
        reading: Do not make the default store where there is none.

    Raises:
        BenchError: The server cannot be reached, or refuses; or there is nothing to read.
    """
    quiet_environment()
    import mlflow
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    uri = tracking_uri(home)
    if reading:
        _check_store(uri, home)
    try:
        yield mlflow.MlflowClient(tracking_uri=uri), uri
    except (mlflow.MlflowException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        what = "read" if reading else "written"
        raise BenchError(f"MLflow at {uri} cannot be {what}: {reason}") from None


def _check_store(uri: str, home: Path) -> None:
    """Refuse to make an empty store just to read it."""
    if uri.startswith("sqlite:") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise BenchError(f"no runs are recorded in {home} yet. Try `bench demo`.")


def serve(home: Path, *, port: int) -> None:
    """Run MLflow's pages on the default store until they are stopped.

    Raises:
        BenchError: Runs go to a server of their own, or the pages cannot be served.
    """
    quiet_environment()
    uri = tracking_uri(home)
    if not uri.startswith("sqlite:"):
        raise BenchError(f"runs are recorded at {uri}: open that in a browser.")
    _check_store(uri, home)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    print(f"MLflow's pages: http://127.0.0.1:{port} (Ctrl-C ends them)", file=sys.stderr)
    status = subprocess.run(command, check=False).returncode
    if status > 0:
        raise BenchError(
            f"MLflow ended with status {status}. Is port {port} taken? Try {argument('port')}."
        )
