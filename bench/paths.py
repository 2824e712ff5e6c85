"""Default folders, and the environment variables that change them.

BENCH_HOME   folder of all runs; default ./runs
BENCH_CACHE  folder of downloaded, simulated and encoded data and of stored statistics; default
             dream-bench in $XDG_CACHE_HOME or in ~/.cache
BENCH_DATA   folder with one data folder per task, named like the task
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import BenchError


def as_path(given: str | Path | None) -> Path | None:
    """Return a path that may be given as text, or not at all."""
    return None if given is None else Path(given)


def runs_dir(given: Path | None = None) -> Path:
    """Return the folder of all runs: the given one, else BENCH_HOME, else ./runs."""
    return (given or Path(os.environ.get("BENCH_HOME") or "runs")).absolute()


def cache_dir() -> Path:
    """Return the cache folder: BENCH_CACHE, else the folder of the XDG rules.

    Raises:
        BenchError: No variable names the folder, and this user has no home folder.
    """
    if given := os.environ.get("BENCH_CACHE"):
        return Path(given)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dream-bench"
    except RuntimeError:  # HOME is not set, and the user is not in the list of users
        raise BenchError(
            "no folder for cached data: this user has no home folder. Set BENCH_CACHE (or HOME)."
        ) from None


def data_dirs(task_name: str) -> list[Path]:
    """Return the folders where a task's data may be, in order of preference."""
    cached = cache_dir() / task_name
    root = os.environ.get("BENCH_DATA")
    return [Path(root) / task_name, cached] if root else [cached]


def studies_dir(runs: Path) -> Path:
    """Return the default folder of studies; each study has a journal and a folder of runs."""
    return runs / "studies"


def runs_dir_of_study(study_dir: Path) -> Path:
    """Return the folder of all runs that contains a study's folder."""
    return study_dir.parents[1]


def tracking_database(runs: Path) -> Path:
    """Return the path of MLflow's default database."""
    return runs / "mlflow.db"
