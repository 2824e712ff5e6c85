"""Settings of this process that other libraries read when they are imported.

Only the command line makes them: ``bench`` as a library changes no environment variable, no filter
of warnings and no log level.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import BenchError

_MLFLOW = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # no data leaves the machine
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight idle processes fewer
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; the default is 120, with seven retries
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_LOGGING_LEVEL": "ERROR",  # also for the log of alembic
    "GIT_PYTHON_REFRESH": "quiet",
}


_WHOLE_NUMBERS = ("LOCAL_WORLD_SIZE", "MASTER_PORT", "SOURCE_DATE_EPOCH")  # numpy reads the last


def check_surroundings() -> None:
    """Check what libraries rely on, and fail on, in words of their own.

    Raises:
        BenchError: The current folder is deleted, or a variable is not a whole number.
    """
    try:
        os.getcwd()
    except OSError:
        raise BenchError("the current folder does not exist any more. Go to another one.") from None
    for name in _WHOLE_NUMBERS:
        value = os.environ.get(name, "0")
        if not (value.isascii() and value.isdecimal()):
            raise BenchError(f"{name}={value} is not a whole number. Correct the variable.")


def set_environment() -> None:
    """Set the variables that the user has not set; processes started later inherit them."""
    for name, value in {**_MLFLOW, **_threads()}.items():
        os.environ.setdefault(name, value)
    # Gradients of channels-last convolutions are copied into buckets, which cannot be avoided.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")


def _threads() -> dict[str, str]:
    """Return OpenMP's settings, read when torch is loaded."""
    cores = os.cpu_count() or 1
    found = {}
    if cores <= 4:
        # Threads that spin while they wait make a step ten times slower when another program
        # uses one of few cores.
        found["OMP_WAIT_POLICY"] = "PASSIVE"
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by `bench run --devices`
    if ranks > 1:
        found["OMP_NUM_THREADS"] = str(max(cores // ranks, 1))
    return found


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch off garbage collection, which takes 2/3 of the time of reading many runs."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # later collections skip these objects
        gc.enable()
