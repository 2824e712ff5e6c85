"""Comparison of two runs: differences of their scores with intervals, and disagreements.

Every score of both runs is computed in the same resamples of the test rows
(:mod:`bench.leaderboards.statistics.bootstrap`). In each resample, the difference of every score is
centred and divided by its std over resamples, and the largest absolute value of all scores is
taken. The 95% quantile of these largest values gives the width of all intervals (max-T: Westfall
and Young 1993; Romano and Wolf 2005, doi:10.1198/016214504000000539). All intervals together hold
the true differences with a probability of 95%, however many subsets there are. Only test rows are
resampled: one run of each model says nothing of other seeds.

Legend: R resamples, F scores.
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
from bench.leaderboards.artifacts import stored_predictions
from bench.leaderboards.disagreement import Disagreement, disagreements
from bench.leaderboards.entries import Entry, find_entries
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
_LOST = 0.05  # largest share of resamples in which a score may have no value


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two runs in one score.

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
        """Name of the better run, A or B; empty where the interval holds zero."""
        names = "AB" if self.higher_is_better else "BA"
        return names[0] if self.low > 0 else names[1] if self.high < 0 else ""

    def as_json(self) -> dict[str, Any]:
        """Return the difference as a flat row."""
        shown = asdict(self)
        del shown["higher_is_better"], shown["form"]
        return {**shown, "better": self.better}


@dataclass(frozen=True, repr=False)
class RunComparison:
    """The comparison of two runs.

    Attributes:
        a, b: The runs.
        data: Name that both runs are filed under.
        primary: Score that the verdict starts with: the one that ranks, or else the first.
        differences: Differences in the order of the task's table; overall scores last.
        subset: Subset in which disagreements were searched.
        disagreements: Sequences or pairs with the largest disagreement, the largest first.
        notes: Remarks for a reader, one line each.
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
        """Return a table of the differences: one row for each score, with its interval."""
        import polars

        return polars.from_dicts([{**asdict(d), "better": d.better} for d in self.differences])

    def __repr__(self) -> str:
        return f"RunComparison(A={self.a.id!r}, B={self.b.id!r}: {self.verdict})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.verdict)}</p>{self.table()._repr_html_()}"

    @property
    def verdict(self) -> str:
        """Sentence that names the better run, and the scores on which it is better."""
        first = next(d for d in self.differences if d.figure == self.primary)
        better, form = first.better, first.form
        if better:
            low, high = sorted((abs(first.low), abs(first.high)))
            told = f"{better} is better on {first.figure} by {abs(first.difference):{form}}"
        else:
            low, high = first.low, first.high
            told = f"A and B do not differ significantly on {first.figure}:"
            told += f" {first.difference:+{form}}"
        others = [d for d in self.differences if d is not first]
        found = {name: [d.figure for d in others if d.better == name] for name in ("A", "B")}
        rest = [f"{name} is better on {', '.join(on)}" for name, on in found.items() if on]
        told = f"{told} ({low:{form}} to {high:{form}})"
        count = f"{len(others)} other{'' if len(others) == 1 else 's'}"
        told += f"; of {count}, {'; '.join(rest) or 'neither on any'}"
        return f"{told}; nothing is known of other seeds."

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as nested JSON values."""
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
        first: Name of one run; see :func:`bench.leaderboards.entries.find_entries`.
        second: Name of the other run.
        home: Folder of all runs.
        task_name: Task, needed for a table that has moved; the recorded one if None.
        data: Folder of the test rows; the folder that the first run used if None.
        subset: Subset to search for the sequences, or pairs, on which the runs disagree most.
        resamples: Number of resamples of the bootstrap.
        console: Console that shows the progress of reading the test rows.

    Raises:
        BenchError: A run cannot be found or compared; the field that differs is named.
    """
    a, b = find_entries((first, second), home, console)
    check_comparable(a, b)
    opened = _open(a, task_name or a.tags["task"], data, console)
    task, test = opened.task, opened.test
    rows = a.comparability.rows or available_parts(task, test)[0]
    units = task.scoring_groups(test, rows)
    if subset not in units:
        raise BenchError(f"{argument('subset')} {subset}: there are: {', '.join(units)}.")
    links = [link_equal(test.sequences.hashes()), task.linked_rows(test, opened.folder)]
    plan = make_resampling_plan(test.target, units, links, task.all_metrics())
    predictions = [stored_predictions(e, len(test)).astype(np.float64) for e in (a, b)]
    resampled = _resampled(plan, task, predictions, resamples)
    differences, missing = differ(resampled, task.score_info)
    names, primary = [d.figure for d in differences], task.card.primary
    primary = primary if primary in names else names[0]
    shown = disagreements(test, units[subset], predictions)
    notes = (*resampled.notes, *missing, *task.remarks(test, rows), *_unverified(a, b))
    return RunComparison(a, b, test.name, primary, differences, subset, shown, notes)


