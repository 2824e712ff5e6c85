"""Commands that rank and compare results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.common import (
    Folder,
    Whole,
    as_json,
    home_option,
    plugins,
    print_json,
    renames,
    with_options,
)
from bench.cli.environment import uncollected
from bench.errors import BenchError
from bench.paths import runs_dir

if TYPE_CHECKING:
    from bench.leaderboards.board import Leaderboard

_resamples = click.option(
    "--resamples",
    type=Whole(100, 10**6),
    default=10_000,
    show_default=True,
    help="Number of bootstrap samples.",
)


@click.command(cls=renames(track="--protocol", figure="--score"))
@click.option(
    "--task", required=True, help="Name from `bench tasks`, or path of a table of your own."
)
@click.option("--simulated", is_flag=True, help="Rank the results on the simulated assay.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json"]),
    default="table",
    show_default=True,
    help="Format of the output.",
)
@click.option(
    "--protocol",
    type=click.Choice(["standard", "paper", "open"]),
    help="Only results of this protocol.",
)
@click.option(
    "--model", "models", multiple=True, help="Only results of this model; may be repeated."
)
@click.option(
    "--group-by",
    multiple=True,
    metavar="SETTING",
    help="Setting that separates results, such as model.dim; results are averaged over all other "
    "settings; may be repeated.",
)
@click.option(
    "--fingerprint",
    help="Only results with this fingerprint of the training rows.  [the most common]",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="task.FIELD=VALUE",
    help="Option of the task that changes the test rows; may be repeated.",
)
@click.option("--data", type=Folder, help="Folder of the test rows.  [as for `bench run`]")
@click.option("--score", help="Score that ranks, such as all/mse.  [the task's own]")
@_resamples
@click.option("--html", type=Folder, metavar="DIR", help="Folder for web pages with plots.")
@click.option("--log", is_flag=True, help="Log the leaderboard to MLflow, as a run `leaderboard`.")
@home_option
@plugins
def leaderboard(*, form: str, html: Path | None, log: bool, **asked: Any) -> None:
    """Rank the results on a task, with intervals and tests of the order."""
    from bench.leaderboards.output import formats, site

    if html is not None:
        site.check_site_packages()
    with uncollected():
        board = _board(**asked)
    if html is not None:
        site.write_site(board, html)
        click.echo(f"{html / 'index.html'} is written", err=True)
    if log:
        from bench.leaderboards.output.mlflow_board import log_summary

        log_summary(board, runs_dir(asked["home"]), html)
    if form == "md":
        click.echo(formats.board_markdown(board))
    elif form == "csv":
        click.echo(formats.board_csv(board), nl=False)
    elif form == "json":
        print_json(formats.board_json(board))
    else:
        from bench.cli.tables import leaderboard_table

        leaderboard_table(board)


def _board(*, assignments: tuple[str, ...], home: Path | None, **options: Any) -> Leaderboard:
    from bench import api
    from bench.config import split_assignments
    from bench.console import Console

    given = split_assignments(assignments)
    for section in ("model", "recipe"):
        if given[section]:
            raise BenchError(
                f"--set {section}.…: only an option of the task changes the test rows. "
                "Try --group-by or --model."
            )
    console = Console()
    return api.leaderboard(
        task_options=given["task"], runs_dir=home, console=console, **options
    ).board


@click.command()
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@click.option("--task", help="Path of the runs' table, if it has moved.  [as recorded]")
@click.option(
    "--subset", default="all", show_default=True, help="Subset in which disagreements are listed."
)
@click.option("--data", type=Folder, help="Folder of the test rows.  [as recorded]")
@_resamples
@home_option
@plugins
@as_json
def compare(*, first: str, second: str, home: Path | None, as_json: bool, **asked: Any) -> None:
    """Compare two runs: differences of metrics, intervals, and the rows of largest disagreement."""
    from bench import api
    from bench.cli.tables import comparison_table
    from bench.console import Console

    with uncollected():
        comparison = api.compare(first, second, runs_dir=home, console=Console(), **asked)
    print_json(comparison.as_json()) if as_json else comparison_table(comparison)


@click.command()
@click.argument("runs", metavar="RUN…", nargs=-1, required=True)
@click.option("--out", type=Folder, required=True, metavar="FILE.zip", help="Path of the new file.")
@home_option
def export(*, runs: tuple[str, ...], out: Path, home: Path | None) -> None:
    """Write runs to one zip file: settings, predictions and curves; no weights, no code."""
    from bench.sharing.archive import export_runs

    for name in export_runs(runs, out, runs_dir(home)):
        click.echo(name)


@click.command("import")
@click.argument("file", type=Folder)
@click.option(
    "--task", "task_name", help="Path of the table on this machine, for results on a table."
)
@click.option("--data", type=Folder, help="Folder of the test rows.  [as for `bench run`]")
@home_option
@plugins
def import_(*, file: Path, task_name: str | None, data: Path | None, home: Path | None) -> None:
    """Import runs of other people: their predictions are scored again on this machine."""
    from bench.console import Console
    from bench.sharing.archive import import_runs
    from bench.tracking import uploader

    directory = runs_dir(home)
    found = import_runs(file, directory, task_name=task_name, data=data, console=Console())
    for run in found:
        message = f"{run.path}: {run.rows:,} predictions scored again; imported, unverified"
        try:
            uploader.sync(run.path, directory)
        except BenchError as error:
            message = f"{message}. {with_options(error)} `bench sync` sends it later."
        click.echo(message)
