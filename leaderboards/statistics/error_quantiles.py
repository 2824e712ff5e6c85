"""Quantiles of an error whose variance is partly known and partly estimated from a few seeds.

The variance has a share v that is practically known, and a share w = 1 - v that is estimated with d
degrees of freedom. The quantile at a normal score s is the weighted average of both quantiles::

    Q(s) = v s + w t(d, s)        t: Student's quantile at the normal probability of s

(Cochran and Cox 1950, Experimental Designs). Without seeds this is the normal quantile, and with
the variance of seeds alone Student's; in between it is slightly too wide. A single number of
degrees of freedom for the total variance (Satterthwaite 1946) is too narrow here: an estimate that
is small by chance also gets too many degrees of freedom. With three seeds its family-wise error
rate reached 12% instead of the nominal 5%; with Q(s) it stays below 5%.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]

_FARTHEST = 30  # largest normal score: a probability of 5e-198
_PER_SCORE = 64  # entries of a table for one unit of the normal score
_PER_DEGREE = 16  # tables for one degree of freedom; degrees are rounded down to a table
_HALVINGS = 40


@dataclass(frozen=True)
class Error:
    """Errors of an array of values.

    Attributes:
        known: Variance that is practically known, above 0.
        estimated: Variance estimated from seeds; 0 for a value of one seed.
        freedom: Degrees of freedom of ``estimated``; at least 1 where it is above 0.
    """

    known: Vector
    estimated: Vector
    freedom: Vector

    @cached_property
    def standard(self) -> Vector:
        """Standard errors."""
        return np.sqrt(self.known + self.estimated)

    def reach(self, score: ArrayLike) -> Vector:
        """Return the quantiles of the errors at a normal score in 0..30, such as 1.96."""
        scores = np.broadcast_to(np.asarray(score, dtype=np.float64), self.known.shape)
        place = scores * _PER_SCORE
        below = np.minimum(place.astype(np.int64), _FARTHEST * _PER_SCORE - 1)
        rest = place - below
        tables, table = self._tables
        left, right = tables[table, below], tables[table, below + 1]
        student = np.sinh(left + rest * (right - left))
        return (self.known * scores + self.estimated * student) / self.standard

    def score(self, difference: Vector) -> Vector:
        """Return the normal scores at which the quantiles equal differences of at least 0."""
        low, high = np.zeros_like(difference), np.full_like(difference, _FARTHEST)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            beyond = self.reach(middle) > difference
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return low

    @cached_property
    def _tables(self) -> tuple[Vector, NDArray[np.intp]]:
        """Tables of Student's quantiles by degrees of freedom, and the table of each error."""
        parts = np.floor(_PER_DEGREE * self.freedom + 1e-9)
        parts = np.where(self.estimated > 0, parts, _PER_DEGREE)
        different, table = np.unique(parts, return_inverse=True)
        return np.stack([_student(d / _PER_DEGREE) for d in different.tolist()]), table


@cache
def _student(freedom: float) -> Vector:
    """Return a table of asinh of Student's quantiles, nearly linear, by normal score."""
    from scipy import stats

    scores = np.arange(_FARTHEST * _PER_SCORE + 1) / _PER_SCORE
    return np.arcsinh(stats.t.isf(stats.norm.sf(scores), freedom))
