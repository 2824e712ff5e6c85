"""The scorer of predictions of a task's test rows; it needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.metrics import Metric
from bench.results.manifest import Manifest, ScoredRecord
from bench.scoring.comparability import SCORER_VERSION, available_parts
from bench.task import Task

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, slots=True)
class SubsetScores:
    """The values of all metrics over one subset.

    Attributes:
        n: Number of rows, or pairs of rows.
        values: Values by name of the metric; NaN where a metric has no value.
    """

    n: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, repr=False)
class Scores:
    """The scores of predictions.

    Attributes:
        rows: Part of the test rows that was scored.
        metrics: Metrics in the order of a table.
        overall: Overall scores of the task, if it has any; NaN where a subset is missing.
        subsets: Metrics by subset, "all" first; None where the subset's file is missing.
        problems: Reasons why scores are missing or not comparable, one line each.
        members: Names of the runs whose mean was scored; empty for a single result.
    """

    rows: str
    metrics: tuple[Metric, ...]
    overall: Mapping[str, float]
    subsets: Mapping[str, SubsetScores | None]
    problems: tuple[str, ...]
    members: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of test rows scored."""
        everything = self.subsets["all"]
        assert everything is not None
        return everything.n

    def flat(self) -> dict[str, float]:
        """Return every score by name: the name of an overall score, or a name like ``all/mse``."""
        return {**self.overall, **_flat(self.subsets)}

    def outcome(self, test: TestSet) -> Manifest:
        """Return the part of a manifest that holds the scores and describes the scored rows."""
        return Manifest(
            metrics={f"test/{name}": value for name, value in self.flat().items()},
            scored=ScoredRecord(
                version=SCORER_VERSION,
                rows=self.rows,
                n={name: found.n if found else None for name, found in self.subsets.items()},
                test=test.fingerprint,
                subsets=test.subsets_fingerprint,
                problems=self.problems,
            ),
        )

    def table(self) -> polars.DataFrame:
        """Return a table with a row a subset and a column a metric."""
        import polars

        return polars.from_dicts(
            [
                {"subset": name, "n": found.n, **found.values}
                for name, found in self.subsets.items()
                if found is not None
            ]
        )

    def __repr__(self) -> str:
        known = {**self.overall, **_flat({"all": self.subsets["all"]})}
        values = ", ".join(f"{name}={value:.4f}" for name, value in known.items())
        mean = f", the mean of {len(self.members)} runs" if self.members else ""
        return f"Scores({self.rows} rows, n={self.n:,}{mean}, {values})"

    def _repr_html_(self) -> str:
        return str(self.table()._repr_html_())

    def as_json(self) -> dict[str, Any]:
        """Return the scores, and the members of an ensemble, as nested JSON values.

        A metric without a value is null.
        """
        missing = {"n": None, **dict.fromkeys(metric.name for metric in self.metrics)}
        return {
            **({"ensemble": list(self.members)} if self.members else {}),
            **{name: _known(value) for name, value in self.overall.items()},
            "rows": self.rows,
            "n": self.n,
            "subsets": {
                name: missing
                if found is None
                else {"n": found.n, **{key: _known(v) for key, v in found.values.items()}}
                for name, found in self.subsets.items()
            },
            "problems": list(self.problems),
        }


def score(
    task: Task, test: TestSet, predictions: NDArray[np.floating[Any]], rows: str | None = None
) -> Scores:
    """Return the value of every metric of a task over every subset.

    Args:
        task: Task that declares metrics and subsets.
        test: Test rows with their targets.
        predictions: Finite values ``(N,)`` in the order of the test rows.
        rows: Part of the test rows; None for the part that ranks.

    Raises:
        BenchError: There is no such part, or the file that lists its rows is missing.
    """
    ranked, problems = task.row_sets[0], []
    available = available_parts(task, test)
    if rows is None and ranked not in available:
        rows = available[0]
        file = task.missing_file(test, ranked)
        problems.append(f"{file} is missing: scored on {rows} rows, not {ranked} ones")
    rows = rows or ranked
    if rows not in available:
        missing = task.missing_file(test, rows) if rows in task.row_sets else None
        reason = f"{missing} is missing; " if missing else ""
        raise BenchError(f"{argument('rows')} {rows!r}: {reason}there are: {', '.join(available)}.")
    units, truth, guess = (
        task.scoring_groups(test, rows),
        test.target,
        predictions.astype(np.float64),
    )
    metrics = task.all_metrics()
    subsets = {
        name: _subset_scores(metrics, guess, truth, units[name]) if name in units else None
        for name in ("all", *task.subsets, *units)
    }
    problems += [*task.remarks(test, rows), *_problems(test, metrics, subsets)]
    overall = task.overall_scores(_flat(subsets))
    return Scores(rows, metrics, overall, subsets, tuple(problems))


def values_of(values: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the values of rows ``(M,)``, or the differences, first minus second, of row pairs.

    Args:
        values: Values ``(N,)`` of all rows.
        units: Row numbers ``(M,)``, or pairs of row numbers ``(M, 2)``.
    """
    picked: NDArray[np.float64] = values[units]
    return picked if units.ndim == 1 else picked[:, 0] - picked[:, 1]


def _subset_scores(
    metrics: tuple[Metric, ...],
    guess: NDArray[np.float64],
    truth: NDArray[np.float64],
    units: NDArray[np.int64],
) -> SubsetScores:
    x, y = values_of(guess, units), values_of(truth, units)
    return SubsetScores(len(x), {metric.name: metric(x, y) for metric in metrics})


def _flat(subsets: Mapping[str, SubsetScores | None]) -> dict[str, float]:
    return {
        f"{name}/{metric}": value
        for name, found in subsets.items()
        if found is not None
        for metric, value in found.values.items()
    }


def _problems(
    test: TestSet, metrics: tuple[Metric, ...], subsets: Mapping[str, SubsetScores | None]
) -> list[str]:
    problems = [
        f"{file} is missing: no metrics for {name}, and no overall score"
        for name, file in test.missing.items()
        if subsets.get(name, ...) is None
    ]
    for name, found in subsets.items():
        undefined = [m for m in metrics if found is not None and math.isnan(found.values[m.name])]
        if found is None or not undefined:
            continue
        reason = "fewer than two of them" if found.n < 2 else "predictions or truth are constant"
        if any(metric.correlation for metric in undefined):
            problems.append(f"{name}: no correlation, {reason}")
        problems += [f"{name}: no {m.label}" for m in undefined if not m.correlation]
    return problems


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
