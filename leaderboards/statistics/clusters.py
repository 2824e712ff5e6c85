"""Clusters of test rows that are resampled together.

A bootstrap of single rows treats dependent rows as independent, so its intervals are too short
(Cameron and Miller 2015, doi:10.3368/jhr.50.2.317). Whole clusters are therefore resampled. A
cluster is a connected component of linked rows: rows are linked if they form a pair, have the same
sequence, or overlap on a chromosome. A pair belongs to the cluster of its rows.

Some pairs share a few scaffold sequences: of the DREAM test rows, 2,624 pairs of motif_tiling share
three references, and 3,287 pairs of motif_perturbation share ten. With links through scaffolds,
each of these subsets would have only one to three clusters, too few for a bootstrap. A scaffold
therefore links no rows: it was chosen, not sampled, and a pair is resampled with its other row.
Intervals of such a subset hold for other variants of the same scaffolds, not for other scaffolds.
The pairs of SNVs keep all their links: their components have at most a few hundred rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import BenchError

Integers = NDArray[np.int64]

_PAIRS, _SHARE = 10, 0.02
"""A scaffold is a row in more pairs of its subset than this number, and than this share of them.
The share leaves about fifty clusters; with fewer, intervals are too short (Cameron, Gelbach and
Miller 2008, doi:10.1162/rest.90.3.414)."""


@dataclass(frozen=True)
class Clusters:
    """Clusters of the test rows.

    Attributes:
        of_unit: Cluster of every row or pair by subset: ``(M,)`` numbers from 0.
        count: Number of clusters of all test rows.
    """

    of_unit: Mapping[str, Integers]
    count: int

    def effective(self, subset: str) -> float:
        """Return the effective number of clusters of a subset: (sum of sizes)² / sum of squares."""
        sizes = np.bincount(self.of_unit[subset]).astype(np.float64)
        return float(sizes.sum() ** 2 / max(np.square(sizes).sum(), 1.0))


def find_clusters(
    rows: int, units: Mapping[str, Integers], links: Iterable[Integers] = ()
) -> Clusters:
    """Return the clusters of linked test rows.

    Args:
        rows: Number of test rows, N.
        units: Rows ``(M,)`` or pairs ``(M, 2)`` by subset: :meth:`bench.task.Task.scoring_groups`.
        links: Linked rows ``(K, 2)``, in addition to the rows of a pair.

    Raises:
        BenchError: A row is not among the N.
    """
    edges = [np.empty((0, 2), dtype=np.int64), *links]
    for named in (*edges, *units.values()):
        strange = named[(named < 0) | (named >= rows)]
        if len(strange):
            raise BenchError(
                f"row {strange[0]} is not one of the {rows:,} test rows, counted from 0. "
                "Give truth and subsets of the same test file."
            )
    scaffolds = {name: _scaffolds(of, rows) for name, of in units.items() if of.ndim == 2}
    for name, is_scaffold in scaffolds.items():
        edges.append(units[name][~is_scaffold[units[name]].any(axis=1)])
    of_row, count = _components(rows, np.concatenate(edges))
    of_unit = {
        name: of_row[of if of.ndim == 1 else _drawn_with(of, scaffolds[name])]
        for name, of in units.items()
    }
    return Clusters(of_unit, count)


def link_equal(keys: ArrayLike) -> Integers:
    """Return links ``(K, 2)`` of rows with equal keys ``(N,)``, such as hashes of sequences."""
    values = np.asarray(keys)
    order = np.argsort(values, kind="stable")
    equal = values[order[1:]] == values[order[:-1]]
    return np.stack([order[:-1][equal], order[1:][equal]], axis=1).astype(np.int64)


def _scaffolds(pairs: Integers, rows: int) -> NDArray[np.bool_]:
    """Return whether each row is a scaffold, in too many pairs: ``(N,)``."""
    held = np.bincount(pairs.ravel(), minlength=rows)
    return held > max(_PAIRS, _SHARE * len(pairs))


def _drawn_with(pairs: Integers, is_scaffold: NDArray[np.bool_]) -> Integers:
    """Return the row that gives each pair its cluster: the first, unless only it is a scaffold."""
    second = is_scaffold[pairs[:, 0]] & ~is_scaffold[pairs[:, 1]]
    return np.where(second, pairs[:, 1], pairs[:, 0])


def _components(rows: int, edges: Integers) -> tuple[Integers, int]:
    """Return the connected component of each row ``(N,)``, from 0, and the number of components."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = np.ones(len(edges), dtype=bool)
    graph = coo_matrix((links, (edges[:, 0], edges[:, 1])), shape=(rows, rows))
    count, of_row = connected_components(graph, directed=False)
    return of_row.astype(np.int64), int(count)
