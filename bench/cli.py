"""The ``bench`` command: parses, calls, prints. Whatever is heavy is imported by the command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

import bench
from bench.errors import BenchError

F = TypeVar("F", bound=Callable[..., Any])
Folder = click.Path(path_type=Path)


class Commands(click.Group):
    """Commands in the order in which they are written here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands as defined."""
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Train, score and honestly rank networks that read DNA and predict a number."""


def plugins(command: F) -> F:
    """Add --plugin, which registers a user's file before the command runs."""

    def load(ctx: click.Context, option: click.Parameter, paths: tuple[Path, ...]) -> None:
        """Register the files; torch and its kin are loaded only where there are any."""
        if paths:
            from bench.registry import load_plugin_file

            for path in paths:
                load_plugin_file(path)

    return click.option(
        "--plugin",
        type=Folder,
        multiple=True,
        expose_value=False,
        callback=load,
        is_eager=True,
        help="A Python file with a model or a task of your own; may be repeated.",
    )(command)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
home_option = click.option(
    "--home", type=Folder, help="Folder of all runs.  [BENCH_HOME, else ./runs]"
)


@cli.command()
@click.option("--model", required=True, help="A name from `bench models`.")
@click.option("--task", required=True, help="A name from `bench tasks`.")
@click.option("--recipe", default="standard", show_default=True, help="standard or paper.")
@click.option(
    "--preset",
    default="paper",
    show_default=True,
    help="Size and budget: smoke (a minute on two cores), quick, or the paper's.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="SECTION.FIELD=VALUE",
    help="Change a field of model, recipe or task; may be repeated.",
)
@click.option("--data", type=Folder, help="Folder of the data.  [BENCH_DATA/TASK, else the cache]")
@click.option("--test-data", type=Folder, help="Folder of the test files, if another.")
@click.option("--download", is_flag=True, help="Fetch first what is missing of the data.")
@click.option("--simulate", is_flag=True, help="Train and test on a simulated assay.")
@click.option("--rows", type=click.IntRange(1000), help="Simulated rows.  [100000]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Short for --set recipe.epochs=N.")
@click.option("--max-steps", type=click.IntRange(1), help="Plan for so many updates at most.")
@click.option("--max-time", type=click.FloatRange(0), metavar="MINUTES", help="Stop training then.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 …")
@click.option("--compile", "compiled", is_flag=True, help="Trace the model with torch.compile.")
@click.option("--no-tracking", is_flag=True, help="Write the run's folder only, not to MLflow.")
@home_option
@plugins
@as_json
def run(
    *,
    assignments: tuple[str, ...],
    simulate: bool,
    rows: int | None,
    max_time: float | None,
    no_tracking: bool,
    as_json: bool,
    **request: Any,
) -> None:
    """Train a model on a task, score it on the test rows, record the result."""
    from bench.report import Screen
    from bench.request import Request
    from bench.run import execute
    from bench.settings import split_assignments

    if rows is not None and not simulate:
        raise BenchError("--rows goes with --simulate. For a part of real data: task.fraction.")
    manifest = execute(
        Request(
            overrides=split_assignments(assignments),
            simulate_rows=(rows or 100_000) if simulate else None,
            max_seconds=None if max_time is None else max_time * 60,
            **request,
        ),
        Screen(quiet=as_json),
        tracked=not no_tracking,
    )
    if as_json:
        _print_json(manifest)
    else:
        from bench.tables import figures_table

        figures_table(manifest)


