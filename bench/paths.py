"""Default folders, and the environment variables that name others.

BENCH_HOME   folder of all runs; else ./runs
BENCH_CACHE  folder of downloaded, simulated and encoded data and of stored statistics; else
             dream-bench in $XDG_CACHE_HOME or in ~/.cache
BENCH_DATA   folder with one folder of data for each task, named as the task
"""

from __future__ import annotations

import os
from pathlib import Path


def runs_dir(given: Path | None = None) -> Path:
    """Return the folder of all runs: the given one, else BENCH_HOME, else ./runs."""
    return (given or Path(os.environ.get("BENCH_HOME") or "runs")).absolute()


def cache_dir() -> Path:
    """Return the folder for downloaded and simulated data, by BENCH_CACHE or the XDG rules."""
    if given := os.environ.get("BENCH_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dream-bench"


def data_dirs(task_name: str) -> list[Path]:
    """Return the folders where a task's data may lie, the first choice first."""
    cached = cache_dir() / task_name
    root = os.environ.get("BENCH_DATA")
    return [Path(root) / task_name, cached] if root else [cached]


def studies_dir(runs: Path) -> Path:
    """Return the default folder of studies: a journal each, and a folder for its trials' runs."""
    return runs / "studies"


def runs_dir_of_study(study_dir: Path) -> Path:
    """Return the folder of all runs in which a study's folder lies."""
    return study_dir.parents[1]


def tracking_database(runs: Path) -> Path:
    """Return the database of MLflow's default store."""
    return runs / "mlflow.db"
