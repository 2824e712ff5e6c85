"""Boards of made-up bootstrap samples, against z tests, t tests and hand-made orders."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.errors import BenchError
from bench.leaderboards.ranking import Board, rank
from bench.leaderboards.statistics.bootstrap import BootstrapSamples

RESAMPLES = 4000


def normal(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    """Return normal values; columns have exactly mean 0, variance 1 and no correlation."""
    drawn = np.random.default_rng(seed).normal(size=shape)
    q, _ = np.linalg.qr(drawn - drawn.mean(axis=0))
    return q * np.sqrt(shape[0])


def draws(values: Any, noise: Any, names: Any = None, **more: Any) -> BootstrapSamples:
    """Return bootstrap samples: values plus noise ``(R, runs)``."""
    points = np.asarray(values, dtype=np.float64)
    runs = tuple(names or (f"run {i}" for i in range(len(points))))
    samples = (points + noise).astype(np.float32)
    return BootstrapSamples(
        runs, {"r": points}, {"r": samples}, more.get("problems", {}), ("a note",)
    )


def board(values: Any, noise: Any, models: str = "", **more: Any) -> Board:
    """Return the leaderboard of runs, each of its own model, or of models named by one letter."""
    made = draws(values, noise, **more)
    return rank(made, "r", dict(zip(made.runs, models or made.runs, strict=True)))


def test_one_seed_a_model_is_a_z_test() -> None:
    values = np.array([0.7, 0.72, 0.5])
    noise = 0.01 * normal(RESAMPLES, 3)
    noise[:, 1] = 0.8 * noise[:, 0] + 0.6 * noise[:, 1]  # correlated errors
    found = board(values, noise)
    assert [s.model for s in found.ranked_models] == ["run 1", "run 0", "run 2"]
    best, second, _ = found.ranked_models
    assert best.value == 0.72
    assert best.error == pytest.approx(0.01, rel=1e-3)
    assert best.low == pytest.approx(0.72 - 0.0196, abs=1.5e-3)
    assert second.high == pytest.approx(0.7 + 0.0196, abs=1.5e-3)
    assert best.note == "one seed: nothing is known of other seeds"
    error = 0.01 * np.sqrt(1 + 1 - 1.6)
    compared = found.comparisons
    assert compared.error[0, 1] == pytest.approx(error, rel=1e-3)
    assert compared.p[0, 1] == pytest.approx(2 * stats.norm.sf(0.02 / error), rel=0.02)
    assert compared.low[0, 1] == pytest.approx(0.02 - 1.96 * error, abs=1e-5)
    assert compared.high[0, 1] == pytest.approx(0.02 + 1.96 * error, abs=1e-5)
    assert found.notes == ("a note",)


def test_several_seeds_on_steady_rows_are_t_tests() -> None:
    values = np.array([0.70, 0.71, 0.75, 0.60, 0.62, 0.61, 0.60])
    found = board(values, 1e-6 * normal(RESAMPLES, 7), "aaabbbb")
    one, other = values[:3], values[3:]
    for ranked, runs in zip(found.ranked_models, (one, other), strict=True):
        low, high = stats.t.interval(0.95, len(runs) - 1, runs.mean(), stats.sem(runs))
        assert ranked.seeds == len(runs)
        assert ranked.value == pytest.approx(runs.mean())
        assert ranked.error == pytest.approx(stats.sem(runs), rel=1e-3)
        assert ranked.high - ranked.low == pytest.approx(high - low, rel=0.05)
        assert ranked.note == ""
    welch = stats.ttest_ind(one, other, equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert found.comparisons.p[0, 1] == pytest.approx(welch.pvalue, rel=0.1)
    assert found.comparisons.low[0, 1] == pytest.approx(low, abs=0.1 * (high - low))


def test_rows_shared_by_seeds_do_not_average_out() -> None:
    """Three runs: the shared effect of rows stays, that on single runs is part of their spread."""
    own, values = 0.02 * normal(RESAMPLES, 4), np.array([0.5, 0.5, 0.5])
    shared, single = own[:, :1], own[:, 1:]
    (alike,) = board(values, np.repeat(shared, 3, axis=1), "aaa").ranked_models
    assert alike.error == pytest.approx(0.02, rel=1e-3)
    (both,) = board([0.48, 0.5, 0.52], shared + single, "aaa").ranked_models
    assert both.error == pytest.approx(np.sqrt(0.02**2 + 0.02**2 / 3), rel=1e-3)


def test_differences_keep_what_rows_do_to_models_and_count_single_runs_once() -> None:
    noise = 0.02 * normal(RESAMPLES, 8)
    of_all, of_models, of_runs = noise[:, :1], noise[:, 1:3], noise[:, 3:]
    rows = of_all + np.repeat(of_models, [3, 2], axis=1) + of_runs
    found = board([0.48, 0.5, 0.52, 0.4, 0.43], rows, "aaabb").comparisons
    variance = 2 * 0.02**2 + 0.02**2 / 3 + 0.03**2 / 2 / 2  # two models, three runs, two runs
    assert found.error[0, 1] == pytest.approx(np.sqrt(variance), rel=1e-3)


def test_ranks_and_tiers_are_those_worked_out_by_hand() -> None:
    values = [9.0, 8.9, 7.0, 6.9, 4.0]  # errors of 0.05, except one that overlaps with three
    noise = normal(RESAMPLES, 5) * [0.05, 0.05, 0.05, 1.2, 0.05]
    found = board(values, noise)
    assert [s.tier for s in found.ranked_models] == [1, 1, 2, 1, 3]
    assert [s.rank for s in found.ranked_models] == [1, 2, 3, 4, 5]
    assert [(s.rank_low, s.rank_high) for s in found.ranked_models] == [
        (1, 3),  # better than the third and fifth
        (1, 3),
        (3, 4),
        (1, 5),  # of which nothing is sure
        (4, 5),
    ]
    better = found.comparisons.better
    assert not (better & better.T).any()
    assert found.comparisons.p[0, 3] < 0.1
    assert found.comparisons.adjusted[0, 4] == 1 / (RESAMPLES + 1)  # no resample reached it


def test_equal_values_share_a_rank() -> None:
    found = board([0.5, 0.6, 0.5, 0.1], 0.001 * normal(RESAMPLES, 4))
    assert [(s.model, s.rank) for s in found.ranked_models] == [
        ("run 1", 1),
        ("run 0", 2),
        ("run 2", 2),
        ("run 3", 4),
    ]


def test_the_largest_of_many_is_held_against_the_studentized_range() -> None:
    """Independent models with the same error: Tukey's test, with quantiles from SciPy."""
    noise = np.random.default_rng(1).normal(size=(40_000, 6))
    values = np.array([0, 0.5, 1, 2, 3.5, 4.2])
    found = board(values, noise).comparisons
    expected = stats.studentized_range.sf(np.abs(found.difference), 6, 1e6)
    np.testing.assert_allclose(found.adjusted, expected, atol=0.01)
    assert np.all(found.adjusted >= found.p)
    reach = stats.studentized_range.ppf(0.95, 6, 1e6) / np.sqrt(2) + stats.norm.ppf(0.8)
    assert found.resolvable == pytest.approx(reach * np.sqrt(2), rel=0.02)


