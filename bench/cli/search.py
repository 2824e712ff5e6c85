"""The command ``bench search``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bench import paths
from bench.cli.common import Finite, Folder, as_json, launched, plugins, print_json, renames
from bench.cli.run_options import make_request, takes
from bench.errors import BenchError
from bench.inert import for_terminal

if TYPE_CHECKING:
    from bench.tuning.open_study import SearchSpec
    from bench.tuning.summary import Summary


def _seeds(ctx: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    seeds = tuple(int(part) for part in text.split(",") if part.strip().isdecimal())
    if len(seeds) != len(text.split(",")) or len(set(seeds)) < len(seeds):
        raise BenchError(f"--seeds takes different whole numbers, as in 0,1,2; got '{text}'.")
    return seeds


@click.command(cls=renames(beat="--heartbeat"))
@takes("model", "task", "recipe", "preset")
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="SECTION.FIELD=SPACE",
    help="Values of a field of model or recipe to search, such as 64,128 or 1..6 or "
    "log:1e-4..1e-2, or one fixed value; may be repeated.  [as `bench models NAME --space` shows]",
)
@takes(
    *("overrides", "data", "test_data", "simulate_rows", "epochs", "fraction", "max_steps"),
    overrides="Fixed value of a field of model, recipe or task; may be repeated.",
    epochs="Number of epochs of a trial; refits have the full number.",
    fraction="Share of the training rows that a trial uses; refits use all.",
)
@click.option(
    "--trials", type=click.IntRange(1), help="Number of finished trials, over all workers.  [100]"
)
@click.option(
    "--timeout",
    type=Finite(0),
    metavar="MINUTES",
    help="Time after which no trial is started.",
)
@click.option(
    "--seeds", callback=_seeds, help="Seeds of a trial's runs; its score is their mean.  [0]"
)
@click.option(
    "--sampler",
    type=click.Choice(["tpe", "random", "grid", "cmaes", "quasi-random"]),
    default="tpe",
    show_default=True,
    help="Method that proposes the values of a trial.",
)
@click.option(
    "--sampler-seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the sampler.",
)
@click.option("--no-pruning", is_flag=True, help="Finish also the trials that are behind.")
@click.option(
    "--max-params", type=click.IntRange(1), help="Largest number of parameters of a feasible model."
)
@click.option(
    "--max-memory",
    type=Finite(0, min_open=True),
    metavar="GB",
    help="Largest memory of a feasible trial.",
)
@click.option(
    "--refit",
    type=click.IntRange(1),
    metavar="K",
    help="Number of best trials to run at full budget afterwards.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Number of processes."
)
@click.option(
    "--heartbeat",
    "beat",
    type=Finite(0, min_open=True),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two heartbeats; a trial whose worker misses four is given to another.",
)
@click.option(
    "--storage",
    metavar="PLACE",
    help="Journal file, or URL of a database.  [HOME/studies/NAME.log]",
)
@click.option(
    "--study", "name", metavar="NAME", help="Name of the study.  [model, data and a hash]"
)
@click.option("--resume", is_flag=True, help="Continue a study, with the settings that it stores.")
@click.option("--status", "shown", flag_value="status", help="Print a summary of the study.")
@click.option(
    "--best", "shown", flag_value="best", help="Print the command that runs the best trial again."
)
@click.option(
    "--dashboard", "shown", flag_value="dashboard", help="Open optuna-dashboard on the study."
)
@click.option("--export", "table", type=Folder, help="CSV file to write the study's trials to.")
@takes("device")
@click.option(
    "--devices", type=click.IntRange(1), default=1, help="Number of devices for each trial.  [1]"
)
@click.option("--no-tracking", is_flag=True, help="Write run folders only; send nothing to MLflow.")
@click.option("--child", is_flag=True, hidden=True, help="This process is one of --workers.")
@takes("runs_dir")
@plugins
@as_json
@click.pass_context
def search(
    context: click.Context,
    /,
    *,
    shown: str | None,
    table: Path | None,
    name: str | None,
    storage: str | None,
    runs_dir: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search a model's settings for the best validation score; the test rows are not used."""
    home = paths.runs_dir(runs_dir)
    _quiet_optuna()
    if shown is None and table is None:
        typed = [
            option.opts[0]
            for option in context.command.params
            if option.name in _KEPT
            and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
        ]
        _work(typed, name=name, storage=storage, home=home, as_json=as_json, **options)
        return
    from bench.console import Console
    from bench.tuning import overview

    console = Console()
    if shown == "dashboard":
        overview.dashboard(storage, name, home, console)
    if table is not None:
        click.echo(overview.export(storage, name, home, table, console), err=True)
    if shown == "best":
        click.echo(for_terminal(overview.best(storage, name, home, console)))
    if shown == "status":
        found = overview.status(storage, name, home, console)
        _report(found, as_json=as_json)


_KEPT = (
    *("model", "task", "recipe", "preset", "spaces", "overrides", "test_data", "simulate"),
    *(
        "simulate_rows",
        "epochs",
        "fraction",
        "max_steps",
        "seeds",
        "sampler",
        "sampler_seed",
        "beat",
    ),
    *("no_pruning", "max_params", "max_memory"),
)  # options that a study stores


def _work(
    typed: list[str],
    *,
    resume: bool,
    model: str | None,
    no_tracking: bool,
    timeout: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search, and print a summary of the study."""
    from bench.cli.signals import SignalStop, terminated_as_interrupted
    from bench.console import Console
    from bench.training.distributed import from_environment
    from bench.tuning.run_search import search
    from bench.tuning.search_options import SearchOptions
    from bench.tuning.summary import summarize

    if options["devices"] > 1 and options["workers"] > 1:
        raise BenchError("--devices and --workers exclude each other: give one of them.")
    if model is None and not resume:
        raise BenchError("give --model and --task; or --resume, --status or --best for a study.")
    if model is None and typed:
        raise BenchError(
            f"--resume takes its settings from the study. Leave out {', '.join(typed)}."
        )
    if launched(options["devices"], options["device"]):
        return
    ours = ("name", "storage", "trials", "refit", "workers", "child", "device", "home", "data")
    asked = SearchOptions(
        settings=None if model is None else _settings(model=model, **options),
        resume=resume,
        minutes=timeout,
        tracked=not no_tracking,
        stop=SignalStop(),
        **{option: options[option] for option in ours},
    )
    # The launcher ends the other ranks by SIGTERM at once.
    with terminated_as_interrupted() if from_environment().leads else nullcontext():
        found = search(asked, Console(quiet=as_json))
    if found is not None and not options["child"]:
        _report(summarize(found), as_json=as_json)


def _quiet_optuna() -> None:
    """Let Optuna log errors only; bench reports the rest."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _report(found: Summary, *, as_json: bool) -> None:
    from bench.cli.tables import study_table

    print_json(found.as_json()) if as_json else study_table(found)


def _settings(**options: Any) -> SearchSpec:
    """Return the options that a study stores."""
    from bench.tuning.open_study import SearchSpec

    same = ("model", "task", "recipe", "preset", "overrides", "data", "test_data", "max_steps")
    asked = {name: options[name] for name in (*same, "simulate", "simulate_rows")}
    further = ("epochs", "fraction", "max_memory", "sampler", "sampler_seed", "beat")
    rest = {
        "seeds": options["seeds"] or (0,),
        "max_parameters": options["max_params"],
        "pruned": not options["no_pruning"],
        **{option: options[option] for option in further},
    }
    return SearchSpec(request=make_request(**asked), spaces=options["spaces"], rest=rest)
