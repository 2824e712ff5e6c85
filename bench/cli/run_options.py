"""What several commands are asked for alike: a model on a task, trained by a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bench.cli.common import F, Folder, home_option, plugins
from bench.errors import BenchError
from bench.paths import runs_dir

if TYPE_CHECKING:
    from bench.runner.request import Request

_OPTIONS = (
    click.option("--model", help="A name from `bench models`."),
    click.option("--task", help="A name from `bench tasks`, or a table of your own."),
    click.option("--recipe", default="standard", show_default=True, help="standard or paper."),
    click.option(
        "--preset",
        default="paper",
        show_default=True,
        help="Size and budget: smoke (a minute on two cores), quick, or the paper's.",
    ),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="SECTION.FIELD=VALUE",
        help="Change a field of model, recipe or task; may be repeated.",
    ),
    click.option(
        "--data", type=Folder, help="Folder of the data.  [BENCH_DATA/TASK, else the cache]"
    ),
    click.option("--test-data", type=Folder, help="Folder of the test files, if another."),
    click.option("--download", is_flag=True, help="Fetch first what is missing of the data."),
    click.option("--simulate", is_flag=True, help="Train and test on a simulated assay."),
    click.option("--rows", type=click.IntRange(1000), help="Simulated rows.  [100000]"),
    click.option(
        "--fraction",
        type=click.FloatRange(0, 1, min_open=True),
        help="Train on a part of the training rows, the same for every seed.",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
    click.option("--epochs", type=click.IntRange(1), help="Short for --set recipe.epochs=N."),
    click.option("--max-steps", type=click.IntRange(1), help="Plan for so many updates at most."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 …"),
    click.option(
        "--batch-per-device",
        type=click.IntRange(1),
        help="Sequences at once, where memory is short.",
    ),
    click.option("--compile", "compiled", is_flag=True, help="Trace the model with torch.compile."),
    home_option,
    plugins,
)


def asks_for_a_run(command: F) -> F:
    """Add the options that :func:`requested` makes a request of."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_HERE = ("device", "batch_per_device", "checkpoint_minutes", "force", "home")
DECIDES = (
    *("model", "task", "recipe", "preset", "assignments", "data", "test_data", "download"),
    *("simulate", "rows", "fraction", "seed", "epochs", "max_steps", "max_time", "compiled"),
    "force",
)


def requested(
    *,
    model: str | None,
    task: str | None,
    assignments: tuple[str, ...],
    simulate: bool,
    rows: int | None,
    max_time: float | None = None,
    **asked: Any,
) -> Request:
    """Make a request of what was typed."""
    from bench.config import split_assignments
    from bench.runner.request import Request

    if model is None or task is None:
        missing = "--model" if model is None else "--task"
        raise BenchError(f"{missing} is missing: bench run --model NAME --task NAME.")
    if rows is not None and not simulate:
        raise BenchError("--rows goes with --simulate. For a part of real data: --fraction.")
    return Request(
        model=model,
        task=task,
        overrides=split_assignments(assignments),
        simulate_rows=(rows or 100_000) if simulate else None,
        max_seconds=None if max_time is None else max_time * 60,
        **asked,
    )


def resumed(reference: str, typed: list[str], asked: dict[str, Any]) -> Request:
    """Make a request of what an earlier run was asked for, on today's devices."""
    from bench.results import run_folder
    from bench.runner.request import Request

    if typed:
        option = typed[0].replace("_", "-").replace("assignments", "set")
        raise BenchError(f"--resume {reference} has its settings already: leave out --{option}.")
    path = run_folder.find_run(reference, runs_dir(asked["home"]), option="--resume")
    manifest = run_folder.read_manifest(path)
    if "request" not in manifest:
        raise BenchError(f"--resume {reference}: it has no record of what was asked for.")
    here = {name: asked[name] for name in _HERE}
    return Request.from_json(manifest["request"], **{**here, "resume": path, "home": path.parent})
