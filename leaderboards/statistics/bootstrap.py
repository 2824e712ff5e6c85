"""Resamples the test rows of many runs at once, by matrix products of weights and sketches.

A resample multiplies clusters of rows by weights of mean 1 and variance 1 that take the values
0, 1, 2, … as counts of a resample with replacement do (Poisson bootstrap: Chamandy et al. 2012,
"Estimating uncertainty for massive data streams"). The same weights hold for every run, subset and
figure, so differences of runs are paired and the overall score keeps the covariance of its parts.

Exact under the weights w of the groups: metrics that follow from weighted sums, and means over
rows. To the first order: all others, from the influences psi of rows or groups, as
``value + sum(w psi) / sum(w)``; correlations on Fisher's scale, where they are nearly linear, as
``tanh(atanh(rho) + sum(w psi) / sum(w) / (1 - rho²))``. Against Spearman's ranks found anew in each
resample, a resample is off by 0.1, 0.1 and 0.3 standard errors at 370 rows (rho 0.3, 0.8, 0.95),
and by 0.04, 0.06 and 0.1 at 2,000; the standard error itself by at most 4% and 0.4%. How a metric
is resampled, it says itself (:mod:`bench.metrics`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.leaderboards.statistics.sufficient_statistics import (
    MOMENTS,
    ResamplingPlan,
    SufficientStatistics,
)
from bench.metrics import Metric, Moments

Floats = NDArray[np.floating]
Figures = Mapping[str, Floats]
Combine = Callable[[Mapping[str, Any]], Mapping[str, Any]]

RESAMPLES = 10_000
FEW = 50
"""Effective clusters below which intervals tend to be too short."""
_CHUNK = 500  # resamples at once: weights of 4 MB, products of 8 MB for 1,000 runs
_TIMES = (95, 92, 48, 18, 1, 2)  # of 256: how often a weight is 0, 1, … 5
_PERFECT = 1e-5  # of 1 - rho²: below, single precision has no digits left

WEIGHTS = np.repeat(np.arange(len(_TIMES)), _TIMES).astype(np.float32)
"""Weight of every byte: mean and variance are exactly 1, the third and fourth central moments
0.98 and 4, where Poisson's are 1 and 4."""


@dataclass(frozen=True)
class BootstrapSamples:
    """Figures of every run, as they are and in every resample.

    Attributes:
        runs: Names of the runs.
        points: By figure ``(runs,)``, float64.
        samples: By figure ``(resamples, runs)``, float32; the same resamples for all.
        problems: By run, why it lacks figures.
        notes: What a reader of intervals should know, one line each.
    """

    runs: tuple[str, ...]
    points: Figures
    samples: Figures
    problems: Mapping[str, str]
    notes: tuple[str, ...]


