"""Which test rows are resampled together.

A bootstrap that draws rows one by one takes rows that say the same thing for independent ones, and
its intervals come out too short (Cameron and Miller 2015, doi:10.3368/jhr.50.2.317). So whole
clusters are drawn: connected components of rows that are linked, because they make up a pair,
repeat a sequence, or overlap on a chromosome. A pair is drawn with the cluster of its rows.

Some pairs are made around a few scaffolds: of the DREAM test rows, 2,624 pairs of motif_tiling
share three references, 3,287 pairs of motif_perturbation ten. By its links each of these subsets
is one to three clusters, and of one to three there is nothing to draw. A scaffold therefore links
nothing: it was chosen, not sampled, and a pair is drawn with its other row. Intervals of such a
subset say what other variants of the same scaffolds would give, not what other scaffolds would.
The pairs of SNVs keep all their links: components of at most a few hundred rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import BenchError

Integers = NDArray[np.int64]

_PAIRS, _SHARE = 10, 0.02
"""A scaffold is in more pairs of its subset than both: below fifty clusters, intervals are too
short (Cameron, Gelbach and Miller 2008, doi:10.1162/rest.90.3.414)."""


@dataclass(frozen=True)
class Clusters:
    """What is drawn together.

    Attributes:
        of_unit: By subset, the cluster of every row or pair: ``(M,)`` numbers from 0.
        count: Clusters of all test rows.
    """

    of_unit: Mapping[str, Integers]
    count: int

    def effective(self, subset: str) -> float:
        """Count a subset's clusters as if of equal size: (sum of sizes)² / sum of squares."""
        sizes = np.bincount(self.of_unit[subset]).astype(np.float64)
        return float(sizes.sum() ** 2 / max(np.square(sizes).sum(), 1.0))


def find_clusters(
    rows: int, units: Mapping[str, Integers], links: Iterable[Integers] = ()
) -> Clusters:
    """Join test rows that are linked.

    Args:
        rows: Test rows, N.
        units: By subset, rows ``(M,)`` or pairs ``(M, 2)``: :meth:`bench.task.Task.scoring_groups`.
        links: ``(K, 2)`` rows that belong together besides those of a pair.

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
    """Link rows with equal keys ``(N,)``, such as the hashes of their letters: ``(K, 2)``."""
    values = np.asarray(keys)
    order = np.argsort(values, kind="stable")
    equal = values[order[1:]] == values[order[:-1]]
    return np.stack([order[:-1][equal], order[1:][equal]], axis=1).astype(np.int64)


def _scaffolds(pairs: Integers, rows: int) -> NDArray[np.bool_]:
    """Mark rows that too many pairs share: ``(N,)``."""
    held = np.bincount(pairs.ravel(), minlength=rows)
    return held > max(_PAIRS, _SHARE * len(pairs))


def _drawn_with(pairs: Integers, is_scaffold: NDArray[np.bool_]) -> Integers:
    """Pick the row whose cluster a pair is drawn with: the first, unless it alone is a scaffold."""
    second = is_scaffold[pairs[:, 0]] & ~is_scaffold[pairs[:, 1]]
    return np.where(second, pairs[:, 1], pairs[:, 0])


def _components(rows: int, edges: Integers) -> tuple[Integers, int]:
    """Number connected components ``(N,)`` from 0, and count them."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = np.ones(len(edges), dtype=bool)
    graph = coo_matrix((links, (edges[:, 0], edges[:, 1])), shape=(rows, rows))
    count, of_row = connected_components(graph, directed=False)
    return of_row.astype(np.int64), int(count)
