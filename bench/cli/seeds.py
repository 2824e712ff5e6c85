"""``bench run --seeds``: seeds of one model, trained one after another, and their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bench.cli.common import Whole, print_json
from bench.errors import BenchError, StoppedError

if TYPE_CHECKING:
    from bench.api.results import Run
    from bench.results.options import Request


def seed_list(ctx: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...]:
    """Return the seeds of a text such as "0,1,2"; none where the option is not typed."""
    if text is None:
        return ()
    seeds = tuple(Whole(0).convert(word.strip(), option, ctx) for word in text.split(","))
    if len(set(seeds)) < len(seeds):
        raise BenchError(f"--seeds {text}: each seed once.")
    return seeds


def train_seeds(
    request: Request, seeds: Sequence[int], train: Callable[[Request], Run | None], *, as_json: bool
) -> None:
    """Train a request with several seeds, and print a line for each seed and their mean.

    A seed that is finished is not trained again, and one that was interrupted is continued.

    Args:
        request: Options of the runs.
        seeds: Seeds, in the order of their training.
        train: Function that trains one request; None in a rank that does not lead.
        as_json: Whether to print a JSON object instead: the runs, and mean and sd of every score.
    """
    runs: list[Run] = []
    for seed in seeds:
        try:
            run = train(replace(request, seed=seed))
        except StoppedError as error:
            left = "the same command goes on with the seeds that are left; "
            raise error.wrapped(f"{left if len(seeds) > 1 else ''}seed {seed} ") from None
        if run is None:
            continue
        runs.append(run)
        if not as_json:
            values = ", ".join(f"{name} {v:.4f}" for name, v in _scores(run).items())
            click.echo(f"seed {seed}: {values}; {run.id}")
    if runs and as_json:
        summary = {name: {"mean": mean, "sd": sd} for name, (mean, sd) in _summary(runs).items()}
        print_json({"runs": [run.manifest.to_json() for run in runs], "summary": summary})
    elif len(runs) > 1:
        values = ", ".join(f"{n} {mean:.4f} ± {sd:.4f}" for n, (mean, sd) in _summary(runs).items())
        click.echo(f"{len(runs)} seeds, mean ± standard deviation: {values}")


def _scores(run: Run) -> dict[str, float]:
    """Return the scores that a line shows: overall ones, else correlations over all rows."""
    from bench.metrics import STANDARD

    known = {name: value for name, value in run.metrics.items() if value is not None}
    overall = {
        name: known[name] for name in known if name.startswith("test/") and name.count("/") == 1
    }
    part = "test/all" if run.manifest.tested else "validation"
    shown = overall or {
        name: known[name] for metric in STANDARD if (name := f"{part}/{metric.name}") in known
    }
    return {name.removeprefix("test/"): value for name, value in shown.items()}


def _summary(runs: Sequence[Run]) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of the scores that all runs have; NaN for one run."""
    found = [_scores(run) for run in runs]
    names = [name for name in found[0] if all(name in scores for scores in found)]
    columns = {name: [scores[name] for scores in found] for name in names}
    return {
        name: (statistics.fmean(v), statistics.stdev(v) if len(v) > 1 else math.nan)
        for name, v in columns.items()
    }
