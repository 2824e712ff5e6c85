"""Sums that a run is resampled from: a few hundred kilobytes in place of its predictions.

A resample gives every cluster of rows a weight, and a weighted correlation needs but weighted sums
of x, x², xy (and of 1, y, y² of the truth); a metric that does not follow from them has a column of
influences of its own. Clusters are dealt into at most 2,048 groups, a group's
clusters share one weight, and so a run is known by its sums over each group. Dealing at random
keeps the variance unbiased, but for the factor 1 - 1/groups, and its error is known: a relative
standard deviation of sqrt(1 / (2 x 2048)) = 1.6% of a standard error. Clusters that belong to the
same subsets are dealt one after the other, so that those of a small subset share no group.

Legend: N test rows, M rows or pairs of a subset, G groups with any of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.leaderboards.statistics.clusters import Clusters, find_clusters
from bench.leaderboards.statistics.influence import group_influence
from bench.metrics import METRICS, STANDARD, Metric, Ordered
from bench.scoring.scorer import values_of

Vector = NDArray[np.float64]
Integers = NDArray[np.int64]

GROUPS = 2048
VERSION = 2
"""Version of what a sketch holds and how groups are dealt; another makes stored ones useless."""
MOMENTS = 3
"""Columns of every run: x, x² and xy; those of influences follow."""
_SHUFFLE = 1  # seeds the order in which clusters are dealt


@dataclass(frozen=True)
class Subset:
    """One subset's truth.

    Attributes:
        units: Rows ``(M,)`` or pairs ``(M, 2)``.
        groups: ``(G,)`` groups that hold any of them, ascending.
        place: ``(M,)`` which of these each is in.
        truth: ``(M,)`` values of the truth, which know their order.
        standard: ``(M,)`` the same, in the same rows, with mean 0 and variance 1; 0 where all are
            equal.
        sums: ``(G, 3)`` sums of 1, y and y² of ``standard``.
        scale: Mean and standard deviation of the truth.
    """

    units: Integers
    groups: Integers
    place: Integers
    truth: Ordered
    standard: Vector
    sums: Vector
    scale: tuple[float, float]

    def sum(self, *columns: Vector) -> Vector:
        """Sum columns ``(M,)`` by group: ``(G, columns)``."""
        size = len(self.groups)
        return np.stack([np.bincount(self.place, column, size) for column in columns], axis=1)


@dataclass(frozen=True)
class SufficientStatistics:
    """One run's predictions, as far as resampling needs them.

    Attributes:
        sums: Columns of sums by subset ``(G, columns)``, float32.
        scales: Mean and standard deviation of the predictions by subset.
        points: Value without resampling by figure, such as ``all/mse``; NaN where there is none.
        problem: Why figures are NaN, in one line; empty if none is.
    """

    sums: Mapping[str, NDArray[np.float32]]
    scales: Mapping[str, tuple[float, float]]
    points: Mapping[str, float]
    problem: str


@dataclass(frozen=True)
class ResamplingPlan:
    """What all runs of one leaderboard have in common, but for the test rows' sequences."""

    truth: Vector
    subsets: Mapping[str, Subset]
    clusters: Clusters
    metrics: tuple[Metric, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every metric of every subset, such as ``all/pearson``."""
        return tuple(f"{name}/{metric.name}" for name in self.subsets for metric in self.metrics)

    @cached_property
    def _influenced(self) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.metrics if metric.from_moments is None)

    @property
    def columns(self) -> int:
        """Number of sums that a run has of every group."""
        return MOMENTS + len(self._influenced)

    def column(self, metric: Metric) -> int:
        """Return the place of a metric's influences among the sums."""
        return MOMENTS + self._influenced.index(metric)

    @property
    def groups(self) -> int:
        """Groups of all clusters."""
        return min(self.clusters.count, GROUPS)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that a sketch depends on but the predictions."""
        digest = hashlib.blake2b(f"{VERSION} {GROUPS}".encode(), digest_size=8)
        for metric in self.metrics:
            digest.update(_identity(metric).encode())
        digest.update(np.ascontiguousarray(self.truth).data)
        for name, subset in self.subsets.items():
            digest.update(f"{name} {subset.units.shape}".encode())
            for array in (subset.units, subset.groups[subset.place]):
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def make_resampling_plan(
    truth: Vector,
    units: Mapping[str, Integers],
    links: Iterable[Integers] = (),
    metrics: tuple[Metric, ...] = STANDARD,
) -> ResamplingPlan:
    """Find clusters, deal them into groups and sum the truth over them.

    Args:
        truth: ``(N,)`` finite targets.
        units: By subset, rows ``(M,)`` or pairs ``(M, 2)``: :meth:`bench.task.Task.scoring_groups`.
        links: ``(K, 2)`` rows that belong together besides those of a pair, such as
            :func:`~bench.leaderboards.statistics.clusters.link_equal` of the sequences' hashes.
        metrics: Metrics that runs are resampled by.

    Raises:
        BenchError: Units or links name a row that is not there.
    """
    clusters = find_clusters(len(truth), units, links)
    group_of = _deal(clusters)
    subsets = {}
    for name, of in units.items():
        groups, place = np.unique(group_of[clusters.of_unit[name]], return_inverse=True)
        values = values_of(truth, of)
        standard, scale = _standard(values)
        bare = Subset(of, groups, place, Ordered(values), standard, np.empty(0), scale)
        sums = bare.sum(np.ones(len(of)), standard, standard**2)
        subsets[name] = replace(bare, sums=sums)
    return ResamplingPlan(truth, subsets, clusters, metrics)


def make_statistics(
    design: ResamplingPlan, predictions: NDArray[np.floating]
) -> SufficientStatistics:
    """Sum one run's predictions over groups, and take its figures.

    Args:
        design: What the runs have in common.
        predictions: ``(N,)`` in the order of the test rows. With a value that is not finite, or
            none that differ, figures are NaN and the sketch says why.

    Raises:
        BenchError: Not one prediction a test row.
    """
    guess = np.asarray(predictions, dtype=np.float64)
    if guess.shape != design.truth.shape:
        raise BenchError(
            f"predictions of shape {guess.shape} for {len(design.truth):,} test rows. "
            "Give one value a row."
        )
    sums: dict[str, NDArray[np.float32]] = {}
    scales: dict[str, tuple[float, float]] = {}
    points: dict[str, float] = {}
    problems: list[str] = []
    unknown = int(np.count_nonzero(~np.isfinite(guess)))
    if unknown:
        problems.append(f"{unknown:,} of {len(guess):,} predictions are not finite")
    for name, subset in design.subsets.items():
        x = values_of(guess, subset.units)
        found = dict.fromkeys((metric.name for metric in design.metrics), np.nan)
        if np.isfinite(x).all():
            sums[name], scales[name], found = _sums(design, subset, x)
            if missing := [metric for metric, value in found.items() if np.isnan(value)]:
                reason = _constant(subset.truth.values, "truth") or _constant(x, "predictions")
                problems.append(f"{name}: {reason or 'no value of ' + ', '.join(missing)}")
        else:
            sums[name] = np.full((len(subset.groups), design.columns), np.nan, dtype=np.float32)
            scales[name] = np.nan, np.nan
        points |= {f"{name}/{metric}": value for metric, value in found.items()}
    return SufficientStatistics(sums, scales, points, "; ".join(problems))


def _sums(
    design: ResamplingPlan, subset: Subset, x: Vector
) -> tuple[NDArray[np.float32], tuple[float, float], dict[str, float]]:
    """Sum the columns of one subset, and return them with the scale of x and all metrics."""
    standard, scale = _standard(x)
    sums = np.empty((len(subset.groups), design.columns), dtype=np.float32)
    sums[:, :MOMENTS] = subset.sum(standard, standard**2, standard * subset.standard)
    ordered, points = Ordered(x), {}
    for metric in design.metrics:
        if metric.from_moments is not None:
            points[metric.name] = metric(x, subset.truth.values)
        elif metric.influence is not None:
            points[metric.name], influence = metric.influence(ordered, subset.truth)
            sums[:, design.column(metric)] = subset.sum(influence)[:, 0]
        else:
            points[metric.name], sums[:, design.column(metric)] = group_influence(
                metric, x, subset.truth.values, subset.place, len(subset.groups)
            )
    return sums, scale, points


def _constant(values: Vector, what: str) -> str:
    if len(values) < 2:
        return "fewer than two of them"
    return f"{what} are constant" if np.ptp(values) == 0 else ""


def _standard(values: Vector) -> tuple[Vector, tuple[float, float]]:
    """Scale values to mean 0 and variance 1, so that single precision holds their sums.

    Returns:
        The scaled values, 0 where all are equal, and the mean and standard deviation they had.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return np.zeros(len(values)), (float(values[0]) if len(values) else 0.0, 0.0)
    mean = values.mean()
    centred = values - mean
    largest = np.abs(centred).max()
    centred /= largest  # neither over- nor underflows when squared
    rest, std = centred.mean(), centred.std()
    return (centred - rest) / std, (float(mean + largest * rest), float(largest * std))


def _identity(metric: Metric) -> str:
    """Name a metric so that another function under its name has another identity.

    A metric of a user's file is known by the content of that file.
    """
    if METRICS.get(metric.name) is metric:
        return metric.name
    code = getattr(metric.function, "__code__", None)
    path = Path(code.co_filename) if code is not None else None
    content = path.read_bytes() if path is not None and path.is_file() else repr(code).encode()
    return f"{metric.name} {hashlib.blake2b(content, digest_size=16).hexdigest()}"


def _deal(clusters: Clusters) -> Integers:
    """Give every cluster a group: its own where there are enough."""
    if clusters.count <= GROUPS:
        return np.arange(clusters.count)
    member = np.zeros((len(clusters.of_unit), clusters.count), dtype=bool)
    for row, of in zip(member, clusters.of_unit.values(), strict=True):
        row[of] = True
    shuffled = np.random.default_rng(_SHUFFLE).permutation(clusters.count)
    order = shuffled[np.lexsort(member[:, shuffled])]
    groups = np.empty(clusters.count, dtype=np.int64)
    groups[order] = np.arange(clusters.count) % GROUPS
    return groups