def test_a_difference_is_its_opposite_turned_round() -> None:
    found = board([0.3, 0.1, 0.2, 0.25], 0.05 * normal(RESAMPLES, 4), "abab").comparisons
    np.testing.assert_allclose(found.difference, -found.difference.T)
    np.testing.assert_allclose(found.low, -found.high.T)
    for symmetric in (found.error, found.p, found.adjusted):
        np.testing.assert_allclose(symmetric, symmetric.T)
    assert np.all(np.diag(found.p) == 1)


def test_the_order_of_runs_does_not_matter() -> None:
    values, noise = np.linspace(0.5, 0.6, 6), 0.02 * normal(RESAMPLES, 6)
    names = ["a0", "a1", "b0", "b1", "c0", "c1"]
    models = {name: name[0] for name in names}
    whole = rank(draws(values, noise, names), "r", models)
    for order in ([5, 4, 3, 2, 1, 0], [2, 0, 4, 1, 5, 3]):
        turned = draws(values[order], noise[:, order], [names[i] for i in order])
        other = rank(turned, "r", models)
        for one, same in zip(whole.ranked_models, other.ranked_models, strict=True):
            assert one.model == same.model
            assert (one.low, one.high) == pytest.approx((same.low, same.high), abs=1e-9)
        np.testing.assert_allclose(whole.comparisons.adjusted, other.comparisons.adjusted)


def test_another_model_leaves_errors_alone() -> None:
    values, noise = np.linspace(0.5, 0.6, 4), 0.02 * normal(RESAMPLES, 4)
    whole, part = board(values, noise, "aabc"), board(values[:3], noise[:, :3], "aab")
    of = {ranked.model: ranked for ranked in whole.ranked_models}
    for ranked in part.ranked_models:
        assert (ranked.low, ranked.high) == (of[ranked.model].low, of[ranked.model].high)


def test_what_has_no_figure_is_left_out_with_a_reason() -> None:
    noise = 0.01 * normal(RESAMPLES, 5)
    noise[: RESAMPLES // 10, 2] = np.nan
    noise[:7, 3] = np.nan
    values = [0.5, np.nan, 0.5, 0.4, np.nan]
    found = board(values, noise, problems={"run 1": "all: predictions are constant"})
    assert [s.model for s in found.ranked_models] == ["run 0", "run 3"]
    assert found.without_score == {
        "run 1": "no r: all: predictions are constant",
        "run 2": "no r in 10% of resamples: it depends on few rows",
        "run 4": "no r: a subset is missing",
    }
    assert found.notes == ("a note", "7 of 4,000 resamples excluded: a run has no r")
    assert np.isfinite(found.comparisons.p).all()


def test_a_board_may_have_one_model() -> None:
    found = board([0.5], 0.01 * normal(RESAMPLES, 1))
    (only,) = found.ranked_models
    assert (only.rank, only.rank_low, only.rank_high, only.tier) == (1, 1, 1, 1)
    assert np.isnan(found.comparisons.resolvable)


def test_a_board_of_no_model_says_why() -> None:
    with pytest.raises(BenchError, match=r"nothing to rank by r\. run 0: no r: all: constant"):
        board([np.nan], normal(RESAMPLES, 1), problems={"run 0": "all: constant"})
    with pytest.raises(BenchError, match="there are no runs"):
        board([], np.empty((RESAMPLES, 0)))


def test_runs_that_predict_alike_are_tied_and_a_perfect_one_is_not() -> None:
    noise = np.repeat(0.01 * normal(RESAMPLES, 1), 3, axis=1)
    noise[:, 2] = 0
    found = board([0.5, 0.5, 1.0], noise)
    assert [(s.model, s.tier) for s in found.ranked_models] == [
        ("run 2", 1),
        ("run 0", 2),
        ("run 1", 2),
    ]
    assert found.comparisons.p[1, 2] == 1
    assert found.ranked_models[0].low == pytest.approx(1) == found.ranked_models[0].high
    for a, b in itertools.pairwise(found.ranked_models[1:]):
        assert (a.low, a.high) == (b.low, b.high)
