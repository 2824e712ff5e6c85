"""The cache of statistics: a file is read as it was written, and only for the same content."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.leaderboards.statistics import statistics_cache
from bench.leaderboards.statistics.clusters import link_equal
from bench.leaderboards.statistics.statistics_cache import cached_statistics
from bench.leaderboards.statistics.sufficient_statistics import (
    ResamplingPlan,
    SufficientStatistics,
    make_resampling_plan,
    make_statistics,
)

TRUTH = np.random.default_rng(0).normal(size=60)
GUESS = (TRUTH + np.random.default_rng(1).normal(size=60)).astype(np.float32)
UNITS = {"all": np.arange(60), "pairs/odd": np.arange(40).reshape(20, 2), "flat": np.arange(1)}


def same(one: SufficientStatistics, other: SufficientStatistics) -> None:
    np.testing.assert_equal(one.sums, other.sums)
    np.testing.assert_equal(one.points, other.points)
    assert one.problem == other.problem


@pytest.fixture
def plan() -> ResamplingPlan:
    return make_resampling_plan(TRUTH, UNITS)


def test_statistics_are_made_once(
    tmp_path: Path, plan: ResamplingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cached_statistics(tmp_path / "new", plan, GUESS)
    same(made, make_statistics(plan, GUESS))
    assert made.problem == "flat: fewer than two values"
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".npz"]
    monkeypatch.delattr(statistics_cache, "make_statistics")
    same(cached_statistics(tmp_path / "new", make_resampling_plan(TRUTH, UNITS), GUESS), made)


def test_other_content_is_another_file(tmp_path: Path, plan: ResamplingPlan) -> None:
    changed = GUESS.copy()
    changed[7] += 1e-6
    truth = TRUTH.copy()
    truth[7] += 1e-12
    designs = [
        plan,
        make_resampling_plan(truth, UNITS),
        make_resampling_plan(TRUTH, {**UNITS, "all": np.arange(1, 60)}),
        make_resampling_plan(TRUTH, UNITS, [link_equal(np.arange(60) // 2)[25:]]),
    ]
    for made in designs:
        cached_statistics(tmp_path, made, GUESS)
    cached_statistics(tmp_path, plan, changed)
    cached_statistics(tmp_path, plan, GUESS.astype(np.float64))
    assert len(list(tmp_path.iterdir())) == len(designs) + 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and no more", None])
def test_a_damaged_file_is_written_anew(
    tmp_path: Path, plan: ResamplingPlan, damage: bytes | None
) -> None:
    made = cached_statistics(tmp_path, plan, GUESS)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-200] if damage is None else damage)
    same(cached_statistics(tmp_path, plan, GUESS), made)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("name", ["0.npy", "points.npy"])
def test_an_array_with_a_damaged_header_is_written_anew(
    tmp_path: Path, plan: ResamplingPlan, name: str
) -> None:
    """The checksums of the archive are right, so NumPy's parser is what finds the damage."""
    made = cached_statistics(tmp_path, plan, GUESS)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content.replace(b"}", b"(") if member == name else content)
    same(cached_statistics(tmp_path, plan, GUESS), made)
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, plan: ResamplingPlan) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        BenchError, match=r"cannot write sufficient statistics to .*/file: .*BENCH_CACHE"
    ):
        cached_statistics(tmp_path / "file", plan, GUESS)
