"""Commands that list runs, models and tasks, and that send runs to MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.common import Whole, as_json, home_option, plugins, print_json
from bench.console import Console
from bench.errors import BenchError
from bench.paths import runs_dir


@click.command()
@click.option("--task", help="Only runs on this data, named as in the table.")
@home_option
@as_json
def runs(*, task: str | None, home: Path | None, as_json: bool) -> None:
    """List the runs in the run folder."""
    from bench.cli import tables
    from bench.results import run_folder

    found, damaged = run_folder.read_runs(runs_dir(home))
    for line in damaged.values():
        Console().warn(line)
    shown = [m for m in found.values() if task is None or m.data.name == task]
    if as_json:
        print_json([manifest.to_json() for manifest in shown])
    elif shown:
        tables.runs_table(shown)
    else:
        raise BenchError(f"no runs in {runs_dir(home)}. Try `bench demo`.")


@click.command()
@click.argument("name", required=False)
@click.option(
    "--space", is_flag=True, help="Print the settings of this model that `bench search` varies."
)
@plugins
@as_json
def models(*, name: str | None, space: bool, as_json: bool) -> None:
    """List the models, or print the card of one: settings, recipe, published figures."""
    from bench.cli import plugin_cards

    if space and name is None:
        raise BenchError("--space goes with a model's name. `bench models` lists them.")
    if space and name is not None:
        card: plugin_cards.Card = plugin_cards.model_space(name)
    else:
        card = plugin_cards.all_models() if name is None else plugin_cards.model_card(name)
    print_json(card) if as_json else plugin_cards.show(card)


@click.command()
@click.argument("name", required=False)
@plugins
@as_json
def tasks(*, name: str | None, as_json: bool) -> None:
    """List the tasks, or print the card of one."""
    from bench.cli import plugin_cards

    card = plugin_cards.all_tasks() if name is None else plugin_cards.task_card(name)
    print_json(card) if as_json else plugin_cards.show(card)


@click.command()
@home_option
def sync(*, home: Path | None) -> None:
    """Send to MLflow all that it lacks of the run folders; mend its store if it is broken."""
    from bench.tracking.sync_all import sync_all

    directory, console = runs_dir(home), Console()
    done = sync_all(directory, console)
    if done.bare:
        from bench.tuning import study_log

        for study in done.bare:
            console.warn(study_log.send_again(study, directory))
    click.echo(f"{len(done.sent)} runs sent to {done.store}; {done.there} were there already")
    if done.alone:
        click.echo(f"{done.alone} more runs are there without a folder here; they stay")
    if done.deleted:
        click.echo(f"{done.deleted} runs were deleted in MLflow; they stay so")
    if left := len(done.failed) + done.untried:
        raise BenchError(f"{left} runs could not be sent; `bench sync` tries again.")


@click.command()
@click.option(
    "--port",
    type=Whole(1, 65535),
    default=5000,
    show_default=True,
    help="Port of the web server.",
)
@home_option
def ui(*, port: int, home: Path | None) -> None:
    """Run MLflow's web server on the store of the runs; Ctrl-C stops it."""
    from bench.tracking import mlflow_store

    mlflow_store.serve(runs_dir(home), port=port, console=Console())