def check_comparable(a: Entry, b: Entry) -> None:
    """Raise a :class:`BenchError` that names the differences if two runs cannot be compared."""
    if (a.id, a.run) == (b.id, b.run):
        raise BenchError(f"{a.id} is named twice. Name two different runs.")
    for entry in (a, b):
        if entry.status != "finished" or not entry.comparability.scored:
            raise BenchError(f"{entry.id} is {entry.status} and has no scores to compare.")
    if found := a.comparability.differences(b.comparability):
        raise BenchError(
            f"{a.id} and {b.id} cannot be compared: the second has {' and '.join(map(str, found))}."
        )


def differ(
    resampled: BootstrapSamples, score_info: Callable[[str], ScoreInfo] = Task.score_info
) -> tuple[tuple[Difference, ...], list[str]]:
    """Return the differences of two runs, with intervals for all scores at once.

    Args:
        resampled: Bootstrap samples of two runs, with every score to compare.
        score_info: Function that returns the direction and the format of a score.

    Returns:
        Differences, and a line for each score without one.

    Raises:
        BenchError: No score has a value.
    """
    names, missing = [], []
    for name, values in resampled.points.items():
        known = np.isfinite(resampled.samples[name]).all(axis=1).mean()
        if np.isfinite(values).all() and known >= 1 - _LOST:
            names.append(name)
        else:
            missing.append(f"{name}: no value, in one of the runs or in many resamples")
    if not names:
        raise BenchError(f"nothing to compare: {'; '.join(missing)}.")
    samples = np.stack([resampled.samples[name] for name in names], axis=2)  # (R, 2, F)
    samples = samples[np.isfinite(samples).all(axis=(1, 2))].astype(np.float64)
    moved = samples[:, 0] - samples[:, 1]
    moved -= moved.mean(axis=0)
    points = np.array([resampled.points[name] for name in names])
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
    """Return the opened test rows that a run was scored on."""
    options = {
        name.removeprefix("task."): value
        for name, value in run.settings.items()
        if name.startswith("task.")
    }
    recorded = run.tags.get("test_folder")
    opened = open_test(task_name, options=options, data=data, recorded=recorded, console=console)
    opened.check_scored_here(run.id, run.comparability)
    return opened


def _resampled(
    plan: ResamplingPlan, task: Task, predictions: Sequence[Vector], resamples: int
) -> BootstrapSamples:
    """Return bootstrap samples of every score of both runs."""
    names = plan.names
    scores = task.overall_scores({})
    folder = cache_dir() / "sketches"
    return resample(
        plan,
        {n: cached_statistics(folder, plan, v) for n, v in zip("AB", predictions, strict=True)},
        scores=(*names, *scores),
        combine=task.overall_scores,
        resamples=resamples,
    )


def _described(entry: Entry) -> dict[str, Any]:
    known = {"run": entry.run, "id": entry.id, "name": entry.name, "model": entry.model}
    return {**known, "seed": entry.seed, "verified": entry.verified}


def _unverified(a: Entry, b: Entry) -> list[str]:
    names = [name for name, entry in (("A", a), ("B", b)) if not entry.verified]
    return [f"{name} is unverified: its training is not recorded here" for name in names]
