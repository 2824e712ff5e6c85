"""Sums that a run is resampled from: a few hundred kilobytes in place of its predictions.

A resample gives every cluster of rows a weight, and a weighted correlation needs but weighted sums
of x, x², xy (and of 1, y, y² of the truth). Clusters are dealt into at most 2,048 groups, a group's
clusters share one weight, and so a run is known by its sums over each group. Dealing at random
keeps the variance unbiased, but for the factor 1 - 1/groups, and its error is known: a relative
standard deviation of sqrt(1 / (2 x 2048)) = 1.6% of a standard error. Clusters that belong to the
same subsets are dealt one after the other, so that those of a small subset share no group.

Legend: N test rows, M rows or pairs of a subset, G groups with any of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.leaderboards.statistics.clusters import Clusters, find_clusters
from bench.leaderboards.statistics.influence import Ordered, spearman_influence
from bench.metrics import pearson
from bench.scoring.scorer import values_of

Vector = NDArray[np.float64]
Integers = NDArray[np.int64]

GROUPS = 2048
VERSION = 1
"""Of what a sketch holds and how groups are dealt; a change makes stored sketches useless."""
COLUMNS = 4
"""Sums of a run: x, x², xy, and the influence on the rank correlation."""


@dataclass(frozen=True)
class Subset:
    """One subset's truth.

    Attributes:
        units: Rows ``(M,)`` or pairs ``(M, 2)``.
        groups: ``(G,)`` groups that hold any of them, ascending.
        place: ``(M,)`` which of these each is in.
        truth: ``(M,)`` values of the truth, in order.
        standard: ``(M,)`` the same with mean 0 and variance 1; NaN where all are equal.
        sums: ``(G, 3)`` sums of 1, y and y² of ``standard``.
    """

    units: Integers
    groups: Integers
    place: Integers
    truth: Ordered
    standard: Vector
    sums: Vector

    def sum(self, *columns: Vector) -> Vector:
        """Sum columns ``(M,)`` by group: ``(G, columns)``."""
        size = len(self.groups)
        return np.stack([np.bincount(self.place, column, size) for column in columns], axis=1)


@dataclass(frozen=True)
class Sketch:
    """One run's predictions, as far as resampling needs them.

    Attributes:
        sums: By subset ``(G, 4)``, float32; NaN where the correlation has no value.
        points: By figure, such as ``all/pearson``: the value without resampling, or NaN.
        problem: Why figures are NaN, in one line; empty if none is.
    """

    sums: Mapping[str, NDArray[np.float32]]
    points: Mapping[str, float]
    problem: str


@dataclass(frozen=True)
class Design:
    """What all runs of one leaderboard have in common: truth, subsets, clusters and groups."""

    truth: Vector
    subsets: Mapping[str, Subset]
    clusters: Clusters

    @property
    def groups(self) -> int:
        """Groups of all clusters."""
        return min(self.clusters.count, GROUPS)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that a sketch depends on but the predictions."""
        digest = hashlib.blake2b(f"{VERSION} {GROUPS}".encode(), digest_size=8)
        digest.update(np.ascontiguousarray(self.truth).data)
        for name, subset in self.subsets.items():
            digest.update(f"{name} {subset.units.shape}".encode())
            for array in (subset.units, subset.groups[subset.place]):
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def make_design(
    truth: Vector, units: Mapping[str, Integers], links: Iterable[Integers] = ()
) -> Design:
    """Find clusters, deal them into groups and sum the truth over them.

    Args:
        truth: ``(N,)`` finite targets.
        units: By subset, rows ``(M,)`` or pairs ``(M, 2)``: :meth:`bench.task.Task.units`.
        links: ``(K, 2)`` rows that belong together besides those of a pair, such as
            :func:`~bench.leaderboards.statistics.clusters.link_equal` of the sequences' hashes.

    Raises:
        BenchError: Units or links name a row that is not there.
    """
    clusters = find_clusters(len(truth), units, links)
    group_of = _deal(clusters)
    subsets = {}
    for name, of in units.items():
        groups, place = np.unique(group_of[clusters.of_unit[name]], return_inverse=True)
        values = values_of(truth, of)
        bare = Subset(of, groups, place, Ordered(values), _standard(values), np.empty(0))
        sums = bare.sum(np.ones(len(of)), bare.standard, bare.standard**2)
        subsets[name] = Subset(of, groups, place, bare.truth, bare.standard, sums)
    return Design(truth, subsets, clusters)


def make_sketch(design: Design, predictions: NDArray[np.floating]) -> Sketch:
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
    points: dict[str, float] = {}
    problems: list[str] = []
    unknown = int(np.count_nonzero(~np.isfinite(guess)))
    if unknown:
        problems.append(f"{unknown:,} of {len(guess):,} predictions are not finite")
    for name, subset in design.subsets.items():
        x = values_of(guess, subset.units)
        reason = "" if np.isfinite(x).all() else "not finite"
        reason = reason or _constant(subset.truth.values, "truth") or _constant(x, "predictions")
        if reason:
            sums[name] = np.full((len(subset.groups), COLUMNS), np.nan, dtype=np.float32)
            points |= {f"{name}/pearson": np.nan, f"{name}/spearman": np.nan}
            problems += [] if reason == "not finite" else [f"{name}: {reason}"]
        else:
            sums[name], found = _sums(subset, x)
            points |= {f"{name}/{figure}": value for figure, value in found.items()}
    return Sketch(sums, points, "; ".join(problems))


def _sums(subset: Subset, x: Vector) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Sum the columns of one subset, and take both correlations."""
    standard = _standard(x)
    rho, influence = spearman_influence(Ordered(x), subset.truth)
    sums = subset.sum(standard, standard**2, standard * subset.standard, influence)
    points = {"pearson": pearson(x, subset.truth.values), "spearman": rho}
    return sums.astype(np.float32), points


def _constant(values: Vector, what: str) -> str:
    if len(values) < 2:
        return "fewer than two of them"
    return f"{what} are constant" if np.ptp(values) == 0 else ""


def _standard(values: Vector) -> Vector:
    """Scale values to mean 0 and variance 1, so that single precision holds their sums."""
    if len(values) < 2 or np.ptp(values) == 0:
        return np.full(len(values), np.nan)
    centred = values - values.mean()
    centred /= np.abs(centred).max()  # neither over- nor underflows when squared
    return (centred - centred.mean()) / centred.std()


def _deal(clusters: Clusters) -> Integers:
    """Give every cluster a group: its own where there are enough."""
    if clusters.count <= GROUPS:
        return np.arange(clusters.count)
    member = np.zeros((len(clusters.of_unit), clusters.count), dtype=bool)
    for row, of in zip(member, clusters.of_unit.values(), strict=True):
        row[of] = True
    shuffled = np.random.default_rng(VERSION).permutation(clusters.count)
    order = shuffled[np.lexsort(member[:, shuffled])]
    groups = np.empty(clusters.count, dtype=np.int64)
    groups[order] = np.arange(clusters.count) % GROUPS
    return groups