@cli.command()
@click.option("--run", "reference", metavar="RUN", help="Score a run again: its folder or name.")
@click.option("--task", help="Whose test rows; not needed with --run.")
@click.option(
    "--predictions",
    type=Folder,
    help="Made elsewhere: sequence and value, a value a line, .npy, or the challenge's .json.",
)
@click.option("--rows", metavar="PART", help="Part of the test rows.  [the part that ranks]")
@click.option("--data", type=Folder, help="Folder of the data.  [as for `bench run`]")
@click.option("--test-data", type=Folder, help="Folder of the test files, if another.")
@click.option("--snvs", type=Folder, help="A file in place of the SNVs subset.")
@click.option("--log", is_flag=True, help="Record as an external result, marked unverified.")
@click.option("--name", help="What to call the external result.")
@home_option
@plugins
@as_json
def score(
    *,
    reference: str | None,
    task: str | None,
    predictions: Path | None,
    data: Path | None,
    test_data: Path | None,
    log: bool,
    name: str | None,
    home: Path | None,
    as_json: bool,
    **scope: Any,
) -> None:
    """Score predictions of the test rows, a run's or those of another program."""
    from bench import rescore, tables

    folder = test_data or data
    if log != (name is not None):
        raise BenchError("--log and --name NAME go together: an external result has a name.")
    if log and scope["rows"] is not None:
        raise BenchError("--log records the rows that rank: leave out --rows.")
    if reference is not None and (predictions, task, name) == (None, None, None):
        scored = rescore.score_run(reference, folder=folder, home=home, **scope)
    elif predictions is not None and task is not None and reference is None:
        scored = rescore.score_file(predictions, task, folder=folder, **scope)
    else:
        raise BenchError("give --run RUN, or --task TASK with --predictions FILE.")
    if name is not None:
        click.echo(scored.log(name, home), err=True)
    if as_json:
        _print_json(scored.scores.as_json())
    else:
        tables.scores_table(scored.test.name, scored.scores)


@cli.command()
@click.option("--run", "reference", metavar="RUN", required=True, help="Its folder or name.")
@click.option(
    "--sequences", required=True, help="Lines, tab-separated lines or FASTA; - is standard input."
)
@click.option("--out", type=Folder, help="A file.  [standard output]")
@click.option("--submission", is_flag=True, help='Write the challenge\'s JSON: {"0": value, …}.')
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 …")
@home_option
@plugins
def predict(
    *,
    reference: str,
    sequences: str,
    out: Path | None,
    submission: bool,
    device: str,
    home: Path | None,
) -> None:
    """Predict sequences with the model of a run, in the unit it was trained on."""
    from bench import results
    from bench.inference import predict_file
    from bench.report import Screen

    run = results.find_run(reference, results.home(home))
    predict_file(run, sequences, out, Screen(), submission=submission, device=device)


@cli.command()
@click.option("--rows", type=click.IntRange(1000), default=40_000, show_default=True)
@home_option
def demo(*, rows: int, home: Path | None) -> None:
    """Compare two models on a simulated assay, in two minutes on two cores."""
    from bench.demo import compare

    compare(rows=rows, home=home)


@cli.command()
@click.option("--task", help="Only runs on this data, such as dream or dream-simulated.")
@home_option
@as_json
def runs(*, task: str | None, home: Path | None, as_json: bool) -> None:
    """List the runs in the run folder."""
    from bench import results, tables

    manifests = [results.read_manifest(path) for path in results.find_runs(results.home(home))]
    shown = [m for m in manifests if task is None or m.get("data", {}).get("name") == task]
    if as_json:
        _print_json(shown)
    elif shown:
        tables.runs_table(shown)
    else:
        raise BenchError(f"no runs in {results.home(home)}. Try `bench demo`.")


@cli.command()
@click.argument("name", required=False)
@plugins
@as_json
def models(*, name: str | None, as_json: bool) -> None:
    """List the models, or print one's card: settings, recipe, published results."""
    from bench import cards_view

    card = cards_view.all_models() if name is None else cards_view.model_card(name)
    _print_json(card) if as_json else cards_view.show(card)


@cli.command()
@click.argument("name", required=False)
@plugins
@as_json
def tasks(*, name: str | None, as_json: bool) -> None:
    """List the tasks, or print one's card."""
    from bench import cards_view

    card = cards_view.all_tasks() if name is None else cards_view.task_card(name)
    _print_json(card) if as_json else cards_view.show(card)


@cli.group(cls=Commands)
def data() -> None:
    """Get, simulate and encode data."""