def resample(
    design: ResamplingPlan,
    sketches: Mapping[str, SufficientStatistics],
    *,
    figures: tuple[str, ...],
    combine: Combine = dict,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> BootstrapSamples:
    """Take figures of all runs in resamples of the test rows.

    Args:
        design: What the runs have in common.
        sketches: By run.
        figures: Which to keep, such as ``all/pearson`` or what ``combine`` returns; memory is
            4 bytes a resample, run and figure.
        combine: Makes scores of the subsets' figures: :meth:`bench.task.Task.overall`, whose
            arithmetic works on arrays.
        resamples: How many; more go on where fewer ended.
        seed: Of the weights, which depend on nothing else but the number of groups.

    Raises:
        BenchError: There is no such figure, or no run.
    """
    runs = tuple(sketches)
    if not runs:
        raise BenchError("there are no runs to resample. Train or score one first.")
    parts = {name: np.array([s.points[name] for s in sketches.values()]) for name in design.names}
    combined = any(name not in parts for name in figures)
    points = {**parts, **combine(parts)} if combined else parts
    for name in figures:
        if name not in points:
            raise BenchError(f"figure {name!r}: there are: {', '.join(points)}.")
    sums, scales = _stack(design, sketches), _scales(design, sketches)
    samples = {name: np.empty((resamples, len(runs)), dtype=np.float32) for name in figures}
    for rows, weights in _weights(resamples, design.groups, seed):
        drawn = _resampled(design, sums, scales, parts, weights)
        drawn |= combine(drawn) if combined else {}
        for name in figures:
            samples[name][rows] = drawn[name]
    problems = {run: sketch.problem for run, sketch in sketches.items() if sketch.problem}
    kept = {name: points[name] for name in figures}
    return BootstrapSamples(runs, kept, samples, problems, tuple(few_clusters(design)))


def _weights(resamples: int, groups: int, seed: int) -> Iterator[tuple[slice, Floats]]:
    """Yield weights of all groups, some resamples at a time: ``(resamples, groups)``, float32."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        stop = min(start + _CHUNK, resamples)
        size = (stop - start) * groups
        words = rng.integers(0, 2**64, -(-size // 8), dtype=np.uint64)  # eight weights each
        yield slice(start, stop), WEIGHTS[words.view(np.uint8)[:size]].reshape(-1, groups)


def _stack(
    design: ResamplingPlan, sketches: Mapping[str, SufficientStatistics]
) -> dict[str, NDArray[np.float32]]:
    """Lay the runs' sums side by side: by subset ``(G, columns * runs)``, column by column."""
    stacked = {
        name: np.stack([sketch.sums[name] for sketch in sketches.values()], axis=2)
        for name in design.subsets
    }
    return {
        name: sums.reshape(len(sums), design.columns * len(sketches))
        for name, sums in stacked.items()
    }


def _scales(
    design: ResamplingPlan, sketches: Mapping[str, SufficientStatistics]
) -> dict[str, tuple[Floats, Floats]]:
    """Return means and standard deviations of the runs' predictions ``(runs,)`` by subset."""
    scales = {name: [s.scales[name] for s in sketches.values()] for name in design.subsets}
    return {name: (np.array(of)[:, 0], np.array(of)[:, 1]) for name, of in scales.items()}


def _resampled(
    design: ResamplingPlan,
    sums: Mapping[str, NDArray[np.float32]],
    scales: Mapping[str, tuple[Floats, Floats]],
    points: Figures,
    weights: Floats,
) -> dict[str, Floats]:
    """Take every metric of every subset and run under weights ``(R, groups)``."""
    drawn: dict[str, Floats] = {}
    for name, subset in design.subsets.items():
        of = weights[:, subset.groups]  # (R, G)
        truth = (of @ subset.sums.astype(np.float32)).T[:, :, None]  # (3, R, 1)
        run = (of @ sums[name]).reshape(len(of), design.columns, -1)  # (R, columns, runs)
        run = run.transpose(1, 0, 2)
        moments = Moments(truth, run[:MOMENTS], subset.scale, scales[name])
        for metric in design.metrics:
            figure = f"{name}/{metric.name}"
            if metric.from_moments is not None:
                drawn[figure] = metric.from_moments(moments)
            else:
                with np.errstate(invalid="ignore", divide="ignore"):
                    shift = run[design.column(metric)] / truth[0]
                    drawn[figure] = _moved(metric, points[figure], shift)
    return drawn


def _moved(metric: Metric, value: Floats, shift: Floats) -> Floats:
    """Add first-order changes ``(R, runs)`` to values ``(runs,)``."""
    if not metric.correlation:
        return value + shift
    room = 1 - value * value  # a perfect order has no influences and stays
    moved = np.tanh(np.arctanh(value) + shift / room)
    return np.where(room > _PERFECT, moved, value + shift)


def few_clusters(design: ResamplingPlan) -> Iterator[str]:
    """Say, one line each, what a reader of intervals should know of the rows."""
    for name in design.subsets:
        effective = design.clusters.effective(name)
        if effective < FEW:
            yield f"{name}: as few as {effective:.0f} clusters of rows; intervals are too short"
