"""Commands that list runs, models and tasks, and that send runs to MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.common import as_json, home_option, plugins, print_json
from bench.console import Console
from bench.errors import BenchError
from bench.paths import runs_dir, studies_dir


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
    """Send to MLflow the parts of all runs that it does not have."""
    from bench.results import run_folder
    from bench.tracking import mlflow_store, uploader

    directory = runs_dir(home)
    folders = [directory, *sorted(studies_dir(directory).glob("*"))]  # the runs of studies, too
    found = [run_folder.read_runs(folder) for folder in folders]
    for line in (line for _, damaged in found for line in damaged.values()):
        Console().warn(line)
    runs = [path for readable, _ in found for path in readable]
    sent = [path for path in runs if uploader.sync(path, directory)]
    click.echo(f"{len(sent)} runs sent to {mlflow_store.tracking_uri(directory)}")


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    help="Port of the web server.",
)
@home_option
def ui(*, port: int, home: Path | None) -> None:
    """Run MLflow's web server on the store of the runs; Ctrl-C stops it."""
    from bench.tracking import mlflow_store

    mlflow_store.serve(runs_dir(home), port=port, console=Console())
