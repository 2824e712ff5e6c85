"""Compares two runs: by how much figures differ, how sure that is, and over which sequences.

Every figure of both runs is taken in the same resamples of the test rows
(:mod:`bench.leaderboards.statistics.bootstrap`). Divided by its standard deviation over resamples,
the largest |difference| of all figures about its mean gives one reach for all intervals (max-T:
Westfall and Young 1993; Romano and Wolf 2005, doi:10.1198/016214504000000539): that all of them
hold the truth at once has a probability of 95%, however many subsets there are. Test rows are what
is drawn; one run each says nothing of other seeds.

Legend: R resamples, F figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.leaderboards.disagreement import Disagreement, disagreements
from bench.leaderboards.entries import Entry, find_entries, stored_predictions
from bench.leaderboards.statistics.bootstrap import RESAMPLES, BootstrapSamples, resample
from bench.leaderboards.statistics.clusters import link_equal
from bench.leaderboards.statistics.comparisons import rounding_error
from bench.leaderboards.statistics.statistics_cache import cached_statistics
from bench.leaderboards.statistics.sufficient_statistics import ResamplingPlan, make_resampling_plan
from bench.paths import cache_dir
from bench.scoring.comparability import available_parts
from bench.scoring.open_test import OpenTest, open_test
from bench.task import ScoreInfo, Task

if TYPE_CHECKING:
    import polars

Vector = NDArray[np.float64]

LEVEL = 0.95
_LOST = 0.05  # share of resamples without a value that a figure may have


@dataclass(frozen=True, slots=True)
class Difference:
    """One score of both runs.

    Attributes:
        figure: Name of the score.
        a, b: Value of each run.
        difference: First value less the second.
        error: Standard error of the difference over test rows.
        low, high: Interval of the difference, for all scores at once.
        p: Two-sided p-value, for all scores at once.
        higher_is_better: Direction of a better value.
        form: Format of a value in tables.
    """

    figure: str
    a: float
    b: float
    difference: float
    error: float
    low: float
    high: float
    p: float
    higher_is_better: bool = True
    form: str = ".4f"

    @property
    def better(self) -> str:
        """Letter of the better run; empty where the interval holds zero."""
        letters = "AB" if self.higher_is_better else "BA"
        return letters[0] if self.low > 0 else letters[1] if self.high < 0 else ""

    def as_json(self) -> dict[str, Any]:
        """Return it as a flat row."""
        shown = asdict(self)
        del shown["higher_is_better"], shown["form"]
        return {**shown, "better": self.better}


@dataclass(frozen=True, repr=False)
class RunComparison:
    """All that is known of two runs.

    Attributes:
        a, b: The runs.
        data: What they are filed under.
        primary: The figure that ranks, or the first there is.
        differences: In the order of the task's table; overall scores last.
        subset: Where disagreements were looked for.
        disagreements: The largest first.
        notes: What a reader should know, one line each.
    """

    a: Entry
    b: Entry
    data: str
    primary: str
    differences: tuple[Difference, ...]
    subset: str
    disagreements: tuple[Disagreement, ...]
    notes: tuple[str, ...]

    def table(self) -> polars.DataFrame:
        """Return a table of the differences: a row a score, with its interval."""
        import polars

        return polars.from_dicts([{**asdict(d), "better": d.better} for d in self.differences])

    def __repr__(self) -> str:
        return f"Versus(A={self.a.id!r}, B={self.b.id!r}: {self.verdict})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.verdict)}</p>{self.table()._repr_html_()}"

    @property
    def verdict(self) -> str:
        """Say in words which is better, and on what."""
        first = next(d for d in self.differences if d.figure == self.primary)
        better = first.better
        form = first.form
        if better:
            low, high = sorted((abs(first.low), abs(first.high)))
            told = f"{better} is better on {first.figure} by {abs(first.difference):{form}}"
        else:
            low, high = first.low, first.high
            told = f"A and B cannot be told apart on {first.figure}: {first.difference:+{form}}"
        others = [d for d in self.differences if d is not first]
        found = {name: [d.figure for d in others if d.better == name] for name in ("A", "B")}
        rest = [f"{name} is better on {', '.join(on)}" for name, on in found.items() if on]
        told = f"{told} ({low:{form}} to {high:{form}})"
        count = f"{len(others)} other{'' if len(others) == 1 else 's'}"
        told += f"; of {count}, {'; '.join(rest) or 'neither on any'}"
        return f"{told}; nothing is known of other seeds."

    def as_json(self) -> dict[str, Any]:
        """Return all of it as nested JSON values."""
        return {
            "a": _described(self.a),
            "b": _described(self.b),
            "data": self.data,
            "primary": self.primary,
            "verdict": self.verdict,
            "level": LEVEL,
            "differences": [d.as_json() for d in self.differences],
            "subset": self.subset,
            "disagreements": [asdict(d) for d in self.disagreements],
            "notes": list(self.notes),
        }


def compare_runs(
    first: str,
    second: str,
    *,
    home: Path,
    task_name: str | None = None,
    data: Path | None = None,
    subset: str = "all",
    resamples: int = RESAMPLES,
    console: Console = SILENT,
) -> RunComparison:
    """Compare two finished runs on the same test rows.

    Args:
        first: One run; see :func:`bench.leaderboards.entries.find_entries`.
        second: The other.
        home: Folder of all runs.
        task_name: The task, where it is a table that has moved; as recorded if None.
        data: Folder of the test rows; where the first run had them, if None.
        subset: Where to look for the sequences, or pairs, on which they disagree.
        resamples: Of the bootstrap.
        console: Where to tell of what reading the test rows takes.

    Raises:
        BenchError: A run cannot be found or compared; the field that differs is named.
    """
    a, b = find_entries((first, second), home)
    check_comparable(a, b)
    opened = _open(a, task_name or a.tags["task"], data, console)
    task, test = opened.task, opened.test
    units = task.scoring_groups(test, a.comparability.rows or available_parts(task, test)[0])
    if subset not in units:
        raise BenchError(f"{argument('subset')} {subset}: there are: {', '.join(units)}.")
    links = [link_equal(test.sequences.hashes()), task.linked_rows(test, opened.folder)]
    design = make_resampling_plan(test.target, units, links, task.all_metrics())
    predictions = [stored_predictions(entry).astype(np.float64) for entry in (a, b)]
    draws = _draws(design, task, predictions, resamples)
    differences, missing = differ(draws, task.score_info)
    primary = task.card.primary
    if primary not in {d.figure for d in differences}:
        primary = differences[0].figure
    shown = disagreements(test, units[subset], predictions)
    notes = (*draws.notes, *missing, *_unverified(a, b))
    return RunComparison(a, b, test.name, primary, differences, subset, shown, notes)


def check_comparable(a: Entry, b: Entry) -> None:
    """Raise a :class:`BenchError` if two runs cannot be compared; name what differs."""
    if (a.id, a.run) == (b.id, b.run):
        raise BenchError(f"{a.id} is both runs. Name two.")
    for entry in (a, b):
        if entry.status != "finished" or not entry.comparability.scored:
            raise BenchError(f"{entry.id} is {entry.status} and has no scores to compare.")
    if found := a.comparability.differences(b.comparability):
        raise BenchError(
            f"{a.id} and {b.id} cannot be compared: the second has {' and '.join(map(str, found))}."
        )


def differ(
    draws: BootstrapSamples, score_info: Callable[[str], ScoreInfo] = Task.score_info
) -> tuple[tuple[Difference, ...], list[str]]:
    """Take the differences of two runs, with intervals for all scores at once.

    Args:
        draws: Resamples of two runs, with every score that is to be compared.
        score_info: Function that says which direction of a score is better.

    Returns:
        Differences, and a line for each figure that has none.

    Raises:
        BenchError: No figure has a value.
    """
    names, missing = [], []
    for name, values in draws.points.items():
        known = np.isfinite(draws.samples[name]).all(axis=1).mean()
        if np.isfinite(values).all() and known >= 1 - _LOST:
            names.append(name)
        else:
            missing.append(f"{name}: no value, in one of the runs or in many resamples")
    if not names:
        raise BenchError(f"nothing to compare: {'; '.join(missing)}.")
    samples = np.stack([draws.samples[name] for name in names], axis=2)  # (R, 2, F)
    samples = samples[np.isfinite(samples).all(axis=(1, 2))].astype(np.float64)
    moved = samples[:, 0] - samples[:, 1]
    moved -= moved.mean(axis=0)
    points = np.array([draws.points[name] for name in names])
    infos = [score_info(name) for name in names]
    pairs = zip(points, infos, strict=True)
    rounding = np.array([rounding_error(of, info).max() for of, info in pairs])
    error = np.maximum(moved.std(axis=0), rounding)
    largest = np.sort(np.abs(moved / error).max(axis=1))
    reach = error * np.quantile(largest, LEVEL)
    gap = points[:, 0] - points[:, 1]
    above = len(largest) - np.searchsorted(largest, np.abs(gap) / error)
    p = (1 + above) / (1 + len(largest))
    columns = (points[:, 0], points[:, 1], gap, error, gap - reach, gap + reach, p)
    rows = zip(names, *(column.tolist() for column in columns), strict=True)
    return tuple(
        replace(Difference(*row), higher_is_better=info.higher_is_better, form=info.form)
        for row, info in zip(rows, infos, strict=True)
    ), missing


def _open(run: Entry, task_name: str, data: Path | None, console: Console) -> OpenTest:
    """Open the test rows that a run was scored on."""
    options = {
        name.removeprefix("task."): value
        for name, value in run.settings.items()
        if name.startswith("task.")
    }
    recorded = run.tags.get("test_folder")
    opened = open_test(task_name, options=options, data=data, recorded=recorded, console=console)
    opened.check_scored_here(run.id, run.comparability)
    return opened


def _draws(
    design: ResamplingPlan, task: Task, predictions: Sequence[Vector], resamples: int
) -> BootstrapSamples:
    """Resample every figure of both runs."""
    names = design.names
    scores = task.overall_scores({})
    folder = cache_dir() / "sketches"
    return resample(
        design,
        {n: cached_statistics(folder, design, v) for n, v in zip("AB", predictions, strict=True)},
        figures=(*names, *scores),
        combine=task.overall_scores,
        resamples=resamples,
    )


def _described(entry: Entry) -> dict[str, Any]:
    known = {"run": entry.run, "id": entry.id, "name": entry.name, "model": entry.model}
    return {**known, "seed": entry.seed, "verified": entry.verified}


def _unverified(a: Entry, b: Entry) -> list[str]:
    names = [name for name, entry in (("A", a), ("B", b)) if not entry.verified]
    return [f"{name} is unverified: nobody here knows how it was trained" for name in names]
