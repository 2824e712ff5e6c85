"""The test sequences, or pairs of them, on which two runs disagree most."""

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
    """A test sequence, or a pair of them, on which two runs disagree.

    Attributes:
        rows: Row numbers of the test file, from 0; two for a pair.
        sequences: Sequence of each row.
        truth: Measured value; of a pair, the first less the second.
        a, b: Predictions of each run; of a pair, the first less the second.
        apart: Distance of the two predictions, each standardized to the mean and std of its run.
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
    """Return the ten rows or pairs whose standardized predictions differ most between two runs.

    Args:
        test: The test rows.
        units: Rows ``(M,)``, or pairs ``(M, 2)`` whose differences are compared.
        predictions: Predictions of both runs, ``(N,)`` each.
    """
    a, b = (values_of(values, units) for values in predictions)
    truth = values_of(test.target, units)
    apart = np.abs(_standard(a) - _standard(b))
    order = np.argsort(-np.nan_to_num(apart), kind="stable")[:SHOWN]
    found = []
    for place in order:
        rows = np.atleast_1d(units[place])
        bases = decode(test.sequences.take(rows).tokens)
        lengths = test.sequences.lengths[rows]
        found.append(
            Disagreement(
                rows=tuple(int(row) for row in rows),
                sequences=tuple(t[:n] for t, n in zip(bases, lengths, strict=True)),
                truth=float(truth[place]),
                a=float(a[place]),
                b=float(b[place]),
                apart=float(apart[place]),
            )
        )
    return tuple(found)


def _standard(values: Vector) -> Vector:
    """Return values scaled to mean 0 and std 1, or 0 if all are equal: runs use various scales."""
    std = values.std()
    return (values - values.mean()) / (std if std > 0 else 1.0)
