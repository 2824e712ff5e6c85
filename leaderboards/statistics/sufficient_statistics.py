"""Sufficient statistics of a run for resampling: sums of a few hundred kilobytes, not predictions.

A resample gives every cluster of rows a weight. A weighted correlation needs only weighted sums of
x, x², xy (and of 1, y, y² of the truth); a metric that does not follow from them has its own column
of influences. Clusters are assigned to at most 2,048 groups, and the clusters of a group share one
weight, so the sums over each group are all that resampling needs. With a random assignment the
variance is unbiased, except for the factor 1 - 1/groups, and the relative std of a standard error
is sqrt(1 / (2 x 2048)) = 1.6%. Clusters that belong to the same subsets are assigned one after the
other, so that the clusters of a small subset share no group.

Legend: N test rows, M rows or pairs of a subset, G groups that contain any of them.
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
"""Version of the statistics and of the groups; files of another version are not used."""
MOMENTS = 3
"""Number of columns that every run has: x, x² and xy; columns of influences follow."""
_SHUFFLE = 1  # seed of the order in which clusters are assigned to groups


@dataclass(frozen=True)
class Subset:
    """The truth of one subset.

    Attributes:
        units: Rows ``(M,)`` or pairs ``(M, 2)``.
        groups: Groups ``(G,)`` that contain any of the units, ascending.
        place: Index in ``groups`` of each unit, ``(M,)``.
        truth: Values of the truth, ``(M,)``, with their sorted order.
        standard: Values of the truth, ``(M,)``, with mean 0 and variance 1; 0 if all are equal.
        sums: Sums of 1, y and y² of ``standard``, ``(G, 3)``.
        scale: Mean and std of the truth.
    """

    units: Integers
    groups: Integers
    place: Integers
    truth: Ordered
    standard: Vector
    sums: Vector
    scale: tuple[float, float]

    def sum(self, *columns: Vector) -> Vector:
        """Return the sums of columns ``(M,)`` by group: ``(G, columns)``."""
        size = len(self.groups)
        return np.stack([np.bincount(self.place, column, size) for column in columns], axis=1)


@dataclass(frozen=True)
class SufficientStatistics:
    """The sums of one run's predictions that resampling needs.

    Attributes:
        sums: Columns of sums by subset ``(G, columns)``, float32.
        scales: Mean and std of the predictions by subset.
        points: Value without resampling by metric, such as ``all/mse``; NaN if it has none.
        problem: Reason for metrics that are NaN, in one line; empty if none is.
    """

    sums: Mapping[str, NDArray[np.float32]]
    scales: Mapping[str, tuple[float, float]]
    points: Mapping[str, float]
    problem: str


@dataclass(frozen=True)
class ResamplingPlan:
    """The truth, subsets, clusters and metrics that all runs of one leaderboard share."""

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
        """Number of sums that a run has for every group."""
        return MOMENTS + len(self._influenced)

    def column(self, metric: Metric) -> int:
        """Return the column of a metric's influences among the sums."""
        return MOMENTS + self._influenced.index(metric)

    @property
    def groups(self) -> int:
        """Number of groups of all clusters."""
        return min(self.clusters.count, GROUPS)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything except the predictions that the statistics of a run depend on."""
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
    """Return the resampling plan of test rows: clusters in groups, and sums of the truth.

    Args:
        truth: Finite targets ``(N,)``.
        units: Rows ``(M,)`` or pairs ``(M, 2)`` by subset: :meth:`bench.task.Task.scoring_groups`.
        links: Linked rows ``(K, 2)``, in addition to the rows of a pair, such as
            :func:`~bench.leaderboards.statistics.clusters.link_equal` of the sequences' hashes.
        metrics: Metrics to resample.

    Raises:
        BenchError: Units or links contain a row that does not exist.
    """
    clusters = find_clusters(len(truth), units, links)
    group_of = _assign_groups(clusters)
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
    plan: ResamplingPlan, predictions: NDArray[np.floating]
) -> SufficientStatistics:
    """Return the sums of one run's predictions over groups, and its metrics.

    Args:
        plan: Resampling plan that the runs share.
        predictions: Predictions ``(N,)`` in the order of the test rows. If a value is not finite or
            all values are equal, metrics are NaN and ``problem`` holds the reason.

    Raises:
        BenchError: The number of predictions is not the number of test rows.
    """
    guess = np.asarray(predictions, dtype=np.float64)
    if guess.shape != plan.truth.shape:
        raise BenchError(
            f"predictions of shape {guess.shape} for {len(plan.truth):,} test rows. "
            "Give one value for each row."
        )
    sums: dict[str, NDArray[np.float32]] = {}
    scales: dict[str, tuple[float, float]] = {}
    points: dict[str, float] = {}
    problems: list[str] = []
    unknown = int(np.count_nonzero(~np.isfinite(guess)))
    if unknown:
        problems.append(f"{unknown:,} of {len(guess):,} predictions are not finite")
    for name, subset in plan.subsets.items():
        x = values_of(guess, subset.units)
        found = dict.fromkeys((metric.name for metric in plan.metrics), np.nan)
        if np.isfinite(x).all():
            sums[name], scales[name], found = _sums(plan, subset, x)
            if missing := [metric for metric, value in found.items() if np.isnan(value)]:
                reason = _constant(subset.truth.values, "truth") or _constant(x, "predictions")
                problems.append(f"{name}: {reason or 'no value of ' + ', '.join(missing)}")
        else:
            sums[name] = np.full((len(subset.groups), plan.columns), np.nan, dtype=np.float32)
            scales[name] = np.nan, np.nan
        points |= {f"{name}/{metric}": value for metric, value in found.items()}
    return SufficientStatistics(sums, scales, points, "; ".join(problems))


def _sums(
    plan: ResamplingPlan, subset: Subset, x: Vector
) -> tuple[NDArray[np.float32], tuple[float, float], dict[str, float]]:
    """Return the sums of one subset, the mean and std of x, and all metrics."""
    standard, scale = _standard(x)
    sums = np.empty((len(subset.groups), plan.columns), dtype=np.float32)
    sums[:, :MOMENTS] = subset.sum(standard, standard**2, standard * subset.standard)
    ordered, points = Ordered(x), {}
    for metric in plan.metrics:
        if metric.from_moments is not None:
            points[metric.name] = metric(x, subset.truth.values)
        elif metric.influence is not None:
            points[metric.name], influence = metric.influence(ordered, subset.truth)
            sums[:, plan.column(metric)] = subset.sum(influence)[:, 0]
        else:
            points[metric.name], sums[:, plan.column(metric)] = group_influence(
                metric, x, subset.truth.values, subset.place, len(subset.groups)
            )
    return sums, scale, points


def _constant(values: Vector, what: str) -> str:
    if len(values) < 2:
        return "fewer than two values"
    return f"{what} are constant" if np.ptp(values) == 0 else ""


def _standard(values: Vector) -> tuple[Vector, tuple[float, float]]:
    """Return values scaled to mean 0 and variance 1, so that single precision holds their sums.

    Returns:
        The scaled values, 0 where all are equal, and the mean and std before scaling.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return np.zeros(len(values)), (float(values[0]) if len(values) else 0.0, 0.0)
    mean = values.mean()
    centred = values - mean
    largest = np.abs(centred).max()
    centred /= largest  # so that squares neither overflow nor underflow
    rest, std = centred.mean(), centred.std()
    return (centred - rest) / std, (float(mean + largest * rest), float(largest * std))


def _identity(metric: Metric) -> str:
    """Return an identity of a metric that differs for another function with the same name.

    For a metric from a user's file, the identity contains a hash of that file.
    """
    if METRICS.get(metric.name) is metric:
        return metric.name
    code = getattr(metric.function, "__code__", None)
    path = Path(code.co_filename) if code is not None else None
    content = path.read_bytes() if path is not None and path.is_file() else repr(code).encode()
    return f"{metric.name} {hashlib.blake2b(content, digest_size=16).hexdigest()}"


def _assign_groups(clusters: Clusters) -> Integers:
    """Return the group of every cluster; a group of its own if there are enough groups."""
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
