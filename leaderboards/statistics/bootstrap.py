"""Resamples the test rows of many runs at once, by matrix products of weights and sketches.

A resample multiplies clusters of rows by weights of mean 1 and variance 1 that take the values
0, 1, 2, … as counts of a resample with replacement do (Poisson bootstrap: Chamandy et al. 2012,
"Estimating uncertainty for massive data streams"). The same weights hold for every run, subset and
figure, so differences of runs are paired and the overall score keeps the covariance of its parts.

Exact under the weights w of the groups: Pearson's r, from weighted sums. To the first order:
Spearman's rho, whose ranks would have to be found anew in each resample. From the influences psi
(:mod:`bench.leaderboards.statistics.influence`) it is taken, on Fisher's scale, where it is nearly
linear, as ``tanh(atanh(rho) + sum(w psi) / sum(w) / (1 - rho²))``. Against ranks found anew, a
resample is off by 0.1, 0.1 and 0.3 standard errors at 370 rows (rho 0.3, 0.8, 0.95), and by 0.04,
0.06 and 0.1 at 2,000; the standard error itself by at most 4% and 0.4%.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.leaderboards.statistics.sufficient_statistics import COLUMNS, Design, Sketch

Floats = NDArray[np.floating]
Figures = Mapping[str, Floats]
Combine = Callable[[Mapping[str, Any]], Mapping[str, Any]]

RESAMPLES = 10_000
FEW = 50
"""Effective clusters below which intervals tend to be too short."""
_CHUNK = 500  # resamples at once: weights of 4 MB, products of 8 MB for 1,000 runs
_TIMES = (95, 92, 48, 18, 1, 2)  # of 256: how often a weight is 0, 1, … 5
_FLAT = 1e-5  # of a variance of 1: below, single precision has no digits left

WEIGHTS = np.repeat(np.arange(len(_TIMES)), _TIMES).astype(np.float32)
"""Weight of every byte: mean and variance are exactly 1, the third and fourth central moments
0.98 and 4, where Poisson's are 1 and 4."""


@dataclass(frozen=True)
class Draws:
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
    design: Design,
    sketches: Mapping[str, Sketch],
    *,
    figures: tuple[str, ...],
    combine: Combine = dict,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Draws:
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
    names = [f"{name}/{metric}" for name in design.subsets for metric in ("pearson", "spearman")]
    parts = {name: np.array([s.points[name] for s in sketches.values()]) for name in names}
    points = {**parts, **combine(parts)}
    for name in figures:
        if name not in points:
            raise BenchError(f"figure {name!r}: there are: {', '.join(points)}.")
    sums = _stack(design, sketches)
    samples = {name: np.empty((resamples, len(runs)), dtype=np.float32) for name in figures}
    for rows, weights in _weights(resamples, design.groups, seed):
        drawn = _correlations(design, sums, parts, weights)
        drawn |= combine(drawn)
        for name in figures:
            samples[name][rows] = drawn[name]
    problems = {run: sketch.problem for run, sketch in sketches.items() if sketch.problem}
    kept = {name: points[name] for name in figures}
    return Draws(runs, kept, samples, problems, tuple(notes(design)))


def weighted_pearson(truth: Floats, run: Floats) -> Floats:
    """Return r from weighted sums of standardized values, in -1..1 or NaN.

    Args:
        truth: ``(3, ...)`` weighted sums of 1, y, y².
        run: ``(3, ...)`` weighted sums of x, x², xy, of shapes that broadcast with the truth's.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        n, y, yy = truth
        x, xx, xy = run / n
        y, yy = y / n, yy / n
        x_variance, y_variance = xx - x * x, yy - y * y
        r = np.clip((xy - x * y) / np.sqrt(x_variance * y_variance), -1, 1)
        return np.where((x_variance > _FLAT) & (y_variance > _FLAT), r, np.nan)


def _weights(resamples: int, groups: int, seed: int) -> Iterator[tuple[slice, Floats]]:
    """Yield weights of all groups, some resamples at a time: ``(resamples, groups)``, float32."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        stop = min(start + _CHUNK, resamples)
        size = (stop - start) * groups
        words = rng.integers(0, 2**64, -(-size // 8), dtype=np.uint64)  # eight weights each
        yield slice(start, stop), WEIGHTS[words.view(np.uint8)[:size]].reshape(-1, groups)


def _stack(design: Design, sketches: Mapping[str, Sketch]) -> dict[str, NDArray[np.float32]]:
    """Lay the runs' sums side by side: by subset ``(G, 4 * runs)``, column by column."""
    stacked = {
        name: np.stack([sketch.sums[name] for sketch in sketches.values()], axis=2)
        for name in design.subsets
    }
    return {
        name: sums.reshape(len(sums), COLUMNS * len(sketches)) for name, sums in stacked.items()
    }


def _correlations(
    design: Design,
    sums: Mapping[str, NDArray[np.float32]],
    points: Figures,
    weights: Floats,
) -> dict[str, Floats]:
    """Take both correlations of every subset and run under weights ``(R, groups)``."""
    drawn: dict[str, Floats] = {}
    for name, subset in design.subsets.items():
        of = weights[:, subset.groups]  # (R, G)
        truth = (of @ subset.sums.astype(np.float32)).T[:, :, None]  # (3, R, 1)
        run = (of @ sums[name]).reshape(len(of), COLUMNS, -1)  # (R, 4, runs)
        run = run.transpose(1, 0, 2)
        r = weighted_pearson(truth, run[:3])
        drawn[f"{name}/pearson"] = r
        rho = points[f"{name}/spearman"]
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = run[3] / truth[0]
            room = 1 - rho * rho  # a perfect order has no influences and stays
            moved = np.tanh(np.arctanh(rho) + shift / room)
        drawn[f"{name}/spearman"] = np.where(room > _FLAT, moved, rho + shift)
    return drawn


def notes(design: Design) -> Iterator[str]:
    """Say, one line each, what a reader of intervals should know of the rows."""
    for name in design.subsets:
        effective = design.clusters.effective(name)
        if effective < FEW:
            yield f"{name}: as few as {effective:.0f} clusters of rows; intervals are too short"
