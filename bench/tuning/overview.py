"""What can be seen of a study without working on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.console import SILENT, Console
from bench.errors import BenchError
from bench.extras import needed
from bench.tuning import summary
from bench.tuning.storage import shown
from bench.tuning.study import find


def status(
    storage: str | None, name: str | None, home: Path, console: Console = SILENT
) -> summary.Summary:
    """Sum up a study.

    Args:
        storage: Where it is kept; None for the folder of runs.
        name: The study's; None for the only one there.
        home: Folder of all runs.
        console: Where to tell that the storage is away.

    Raises:
        BenchError: There is no such study; so for all of this module.
    """
    return summary.summarize(find(storage, name, home, console=console)[0])


def best(storage: str | None, name: str | None, home: Path, console: Console = SILENT) -> str:
    """Spell the command that runs a study's best trial again; for the arguments see status."""
    from bench.tuning.best_command import best_line
    from bench.tuning.open_study import stored  # with torch, which --status does without

    study, _ = find(storage, name, home, console=console)
    return best_line(study, stored(study, home))


def export(
    storage: str | None, name: str | None, home: Path, table: Path, console: Console = SILENT
) -> str:
    """Write a study's trials to a CSV file; return what to tell."""
    study, _ = find(storage, name, home, console=console)
    return f"{table}: {summary.export(study, table):,} trials of {study.study_name}"


def dashboard(storage: str | None, name: str | None, home: Path, console: Console = SILENT) -> None:
    """Serve optuna-dashboard's pages of a study until they are stopped."""
    needed("optuna_dashboard", extra="dashboard", what="the dashboard of a study")
    _, place = find(storage, name, home, console=console)
    console.say(f"Optuna's pages of {shown(place)}; Ctrl-C ends them")
    code = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"
    status = subprocess.run([sys.executable, "-c", code, place], check=False).returncode
    if status > 0:
        raise BenchError(f"optuna-dashboard ended with status {status}.")
