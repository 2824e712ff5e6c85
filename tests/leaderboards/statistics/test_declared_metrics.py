"""Resampled metrics of every kind, against copied rows and against a direct bootstrap."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.leaderboards.ranking import rank
from bench.leaderboards.statistics.bootstrap import BootstrapSamples, resample
from bench.leaderboards.statistics.clusters import link_equal
from bench.leaderboards.statistics.influence import group_influence
from bench.leaderboards.statistics.statistics_cache import cached_statistics
from bench.leaderboards.statistics.sufficient_statistics import (
    make_resampling_plan,
    make_statistics,
)
from bench.metrics import MAE, MSE, PEARSON, R2, SPEARMAN, Metric
from bench.task import ScoreInfo
from tests.leaderboards.statistics.test_bootstrap import counts, noisy

Vector = NDArray[np.float64]
Function = Callable[[Any, Any], float]

MEDIAN = Metric(
    name="median_error",
    label="Median error",
    function=lambda x, y: float(np.median(np.abs(x - y))),
    higher_is_better=False,
)
TAU = Metric(
    name="tau",
    label="Kendall",
    function=lambda x, y: float(stats.kendalltau(x, y).statistic),
    higher_is_better=True,
    correlation=True,
)
PLAIN: dict[str, Function] = {
    "mse": lambda x, y: ((x - y) ** 2).mean(),
    "mae": lambda x, y: np.abs(x - y).mean(),
    "r2": lambda x, y: 1 - ((x - y) ** 2).sum() / ((y - y.mean()) ** 2).sum(),
    "median_error": lambda x, y: float(np.median(np.abs(x - y))),
    "tau": lambda x, y: float(stats.kendalltau(x, y).statistic),
}


def draw(
    truth: Vector, guesses: dict[str, Vector], *metrics: Metric, **options: Any
) -> BootstrapSamples:
    plan = make_resampling_plan(
        truth, {"all": np.arange(len(truth))}, options.pop("links", ()), metrics
    )
    statistics = {run: make_statistics(plan, guess) for run, guess in guesses.items()}
    return resample(plan, statistics, scores=plan.names, **options)


@pytest.mark.parametrize("metric", [MSE, MAE, R2], ids=lambda metric: metric.name)
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-4, 0), (3, 50)])
def test_sums_and_means_are_those_of_copied_rows(
    metric: Metric, scale: float, offset: float
) -> None:
    truth, guesses = noisy(400)
    truth, guesses = scale * truth + offset, {k: scale * g + offset for k, g in guesses.items()}
    guesses["biased"] = 1.5 * truth + scale
    found = draw(truth, guesses, PEARSON, SPEARMAN, metric, resamples=100, seed=5)
    times = counts(100, 400, seed=5)
    for run, guess in enumerate(guesses.values()):
        wanted = [PLAIN[metric.name](np.repeat(guess, of), np.repeat(truth, of)) for of in times]
        samples = found.samples[f"all/{metric.name}"][:, run]
        np.testing.assert_allclose(samples, wanted, rtol=2e-5, atol=2e-6 * (metric is R2))


@pytest.mark.parametrize("metric", [MEDIAN, TAU, MSE], ids=lambda metric: metric.name)
@pytest.mark.parametrize("clusters", [300, 100])
def test_a_function_alone_has_the_errors_of_a_bootstrap_by_brute_force(
    metric: Metric, clusters: int
) -> None:
    """Also for a mean given by its function only, which is exact without other metrics."""
    metric = dataclasses.replace(metric, influence=None)
    truth, guesses = noisy(300)
    of = np.arange(300) % clusters
    found = draw(truth, guesses, metric, links=[link_equal(of)], resamples=3000)
    rng, function = np.random.default_rng(3), PLAIN[metric.name]
    members = [np.flatnonzero(of == cluster) for cluster in range(clusters)]
    brute = []
    for _ in range(600):
        rows = np.concatenate([members[i] for i in rng.integers(0, clusters, clusters)])
        one, two = (function(guess[rows], truth[rows]) for guess in guesses.values())
        brute.append((one, two, one - two))
    wanted = np.array(brute)
    ours = found.samples[f"all/{metric.name}"].astype(np.float64)
    ours = np.concatenate([ours, ours[:, :1] - ours[:, 1:]], axis=1)
    np.testing.assert_allclose(ours.std(axis=0), wanted.std(axis=0), rtol=0.2)
    for tail in (0.05, 0.95):
        gap = np.quantile(ours, tail, axis=0) - np.quantile(wanted, tail, axis=0)
        assert np.all(np.abs(gap) < 0.6 * wanted.std(axis=0)), gap / wanted.std(axis=0)


def test_influences_of_a_mean_are_its_differences_from_the_mean() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 60))
    place = rng.permutation(np.arange(60) % 7)
    value, sums = group_influence(MSE, x, y, place, 7)
    losses = (x - y) ** 2
    assert value == pytest.approx(losses.mean())
    expected = [(losses[place == g] - losses.mean()).sum() for g in range(7)]
    np.testing.assert_allclose(sums, expected, atol=1e-12)


def test_a_function_is_evaluated_once_a_group_and_at_most_2048_times() -> None:
    calls = []
    counted = Metric(
        name="counted",
        label="Counted",
        function=lambda x, y: calls.append(len(x)) or float(x.mean()),  # type: ignore[func-returns-value]
        higher_is_better=True,
    )
    rng = np.random.default_rng(0)
    plan = make_resampling_plan(rng.normal(size=5000), {"all": np.arange(5000)}, (), (counted,))
    make_statistics(plan, rng.normal(size=5000))
    assert len(calls) == 1 + 2048


@pytest.mark.parametrize("metric", [MSE, MEDIAN], ids=lambda metric: metric.name)
def test_intervals_cover_the_truth(metric: Metric) -> None:
    """Errors are normal with variance 1: their median absolute value is the 75th percentile."""
    rng, times, covered = np.random.default_rng(1), 300, 0
    known = {"mse": 1.0, "median_error": float(stats.norm.ppf(0.75))}[metric.name]
    info = ScoreInfo(f"all/{metric.name}", metric.label, higher_is_better=False, correlation=False)
    for seed in range(times):
        truth, error = rng.normal(size=(2, 150))
        found = draw(truth, {"a": truth + error}, metric, resamples=400, seed=seed)
        (only,) = rank(found, info.name, {"a": "a"}, score=info).ranked_models
        covered += only.low <= known <= only.high
    assert 0.905 <= covered / times <= 0.975, covered / times


def test_small_errors_are_told_apart_as_large_ones_are() -> None:
    """The results do not depend on the unit of the target, down to a factor of 1e-9."""
    truth, guesses = noisy(300)
    boards = []
    for scale in (1.0, 2.0**-30):
        runs = {name: scale * guess for name, guess in guesses.items()}
        found = draw(scale * truth, runs, MSE, resamples=500)
        info = ScoreInfo("all/mse", "MSE", higher_is_better=False, correlation=False)
        boards.append(rank(found, "all/mse", {run: run for run in runs}, score=info))
    one, small = boards
    for a, b in zip(one.ranked_models, small.ranked_models, strict=True):
        assert (a.model, a.rank, a.tier) == (b.model, b.rank, b.tier)
        assert b.low / a.low == pytest.approx(2.0**-60)
    np.testing.assert_allclose(small.comparisons.adjusted, one.comparisons.adjusted)


def test_another_function_under_the_same_name_is_another_sketch(tmp_path: Path) -> None:
    truth, guesses = noisy(40)
    for number, text in enumerate(["x.mean()", "y.mean()"]):
        path = tmp_path / f"task{number}.py"
        path.write_text(f"f = lambda x, y: float({text})\n")
        space: dict[str, Any] = {}
        exec(compile(path.read_text(), str(path), "exec"), space)
        own = Metric(name="own", label="Own", function=space["f"], higher_is_better=True)
        plan = make_resampling_plan(truth, {"all": np.arange(40)}, (), (own,))
        cached_statistics(tmp_path / "kept", plan, guesses["run 0"])
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_metric_without_a_value_leaves_the_others_theirs() -> None:
    truth, _ = noisy(60)
    found = draw(truth, {"flat": np.zeros(60)}, PEARSON, SPEARMAN, MSE, R2, MEDIAN, resamples=20)
    known = {name: bool(np.isfinite(values).all()) for name, values in found.samples.items()}
    assert known == {
        "all/pearson": False,
        "all/spearman": False,
        "all/mse": True,
        "all/r2": True,
        "all/median_error": True,
    }
    assert math.isnan(found.points["all/pearson"][0])
    assert found.points["all/r2"][0] == pytest.approx(PLAIN["r2"](np.zeros(60), truth))
