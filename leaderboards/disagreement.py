"""Finds the test sequences, or pairs of them, that two runs disagree on most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TestSet
from bench.data.sequences import decode
from bench.scoring.scorer import values_of

Vector = NDArray[np.float64]

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A test sequence, or a pair, on which the runs disagree.

    Attributes:
        rows: Of the test file, from 0; two for a pair.
        sequences: One a row.
        truth: As measured; of a pair, the first less the second.
        a, b: Predictions of each run, likewise.
        apart: How far they are, in standard deviations of each run's own predictions.
    """

    rows: tuple[int, ...]
    sequences: tuple[str, ...]
    truth: float
    a: float
    b: float
    apart: float


def disagreements(
    test: TestSet, units: NDArray[np.int64], predictions: Sequence[Vector]
) -> tuple[Disagreement, ...]:
    """Return the ten units whose predictions, each run's on its own scale, are furthest apart.

    Args:
        test: The test rows.
        units: Rows ``(M,)``, or pairs ``(M, 2)`` whose differences are looked at.
        predictions: Of both runs, ``(N,)`` each.
    """
    a, b = (values_of(values, units) for values in predictions)
    truth = values_of(test.target, units)
    apart = np.abs(_standard(a) - _standard(b))
    order = np.argsort(-np.nan_to_num(apart), kind="stable")[:SHOWN]
    found = []
    for place in order:
        rows = np.atleast_1d(units[place])
        letters = decode(test.sequences.take(rows).tokens)
        lengths = test.sequences.lengths[rows]
        found.append(
            Disagreement(
                rows=tuple(int(row) for row in rows),
                sequences=tuple(t[:n] for t, n in zip(letters, lengths, strict=True)),
                truth=float(truth[place]),
                a=float(a[place]),
                b=float(b[place]),
                apart=float(apart[place]),
            )
        )
    return tuple(found)


def _standard(values: Vector) -> Vector:
    """Scale to mean 0 and deviation 1: runs may predict on other scales; equal values become 0."""
    deviation = values.std()
    return (values - values.mean()) / (deviation if deviation > 0 else 1.0)
