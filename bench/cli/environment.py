"""Settings of this process that libraries read when they are imported: made by the command line.

``bench`` as a library changes no environment variable, no filter of warnings and no log level.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_MLFLOW = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # no word leaves the machine
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight idle processes fewer
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; the default waits 120, seven times
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_LOGGING_LEVEL": "ERROR",  # of alembic's log, too
    "GIT_PYTHON_REFRESH": "quiet",
}


def set_environment() -> None:
    """Set variables that the user has not set; processes that are started inherit them."""
    for name, value in {**_MLFLOW, **_threads()}.items():
        os.environ.setdefault(name, value)
    # Gradients of channels-last convolutions are copied into buckets: nothing to do about it.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")


def _threads() -> dict[str, str]:
    """Return OpenMP's settings, read when torch is loaded."""
    cores = os.cpu_count() or 1
    found = {}
    if cores <= 4:
        # Threads that spin while they wait make a step ten times slower as soon as another program
        # wants one of few cores.
        found["OMP_WAIT_POLICY"] = "PASSIVE"
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by `bench run --devices`
    if ranks > 1:
        found["OMP_NUM_THREADS"] = str(max(cores // ranks, 1))
    return found


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python from searching MLflow's modules, and 100 objects a run, for cycles: 2/3 of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor again when there is more
        gc.enable()