@data.command()
@click.argument("task")
@click.option("--mirror", metavar="URL", help="Fetch URL/NAME in place of the published address.")
@click.option("--from", "source", type=Folder, help="Copy from a folder that has the files.")
@plugins
def get(*, task: str, mirror: str | None, source: Path | None) -> None:
    """Fetch a task's published files into the cache; goes on where it stopped."""
    from bench.data import fetch
    from bench.registry import TASKS
    from bench.report import Screen

    folder = fetch(TASKS.get(task), task, Screen(), mirror=mirror, source=source)
    click.echo(f"{folder}: complete. `bench run --task {task}` finds it there.")


@data.command("list")
@plugins
@as_json
def list_data(*, as_json: bool) -> None:
    """Show what data is here, where, how large, and how far it was checked."""
    from bench import stock, tables

    rows = stock.listed()
    _print_json(rows) if as_json else tables.stock_table(rows)


@data.command()
@click.argument("task", required=False)
@plugins
@as_json
def verify(*, task: str | None, as_json: bool) -> None:
    """Read every fetched file again and hold it against its hash, published or recorded."""
    from bench import stock, tables

    rows = stock.verified(task)
    _print_json(rows) if as_json else tables.checked_table(rows)
    wrong = sum(row["fault"] is not None for row in rows)
    if wrong:
        raise BenchError(f"{wrong} of {len(rows)} files are not what they should be.")


@data.command()
@click.argument("task")
@click.option("--rows", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=Folder, required=True, help="A new folder.")
@plugins
@as_json
def simulate(*, task: str, rows: int, seed: int, out: Path, as_json: bool) -> None:
    """Write simulated raw files in a task's own layout."""
    from bench.data import write_simulation
    from bench.registry import TASKS

    facts = write_simulation(TASKS.get(task), out, rows=rows, seed=seed)
    if as_json:
        _print_json(facts)
    else:
        click.echo(f"{out}: SIMULATED {task}")
        for fact, value in facts.items():
            click.echo(f"  {fact.replace('_', ' ')}: {value}")


@data.command()
@click.argument("task")
@click.option("--data", "directory", type=Folder, help="Folder of the raw files.")
@click.option("--test-data", type=Folder, help="Folder of the test files, if another.")
@click.option("--set", "assignments", multiple=True, metavar="task.FIELD=VALUE")
@click.option("--out", type=Folder, required=True, help="A new folder.")
@plugins
def encode(
    *,
    task: str,
    directory: Path | None,
    test_data: Path | None,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """Encode raw files for machines that have neither polars nor the files."""
    from bench import settings
    from bench.data import find, load
    from bench.registry import TASKS

    if out.exists():
        raise BenchError(f"--out {out} exists. Name a new folder.")
    values = settings.split_assignments(assignments)["task"]
    task_class = TASKS.get(task)
    options = settings.override(task_class.Options(), values, section="task")
    dataset = load(task_class(options), task, find(task, directory), test_data)
    dataset.save(out)
    click.echo(f"{out}: {dataset.name}, fingerprint {dataset.fingerprint}. Use it by --data {out}.")


@cli.command()
@home_option
def sync(*, home: Path | None) -> None:
    """Send to MLflow what it has not got of the runs in the run folder."""
    from bench import results, tracking

    directory = results.home(home)
    sent = [path for path in results.find_runs(directory) if tracking.sync(path, directory)]
    click.echo(f"{len(sent)} runs sent to {tracking.tracking_uri(directory)}")


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@home_option
def ui(*, port: int, home: Path | None) -> None:
    """Open MLflow's pages on the store of the runs; Ctrl-C ends them."""
    from bench import results, tracking

    tracking.serve(results.home(home), port=port)


def main() -> NoReturn:
    """Run the command line; a user's mistake is one line and exit status 2."""
    if (os.cpu_count() or 1) <= 4:
        # OpenMP threads that spin while they wait make a step ten times slower as soon as another
        # program wants one of few cores. Read when torch is loaded, so it is set here.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = cli.main(prog_name="bench", standalone_mode=False)
    except BenchError as error:
        click.echo(f"bench: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        message = error.format_message()
        click.echo(f"bench: {message}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("bench: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # `bench … | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # a full disk, a folder one may not read: not ours to trace
        click.echo(f"bench: {error.filename or 'output'}: {error.strerror or error}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


def _print_json(value: Any) -> None:
    from bench.results import finite

    click.echo(json.dumps(finite(value), indent=1))
