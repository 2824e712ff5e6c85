"""Comparisons of models: means of their runs over seeds, and differences of all pairs with errors.

A model's value is the mean over its S runs (seeds). Every run is scored on the same rows, so test
rows and seeds are crossed factors. The variance of the mean has two parts: the effect of the rows
that all runs share, and a part that falls with S::

    variance = C + s² / S    C: covariance of two of its runs over resamples, s²: variance of runs

s² contains the effect of seeds and the effect of rows on a single run. It is estimated with S - 1
degrees of freedom (:mod:`bench.leaderboards.statistics.error_quantiles`). For a difference of two
models, C is the variance of the difference of means over resamples, less the effect of rows on
single runs; the two s² / S are added, with Welch's degrees of freedom (1947,
doi:10.1093/biomet/34.1-2.28). A bootstrap of the S seeds would give (S - 1) / S of s², and normal
tails. With one run nothing is known of seeds: the error then contains the variance over resamples
only, and a note says so.

Many comparisons: every difference is converted to a normal score and compared with the largest
score of all pairs in each centred resample (max-T: Westfall and Young 1993; Romano and Wolf 2005,
doi:10.1198/016214504000000539). The probability of an error in any pair is then at most the
significance level. Scores of models on the same rows are correlated, so this test has more power
than Holm's method, and unlike p-values counted over resamples it works for thousands of pairs.

Legend: R resamples, M models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bench.leaderboards.statistics.bootstrap import BootstrapSamples
from bench.leaderboards.statistics.error_quantiles import Error
from bench.task import ScoreInfo

Vector = NDArray[np.float64]

POWER = 0.8
_ROUNDING = 1e-7  # relative error of a value in single precision
_SMALLEST = 1e-140  # smallest size of a value, so that its square is above 0


@dataclass(frozen=True)
class Models:
    """One score of every model.

    Attributes:
        names: Names of the M models.
        seeds: Number of runs of each model, ``(M,)``.
        values: Means over runs, ``(M,)``.
        rows: Means over runs in resamples of the test rows, ``(R, M)``.
        single: Variance of the mean by the effect of rows on single runs, ``(M,)``; 0 for one run.
        spread: Variance s² / S, ``(M,)``; 0 for one run.
        noise: Variance of rounding to single precision, ``(M,)``; no variance is smaller.
    """

    names: tuple[str, ...]
    seeds: NDArray[np.int64]
    values: Vector
    rows: Vector
    single: Vector
    spread: Vector
    noise: Vector

    def error(self) -> Error:
        """Return the errors of the values: ``(M,)``."""
        known = np.maximum(self.rows.var(axis=0) - self.single, self.noise)
        return Error(known, self.spread, np.maximum(self.seeds - 1.0, 1))

    def error_of_differences(self) -> Error:
        """Return the errors of the row's value less the column's, ``(M, M)``."""
        moved = self.rows - self.rows.mean(axis=0)
        covariance = moved.T @ moved / len(moved)
        own = np.diag(covariance) - self.single
        known = own[:, None] + own - 2 * covariance
        estimated = self.spread[:, None] + self.spread
        for own_variance in (known, estimated):
            np.fill_diagonal(own_variance, 0)
        squares = self.spread**2 / np.maximum(self.seeds - 1, 1)
        with np.errstate(invalid="ignore"):
            freedom = estimated**2 / (squares[:, None] + squares)
        least = np.maximum(self.noise[:, None], self.noise)
        return Error(np.maximum(known, least), estimated, np.nan_to_num(freedom, nan=1))

    def resampled(self) -> Vector:
        """Return resamples of rows and seeds ``(R, M)``, for each model by itself."""
        drawn = self.rows.copy()
        for model, name in enumerate(self.names):
            rng = np.random.default_rng(crc32(name.encode()))
            missing = max(0.0, self.spread[model] - self.single[model])
            drawn[:, model] += rng.normal(size=len(drawn)) * np.sqrt(missing)
        return drawn


@dataclass(frozen=True)
class Comparisons:
    """Differences of all pairs, the row's model less the column's: ``(M, M)`` each.

    Attributes:
        difference: Difference of the values.
        error: Standard error of the difference.
        low, high: Interval of one difference alone.
        p: Two-sided p-value of one difference alone.
        adjusted: Two-sided p-value adjusted for all pairs at once.
        level: Confidence of the intervals.
        higher_is_better: Direction of a better value.
        resolvable: Difference that the test of all pairs finds with a power of 80%, median over
            pairs: the critical value of a pair plus the 80% quantile of its error. NaN for a single
            model.
    """

    difference: Vector
    error: Vector
    low: Vector
    high: Vector
    p: Vector
    adjusted: Vector
    level: float
    higher_is_better: bool
    resolvable: float

    @property
    def better(self) -> NDArray[np.bool_]:
        """True where the row's model is significantly better than the column's, among all pairs."""
        ahead = self.difference > 0 if self.higher_is_better else self.difference < 0
        return np.asarray((self.adjusted <= 1 - self.level + 1e-12) & ahead)


def gather(resampled: BootstrapSamples, score: ScoreInfo, models: Mapping[str, str]) -> Models:
    """Return the models with the mean scores of their runs.

    Args:
        resampled: Bootstrap samples of runs, in which the score is finite.
        score: Score to average.
        models: Model of every run.
    """
    members: dict[str, list[int]] = {}
    for column, run in enumerate(resampled.runs):
        members.setdefault(models[run], []).append(column)
    points, samples = resampled.points[score.name], resampled.samples[score.name]
    seeds = np.array([len(columns) for columns in members.values()], dtype=np.int64)
    values, rows = np.empty(len(seeds)), np.empty((len(samples), len(seeds)))
    single, spread = np.zeros(len(seeds)), np.zeros(len(seeds))
    for model, columns in enumerate(members.values()):
        own = samples[:, columns].astype(np.float64)
        values[model], rows[:, model] = points[columns].mean(), own.mean(axis=1)
        if len(columns) > 1:
            moved = own - own.mean(axis=0)
            single[model] = moved.var(axis=1, ddof=1).mean() / len(columns)
            spread[model] = points[columns].var(ddof=1) / len(columns)
    noise = rounding_error(values, score) ** 2
    return Models(tuple(members), seeds, values, rows, single, spread, noise)


def rounding_error(values: Vector, score: ScoreInfo) -> Vector:
    """Return the error of values in single precision, never 0; a correlation counts as 1."""
    size = np.ones_like(values) if score.correlation else np.abs(values)
    return _ROUNDING * np.maximum(size, _SMALLEST)


def compare_models(models: Models, *, level: float, higher_is_better: bool = True) -> Comparisons:
    """Return the comparisons of all pairs of models on the same resamples."""
    from scipy import stats

    error = models.error_of_differences()
    difference = models.values[:, None] - models.values
    score = error.score(np.abs(difference))
    p = 2 * stats.norm.sf(score)
    largest = np.sort(_largest(models.resampled(), models.noise))
    above = len(largest) - np.searchsorted(largest, score)
    adjusted = np.maximum((1 + above) / (len(largest) + 1), p)
    np.fill_diagonal(adjusted, 1)
    reach = error.reach(stats.norm.isf((1 - level) / 2))
    found = error.reach(np.quantile(largest, level)) + error.reach(stats.norm.ppf(POWER))
    pairs = found[np.triu_indices(len(found), 1)]
    return Comparisons(
        difference=difference,
        error=error.standard,
        low=difference - reach,
        high=difference + reach,
        p=p,
        adjusted=adjusted,
        level=level,
        higher_is_better=higher_is_better,
        resolvable=float(np.median(pairs)) if len(pairs) else float("nan"),
    )


def _largest(drawn: Vector, noise: Vector) -> Vector:
    """Return the largest standardized |difference| of all pairs in every resample: ``(R,)``."""
    columns = np.ascontiguousarray((drawn - drawn.mean(axis=0)).T, dtype=np.float32)  # (M, R)
    largest = np.zeros(len(drawn), dtype=np.float32)
    noise = np.maximum(noise, np.finfo(np.float32).tiny).astype(np.float32)
    for model in range(len(columns) - 1):
        gap = columns[model + 1 :] - columns[model]
        least = np.maximum(noise[model + 1 :], noise[model])[:, None]
        scale = np.sqrt(np.maximum(np.square(gap).mean(axis=1, keepdims=True), least))
        np.maximum(largest, np.abs(gap / scale).max(axis=0), out=largest)
    return largest.astype(np.float64)
