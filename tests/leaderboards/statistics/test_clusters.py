"""Clusters against components found by hand and by exhaustive search; the real pair lists."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.genomics.intervals import link_overlapping
from bench.leaderboards.statistics.clusters import find_clusters, link_equal
from bench.registry import TASKS
from bench.sources.locate import load_test, with_subset

windows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(1, 12)))


def same(labels: Any) -> list[list[int]]:
    """Return the rows of each cluster, without the cluster's number."""
    labels = np.asarray(labels)
    return sorted(np.flatnonzero(labels == label).tolist() for label in set(labels.tolist()))


def joined(rows: int, links: Any) -> list[list[int]]:
    """Return connected components, found by merging sets until none changes."""
    sets = [{row} for row in range(rows)]
    for a, b in np.asarray(links).reshape(-1, 2).tolist():
        one = next(found for found in sets if a in found)
        other = next(found for found in sets if b in found)
        if one is not other:
            sets.remove(other)
            one |= other
    return sorted(sorted(found) for found in sets)


def test_rows_of_a_pair_and_linked_rows_are_one_cluster() -> None:
    units = {"all": np.arange(8), "pairs": np.array([[1, 0], [2, 1], [5, 4]])}
    found = find_clusters(8, units, [np.array([[4, 7]])])
    assert same(found.of_unit["all"]) == [[0, 1, 2], [3], [4, 5, 7], [6]]
    assert found.count == 4
    assert found.of_unit["pairs"].tolist() == found.of_unit["all"][[0, 0, 4]].tolist()
    assert found.effective("all") == pytest.approx(8**2 / (9 + 1 + 9 + 1))
    assert found.effective("pairs") == pytest.approx(3**2 / (4 + 1))


def test_without_links_every_row_is_its_own() -> None:
    found = find_clusters(5, {"all": np.arange(5), "few": np.array([3, 1])})
    assert same(found.of_unit["all"]) == [[0], [1], [2], [3], [4]]
    assert found.effective("few") == 2


@pytest.mark.parametrize("column", [0, 1])
def test_a_scaffold_of_many_pairs_links_nothing(column: int) -> None:
    pairs = np.stack([np.arange(1, 41), np.zeros(40, dtype=np.int64)], axis=1)
    pairs = pairs if column else pairs[:, ::-1]  # the scaffold is the second of a pair, the first
    units = {"all": np.arange(60), "tiling": pairs, "single": np.array([[50, 51], [0, 52]])}
    found = find_clusters(60, units)
    assert len(set(found.of_unit["tiling"].tolist())) == 40
    assert same(found.of_unit["all"])[0] == [0, 52]  # pairs of another subset link it like any row


def test_ten_pairs_may_share_a_row() -> None:
    for size, clusters in ((10, 1), (11, 11)):
        pairs = np.stack([np.arange(1, size + 1), np.zeros(size, dtype=np.int64)], axis=1)
        found = find_clusters(20, {"all": np.arange(20), "pairs": pairs})
        assert len(set(found.of_unit["pairs"].tolist())) == clusters


@given(st.lists(st.integers(0, 5), max_size=20))
def test_equal_keys_are_linked(keys: list[int]) -> None:
    expected = sorted([i for i, key in enumerate(keys) if key == wanted] for wanted in set(keys))
    assert joined(len(keys), link_equal(keys)) == expected


@given(windows)
def test_overlapping_windows_are_linked(found: list[tuple[int, int, int]]) -> None:
    chromosome = [f"chr{number}" for number, _, _ in found]
    start = [place for _, place, _ in found]
    end = [place + width for _, place, width in found]
    pairs = [
        (i, j)
        for i in range(len(found))
        for j in range(i)
        if chromosome[i] == chromosome[j] and start[i] < end[j] and start[j] < end[i]
    ]
    links = link_overlapping(chromosome, start, end)
    assert joined(len(found), links) == joined(len(found), pairs)
    units = {"all": np.arange(len(found))}
    assert same(find_clusters(len(found), units, [links]).of_unit["all"]) == joined(
        len(found), pairs
    )


@pytest.mark.parametrize(
    ("units", "links"),
    [([0, 9], []), ([-1], []), ([[0, 9]], []), ([0], [[0, 9]])],
)
def test_a_row_that_is_not_there_is_named(units: Any, links: Any) -> None:
    with pytest.raises(BenchError, match=r"row (9|-1) is not one of the 9 test rows"):
        find_clusters(9, {"some": np.array(units)}, [np.array(links, dtype=int).reshape(-1, 2)])


def test_no_cluster_of_the_real_test_rows_is_giant(real_data: Path) -> None:
    """With links through scaffolds, one component held a whole subset: no bootstrap is possible."""
    folder = Path(os.environ["BENCH_DATA"]) / "dream"
    task_class = TASKS.get("dream")
    task = task_class(task_class.Options())
    test = load_test(task, "dream", folder)
    derived = folder / "all_SNVs_seqs.derived.csv"
    if derived.is_file():
        test = with_subset(task, test, "SNVs", derived)
    found = find_clusters(len(test), task.scoring_groups(test, "private"))
    for name, of in found.of_unit.items():
        assert np.bincount(of).max() < 300, name
        assert len(np.unique(of)) > 300, name
