"""Coverage and error rates of the statistics, in a thousand simulated benchmarks with known r.

Rows are bivariate normal, so that r is known, and Spearman's rho is 6/pi arcsin(r/2).
"""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.leaderboards.ranking import Board, rank
from bench.leaderboards.statistics.bootstrap import resample
from bench.leaderboards.statistics.clusters import link_equal
from bench.leaderboards.statistics.sufficient_statistics import (
    make_resampling_plan,
    make_statistics,
)

pytestmark = pytest.mark.slow

TIMES = 1000
FIGURES = ("all/pearson", "all/spearman")
Vector = NDArray[np.float64]


def boards(
    truth: Vector, runs: dict[str, Vector], seed: int, links: Sequence[NDArray[np.int64]] = ()
) -> list[Board]:
    """Return leaderboards of runs by both scores; the first letter of a run names its model."""
    plan = make_resampling_plan(truth, {"all": np.arange(len(truth))}, links)
    statistics = {run: make_statistics(plan, guess) for run, guess in runs.items()}
    draws = resample(plan, statistics, scores=FIGURES, resamples=1000, seed=seed)
    return [rank(draws, figure, {run: run[0] for run in runs}) for figure in FIGURES]


def correlated(
    rng: np.random.Generator, truth: Vector, r: float, shared: Vector | None = None
) -> Vector:
    """Return predictions with correlation r; half of the error variance may be shared."""
    error = rng.normal(size=len(truth))
    if shared is not None:
        error = math.sqrt(0.5) * (error + shared)
    return r * truth + math.sqrt(1 - r * r) * error


def seeds(
    rng: np.random.Generator, truth: Vector, models: str, count: int, r: float, spread: float
) -> dict[str, Vector]:
    """Return predictions of several seeds for each model, with correlations spread about r."""
    runs = {}
    for model in models:
        shared = rng.normal(size=len(truth)) if count > 1 else None
        for i in range(count):
            runs[f"{model}{i}"] = correlated(rng, truth, r + spread * rng.normal(), shared)
    return runs


def in_known(r: float) -> tuple[float, float]:
    return r, 6 / math.pi * math.asin(r / 2)


@pytest.mark.parametrize(("rows", "r"), [(300, 0.3), (300, 0.95), (1000, 0.8)])
def test_intervals_cover_the_truth(rows: int, r: float) -> None:
    rng, covered = np.random.default_rng(1), np.zeros(2)
    for seed in range(TIMES):
        truth = rng.normal(size=rows)
        found = boards(truth, {"a": correlated(rng, truth, r)}, seed)
        covered += [
            board.ranked_models[0].low <= known <= board.ranked_models[0].high
            for board, known in zip(found, in_known(r), strict=True)
        ]
    assert np.all((covered / TIMES >= 0.93) & (covered / TIMES <= 0.97)), covered


def test_clusters_cover_where_rows_alone_do_not() -> None:
    """150 clusters of six rows, which share half the variance of truth and prediction."""
    rng, of = np.random.default_rng(2), np.repeat(np.arange(150), 6)
    covered, known = np.zeros((2, 2)), in_known(0.7)
    for seed in range(TIMES):
        common, own = rng.normal(size=150), rng.normal(size=900)
        truth = math.sqrt(0.5) * (common[of] + own)
        guess = math.sqrt(0.5) * (correlated(rng, common, 0.7)[of] + correlated(rng, own, 0.7))
        for used, links in enumerate([[], [link_equal(of)]]):
            found = boards(truth, {"a": guess}, seed, links)
            covered[used] += [
                board.ranked_models[0].low <= r <= board.ranked_models[0].high
                for board, r in zip(found, known, strict=True)
            ]
    assert np.all(covered[0] / TIMES < 0.9), covered
    assert np.all((covered[1] / TIMES >= 0.93) & (covered[1] / TIMES <= 0.97)), covered


@pytest.mark.parametrize(("count", "spread"), [(3, 0), (3, 0.02), (3, 0.06), (5, 0.02)])
def test_intervals_over_seeds_cover_the_truth(count: int, spread: float) -> None:
    rng, covered = np.random.default_rng(3), 0
    for seed in range(TIMES):
        truth = rng.normal(size=400)
        found = boards(truth, seeds(rng, truth, "a", count, 0.7, spread), seed)[0]
        covered += found.ranked_models[0].low <= 0.7 <= found.ranked_models[0].high
    assert 0.93 <= covered / TIMES <= 0.985, covered  # too wide if both parts are equal


@pytest.mark.parametrize(("count", "spread"), [(1, 0), (3, 0.02), (3, 0.06)])
def test_eight_equal_models_are_one_tier(count: int, spread: float) -> None:
    rng, single, family, whole = np.random.default_rng(4), 0.0, 0, 0
    for seed in range(TIMES):
        truth = rng.normal(size=400)
        found = boards(truth, seeds(rng, truth, "abcdefgh", count, 0.7, spread), seed)[0]
        single += float(np.mean(found.comparisons.p[np.triu_indices(8, 1)] <= 0.05))
        family += bool(found.comparisons.better.any())
        whole += all((s.tier, s.rank_low, s.rank_high) == (1, 1, 8) for s in found.ranked_models)
    assert single / TIMES <= 0.06
    assert family / TIMES <= 0.06
    assert whole == TIMES - family


def test_a_difference_as_large_as_said_is_found_as_often_as_said() -> None:
    """Eight models, of which the first is better than the others by the resolvable difference."""
    rng, found, pairs, rows = np.random.default_rng(5), 0, 0, 3000
    truth = rng.normal(size=rows)
    equal = boards(truth, {m: correlated(rng, truth, 0.7) for m in "abcdefgh"}, 0)[0]
    gap = equal.comparisons.resolvable
    for seed in range(TIMES // 5):
        truth = rng.normal(size=rows)
        runs = {m: correlated(rng, truth, 0.7 + gap * ((m == "a") - 0.5)) for m in "abcdefgh"}
        board = boards(truth, runs, seed)[0]
        names = [ranked.model for ranked in board.ranked_models]
        found += int(board.comparisons.better[names.index("a")].sum())
        pairs += 7
    assert 0.75 <= found / pairs <= 0.85, found / pairs
