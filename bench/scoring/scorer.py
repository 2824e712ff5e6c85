"""Scores predictions of a task's test rows: exact, without torch, the same for every model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.metrics import pearson, spearman
from bench.results.manifest import Manifest, ScoredRecord
from bench.task import Task

VERSION = 1
"""Raised whenever the same predictions could score otherwise; recorded with every result."""


@dataclass(frozen=True, slots=True)
class Correlations:
    """Both correlations over one subset; NaN where there is none."""

    n: int
    """Rows, or pairs of rows."""
    pearson: float
    spearman: float


@dataclass(frozen=True, slots=True)
class Scores:
    """What predictions came to.

    Attributes:
        rows: Which part of the test rows was scored.
        overall: The task's weighted scores, if it has any; NaN where a subset is missing.
        subsets: Correlations by subset, "all" first; None where the subset's file is missing.
        problems: Why figures are missing, one line a reason.
    """

    rows: str
    overall: Mapping[str, float]
    subsets: Mapping[str, Correlations | None]
    problems: tuple[str, ...]

    @property
    def n(self) -> int:
        """Test rows scored."""
        everything = self.subsets["all"]
        assert everything is not None
        return everything.n

    def figures(self) -> dict[str, float]:
        """Return every figure by one flat name, such as ``pearson_score`` or ``all/pearson``."""
        flat = dict(self.overall)
        for name, found in self.subsets.items():
            if found is not None:
                flat |= {f"{name}/pearson": found.pearson, f"{name}/spearman": found.spearman}
        return flat

    def outcome(self, test: TestSet) -> Manifest:
        """Return the part of a manifest that holds the scores and the rows that they are of."""
        return Manifest(
            metrics={f"test/{name}": value for name, value in self.figures().items()},
            scored=ScoredRecord(
                version=VERSION,
                rows=self.rows,
                n={name: found.n if found else None for name, found in self.subsets.items()},
                test=test.fingerprint,
                subsets=test.subsets_fingerprint,
                problems=self.problems,
            ),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the scores as nested JSON values; what has no value is null."""
        missing = {"n": None, "pearson": None, "spearman": None}
        return {
            **{name: _known(value) for name, value in self.overall.items()},
            "rows": self.rows,
            "n": self.n,
            "subsets": {
                name: missing
                if found is None
                else {
                    "n": found.n,
                    "pearson": _known(found.pearson),
                    "spearman": _known(found.spearman),
                }
                for name, found in self.subsets.items()
            },
            "problems": list(self.problems),
        }


def score(
    task: Task, test: TestSet, predictions: NDArray[np.floating[Any]], rows: str | None = None
) -> Scores:
    """Correlate predictions with the truth over every subset of a task.

    Args:
        task: Says over what.
        test: The truth.
        predictions: ``(N,)`` finite values in the order of the test rows.
        rows: Which part of the test rows; None for the part that ranks.

    Raises:
        BenchError: No such part, or its list of rows is missing.
    """
    ranked, problems = task.row_sets[0], []
    available = [part for part in task.row_sets if task.lacking(test, part) is None]
    if rows is None and ranked not in available:
        rows = available[0]
        problems.append(
            f"{task.lacking(test, ranked)} is missing: scored on {rows} rows, not {ranked} ones"
        )
    rows = rows or ranked
    if rows not in available:
        lacking = task.lacking(test, rows) if rows in task.row_sets else None
        reason = f"{lacking} is missing; " if lacking else ""
        raise BenchError(f"{argument('rows')} {rows!r}: {reason}there are: {', '.join(available)}.")
    units, truth, guess = task.units(test, rows), test.target, predictions.astype(np.float64)
    subsets = {
        name: _correlate(guess, truth, units[name]) if name in units else None
        for name in ("all", *task.subsets, *units)
    }
    flat = Scores(rows, {}, subsets, ()).figures()
    problems += _problems(test, subsets)
    return Scores(rows, task.overall(flat), subsets, tuple(problems))


def values_of(values: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Look up rows ``(M,)``, or the differences of pairs ``(M, 2)``, first less second."""
    picked: NDArray[np.float64] = values[units]
    return picked if units.ndim == 1 else picked[:, 0] - picked[:, 1]


def _correlate(
    guess: NDArray[np.float64], truth: NDArray[np.float64], units: NDArray[np.int64]
) -> Correlations:
    x, y = values_of(guess, units), values_of(truth, units)
    return Correlations(len(x), pearson(x, y), spearman(x, y))


def _problems(test: TestSet, subsets: Mapping[str, Correlations | None]) -> list[str]:
    problems = [
        f"{file} is missing: no figures for {name}, and no score"
        for name, file in test.missing.items()
        if subsets.get(name, ...) is None
    ]
    for name, found in subsets.items():
        if found is not None and (math.isnan(found.pearson) or math.isnan(found.spearman)):
            reason = (
                "fewer than two of them" if found.n < 2 else "predictions or truth are constant"
            )
            problems.append(f"{name}: no correlation, {reason}")
    return problems


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
