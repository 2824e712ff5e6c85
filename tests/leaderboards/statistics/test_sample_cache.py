"""Bootstrap samples from cached files equal those of one resampling of all runs."""

from pathlib import Path

import numpy as np
import pytest

from bench.leaderboards.statistics import sample_cache
from bench.leaderboards.statistics.bootstrap import BootstrapSamples, resample
from bench.leaderboards.statistics.sample_cache import cached_samples
from bench.leaderboards.statistics.sufficient_statistics import (
    make_resampling_plan,
    make_statistics,
)

TRUTH = np.random.default_rng(0).normal(size=60)
DESIGN = make_resampling_plan(TRUTH, {"all": np.arange(60)})
GUESSES = {f"run {i}": TRUTH + np.random.default_rng(i).normal(size=60) for i in range(1, 5)} | {
    "lost": np.full(60, np.nan)
}
FIGURE = "all/pearson"


def kept(folder: Path, *runs: str, figure: str = FIGURE, resamples: int = 100) -> BootstrapSamples:
    return cached_samples(
        folder,
        DESIGN,
        [(run, GUESSES[run]) for run in runs],
        score=figure,
        scored="toy 1",
        combine=dict,
        resamples=resamples,
    )


def same(found: BootstrapSamples, figure: str = FIGURE) -> None:
    statistics = {run: make_statistics(DESIGN, GUESSES[run]) for run in found.runs}
    wanted = resample(DESIGN, statistics, scores=(figure,), resamples=len(found.samples[figure]))
    np.testing.assert_equal(found.points, wanted.points)
    np.testing.assert_allclose(found.samples[figure], wanted.samples[figure], atol=2e-6)
    assert found.problems == wanted.problems
    assert found.notes == wanted.notes


def test_a_grown_board_resamples_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same(kept(tmp_path, "run 1", "lost"))
    same(kept(tmp_path, "run 3", "run 1", "lost", "run 2"))
    monkeypatch.delattr(sample_cache, "resample")
    same(kept(tmp_path, "run 2", "lost", "run 3"))


def test_every_question_has_its_own_files(tmp_path: Path) -> None:
    for figure in (FIGURE, "all/spearman"):
        for resamples in (100, 200):
            same(kept(tmp_path, "run 1", figure=figure, resamples=resamples), figure)
    assert len(list((tmp_path / "draws").iterdir())) == 4


@pytest.mark.parametrize(
    "damage",
    [b"", b"[0.5]\n", b"null\n" + bytes(400), b'[1, ""]\n' + bytes(7), b'[1, ""]\n' + bytes(8)],
)
def test_a_damaged_file_is_written_anew(damage: bytes, tmp_path: Path) -> None:
    kept(tmp_path, "run 1")
    (file,) = (tmp_path / "draws").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage)
    same(kept(tmp_path, "run 1"))
    assert file.read_bytes() == whole


@pytest.mark.parametrize("place", [2, -1, -200])
def test_one_changed_bit_is_damage(place: int, tmp_path: Path) -> None:
    kept(tmp_path, "run 1")
    (file,) = (tmp_path / "draws").iterdir()
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[place] ^= 1
    file.write_bytes(changed)
    same(kept(tmp_path, "run 1"))
    assert file.read_bytes() == whole
