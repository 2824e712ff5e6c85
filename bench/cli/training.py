"""Commands that train, score and predict."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from bench.cli.common import (
    Folder,
    Whole,
    as_json,
    home_option,
    plugins,
    print_json,
    renames,
)
from bench.cli.run_options import make_request, only_local, takes_all_of_a_run, typed_options
from bench.cli.seeds import seed_list, train_seeds
from bench.errors import BenchError
from bench.paths import runs_dir


@click.command()
@takes_all_of_a_run
@click.option(
    "--devices",
    type=Whole(1),
    default=1,
    help="Number of devices of this machine to train on.  [1]",
)
@click.option(
    "--no-tracking", is_flag=True, help="Write the run folder only; send nothing to MLflow."
)
@click.option(
    "--seeds", callback=seed_list, metavar="N,N,…", help="Seeds to train one after another."
)
@click.option("--report", type=Folder, hidden=True, help="File for the path of the run's folder.")
@click.option("--silent", is_flag=True, hidden=True, help="Print nothing.")
@as_json
@click.pass_context
def run(
    ctx: click.Context,
    /,
    *,
    devices: int,
    resume: str | None,
    no_tracking: bool,
    seeds: tuple[int, ...],
    report: Path | None,
    silent: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a model on a task, score it on the test rows, record the result.

    The same command continues a run that was interrupted.
    """
    from bench import api
    from bench.cli.signals import SignalStop
    from bench.console import Console

    for other in ("seed", "resume", "weights") if seeds else ():
        if ctx.get_parameter_source(other) is click.core.ParameterSource.COMMANDLINE:
            raise BenchError(f"--seeds trains once for each of its seeds: leave out --{other}.")
    if resume is None:
        request = make_request(**options)
    else:
        if typed := typed_options(ctx):
            raise BenchError(
                f"--resume {resume} takes its settings from the run: leave out {typed[0]}."
            )
        request = api.resumed(resume, **only_local(options))
    train = partial(
        api.train,
        devices=devices,
        track=not no_tracking,
        console=Console.mute() if silent else Console(quiet=as_json),
        stop=SignalStop(),
    )
    if seeds:
        train_seeds(request, seeds, train, as_json=as_json)
        return
    done = train(request)
    if done is None:  # a rank that does not lead
        return
    if report is not None:
        report.write_text(str(done.path), encoding="utf-8")
    elif as_json:
        print_json(done.manifest.to_json())
    else:
        from bench.cli.tables import run_scores_table

        run_scores_table(done.manifest)


@click.command()
@click.option(
    "--run",
    "references",
    multiple=True,
    metavar="RUN",
    help="Folder or name of a run to score again; of several, the mean prediction is scored.",
)
@click.option("--task", help="Task that has the test rows; not needed with --run.")
@click.option(
    "--predictions",
    type=Folder,
    help="File of predictions: sequence and value in each line, a value in each line, .npy, or "
    "the challenge's .json.",
)
@click.option(
    "--rows", metavar="PART", help="Part of the test rows to score.  [the part that ranks]"
)
@click.option("--data", type=Folder, help="Folder of the data.  [as for `bench run`]")
@click.option("--test-data", type=Folder, help="Folder of the test files, if another.")
@click.option(
    "--subset-file",
    "subset_files",
    multiple=True,
    metavar="NAME=FILE",
    help="File in place of one of the test set's subsets; may be repeated.",
)
@click.option("--snvs", type=Folder, hidden=True)
@click.option(
    "--log", is_flag=True, help="Record the scores as an external result or as an ensemble."
)
@click.option("--name", help="Name of the recorded result.")
@click.option("--source", help="Origin of the external result, such as an address.")
@home_option
@plugins
@as_json
def score(
    *,
    references: tuple[str, ...],
    task: str | None,
    predictions: Path | None,
    data: Path | None,
    test_data: Path | None,
    log: bool,
    name: str | None,
    source: str | None,
    home: Path | None,
    as_json: bool,
    rows: str | None,
    subset_files: tuple[str, ...],
    snvs: Path | None,
) -> None:
    """Score predictions of the test rows, made by runs or by another program."""
    from bench.cli import tables
    from bench.console import Console
    from bench.runner import rescore

    folder, console, files = test_data or data, Console(), _subset_files(subset_files, snvs)
    if log != (name is not None):
        raise BenchError("--log and --name NAME go together: an external result has a name.")
    if source is not None and not log:
        raise BenchError("--source is recorded with the result: add --log --name NAME.")
    if log and rows is not None:
        raise BenchError("--log records the rows that rank: leave out --rows.")
    if log and len(references) == 1:
        raise BenchError("--log records predictions of other programs or the mean of several runs.")
    if references and (predictions, task) == (None, None):
        scored = rescore.score_runs(
            references, folder=folder, rows=rows, subset_files=files, home=home, console=console
        )
    elif predictions is not None and task is not None and not references:
        scored = rescore.score_file(
            predictions, task, folder=folder, rows=rows, subset_files=files, console=console
        )
    else:
        raise BenchError("give --run RUN, or --task TASK with --predictions FILE.")
    if name is not None:
        click.echo(scored.log(name, home, source=source or ""), err=True)
    if as_json:
        print_json(scored.scores.as_json())
    else:
        tables.scores_table(scored.test.name, scored.scores)


def _subset_files(typed: tuple[str, ...], snvs: Path | None) -> dict[str, Path]:
    """Return files by subset from texts NAME=FILE and from the earlier option ``--snvs FILE``."""
    if snvs is not None:
        click.echo(f"--snvs {snvs} is called --subset-file SNVs={snvs} now.", err=True)
        typed = (*typed, f"SNVs={snvs}")
    files: dict[str, Path] = {}
    for text in typed:
        name, equals, path = text.partition("=")
        if not (name and equals and path) or name in files:
            raise BenchError(f"--subset-file {text}: give NAME=FILE, each NAME once.")
        files[name] = Path(path)
    return files


@click.command(cls=renames(submission="--format json"))
@click.option(
    "--run",
    "references",
    multiple=True,
    metavar="RUN",
    required=True,
    help="Folder or name of the run; of several, the mean is predicted.",
)
@click.option(
    "--sequences",
    required=True,
    help="File of sequences: lines, tab-separated lines or FASTA; - is standard input.",
)
@click.option("--out", type=Folder, help="File for the predictions.  [standard output]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tsv", "json"]),
    default="tsv",
    show_default=True,
    help='Format of the output: lines of name and value, or a JSON object {"0": value, …}.',
)
@click.option(
    "--device", default="auto", show_default=True, help="Device: auto, cpu, cuda, cuda:1 …"
)
@home_option
@plugins
def predict(
    *,
    references: tuple[str, ...],
    sequences: str,
    out: Path | None,
    form: str,
    device: str,
    home: Path | None,
) -> None:
    """Predict sequences with the models of runs, in the unit of their training data."""
    from bench.console import Console
    from bench.results import run_folder
    from bench.runner.predictor import predict_file

    runs = run_folder.find_members(references, runs_dir(home))
    predict_file(
        runs, sequences, out or sys.stdout.buffer, Console(), as_json=form == "json", device=device
    )


@click.command()
@click.option(
    "--rows",
    type=Whole(1000, 10**9),
    default=40_000,
    show_default=True,
    help="Number of simulated training rows.",
)
@home_option
def demo(*, rows: int, home: Path | None) -> None:
    """Compare two models on a simulated assay, in two minutes on two cores."""
    from bench.cli.demo import compare

    compare(rows=rows, home=home)
