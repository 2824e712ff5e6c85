"""Views of a study that run no trials: summary, best command, table, dashboard."""

from __future__ import annotations

import os
from pathlib import Path

from bench.addresses import shown
from bench.children import run_module
from bench.console import SILENT, Console
from bench.errors import BenchError
from bench.extras import needed
from bench.tuning import summary
from bench.tuning.study import find


def status(
    storage: str | None, name: str | None, home: Path, console: Console = SILENT
) -> summary.Summary:
    """Return the summary of a study.

    Args:
        storage: Path or URL of the storage; None for a journal in the folder of all runs.
        name: Name of the study; None if the storage has only one.
        home: Folder of all runs.
        console: Console for warnings that the storage cannot be reached.

    Raises:
        BenchError: There is no such study. All functions of this module raise it.
    """
    return summary.summarize(find(storage, name, home, console=console)[0])


def best(storage: str | None, name: str | None, home: Path, console: Console = SILENT) -> str:
    """Return the command that runs the best trial again; the arguments are those of ``status``."""
    from bench.tuning.best_command import best_line  # imports torch, which --status does not need

    return best_line(find(storage, name, home, console=console)[0])


def export(
    storage: str | None, name: str | None, home: Path, table: Path, console: Console = SILENT
) -> str:
    """Write the trials of a study to a CSV file; return a message for the user."""
    study, _ = find(storage, name, home, console=console)
    return f"{table}: {summary.export(study, table):,} trials of {study.study_name}"


def dashboard(storage: str | None, name: str | None, home: Path, console: Console = SILENT) -> None:
    """Run optuna-dashboard on the storage of a study until the user stops it."""
    needed("optuna_dashboard", extra="dashboard", what="the dashboard of a study")
    _, place = find(storage, name, home, console=console)
    console.say(f"optuna-dashboard on {shown(place)}; Ctrl-C ends it")
    status = run_module("optuna_dashboard._cli:main", place, environment=os.environ)
    if status > 0:
        raise BenchError(f"optuna-dashboard ended with status {status}.")
