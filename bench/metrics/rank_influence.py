"""The influence of each row on a rank correlation, exact also with ties.

Legend: M rows; F, G the mid-distribution functions of x and y, that is (mean rank - 1/2) / M.

Spearman's rho is (E[F G] - 1/4) / sqrt(var F var G). A row's influence is the derivative of rho
when the row gains weight (Croux and Dehon 2010, doi:10.1007/s10260-010-0142-z, for continuous
values)::

    C = E[F G]               12 {F G + E[G(Y) H(X - x)] + E[F(X) H(Y - y)] - 3 C}, H = 0, 1/2, 1

Ties lower var F to (1 - sum of p³) / 12, where p is the share of rows with one value, and the
influence of a row on var F is (sum of p³ - p²) / 4. The chain rule combines the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Ordered:
    """The values ``(M,)`` of a vector with their order, ties and ranks."""

    values: Vector

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Rows from the lowest value to the highest."""
        return np.argsort(self.values)

    @cached_property
    def level(self) -> NDArray[np.intp]:
        """Number of each row's distinct value, from 0, in ascending order of the rows."""
        ordered = self.values[self.order]
        return np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])

    @cached_property
    def ends(self) -> NDArray[np.intp]:
        """Number of rows up to and including each distinct value, after a leading 0."""
        changes = np.flatnonzero(np.diff(self.level)) + 1
        return np.concatenate([[0], changes, [len(self.values)]])

    @cached_property
    def share(self) -> Vector:
        """Share of the rows that have each distinct value."""
        return np.diff(self.ends) / len(self.values)

    @cached_property
    def distribution(self) -> Vector:
        """Mid-distribution function of each row, ``(M,)`` in 0..1, with mean 1/2."""
        middle = (self.ends[1:] + self.ends[:-1]) / (2 * len(self.values))
        return self._by_row(middle)

    @cached_property
    def variance(self) -> float:
        """Variance of :attr:`distribution`: about 1/12, less with ties."""
        return float(1 - np.sum(self.share**3)) / 12

    @cached_property
    def variance_influence(self) -> Vector:
        """Influence of each row on :attr:`variance`, ``(M,)``."""
        return self._by_row((np.sum(self.share**3) - self.share**2) / 4)

    def mean_above(self, of: Vector) -> Vector:
        """Return E[of H(X - x)] of each row: the sum of ``of`` over higher rows, divided by M."""
        sums = np.concatenate([[0.0], np.cumsum(of[self.order])])[self.ends]
        return self._by_row(sums[-1] - (sums[1:] + sums[:-1]) / 2) / len(self.values)

    def _by_row(self, of_level: Vector) -> Vector:
        out = np.empty(len(self.values))
        out[self.order] = of_level[self.level]
        return out


def spearman_influence(x: Ordered, y: Ordered) -> tuple[float, Vector]:
    """Return the rank correlation, in -1..1, and every row's influence on it.

    Args:
        x: Values ``(M,)``.
        y: Values ``(M,)``.

    Returns:
        Rho, equal to :func:`bench.metrics.spearman` up to rounding, and influences ``(M,)`` whose
        sum is 0; all NaN for fewer than two rows, or if all x or all y are equal.
    """
    if len(x.values) < 2 or not x.variance or not y.variance:
        return math.nan, np.full(len(x.values), math.nan)
    f, g = x.distribution, y.distribution
    together = float(np.mean(f * g))
    scale = math.sqrt(x.variance * y.variance)
    rho = min(1.0, max(-1.0, (together - 0.25) / scale))
    joint = f * g + x.mean_above(g) + y.mean_above(f) - 3 * together
    spread = x.variance_influence / x.variance + y.variance_influence / y.variance
    return rho, joint / scale - rho / 2 * spread
