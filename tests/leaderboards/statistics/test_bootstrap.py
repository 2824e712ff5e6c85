"""Resamples against copied rows and SciPy's bootstrap, and their invariances."""

import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.errors import BenchError
from bench.leaderboards.statistics.bootstrap import WEIGHTS, BootstrapSamples, resample
from bench.leaderboards.statistics.clusters import link_equal
from bench.leaderboards.statistics.sufficient_statistics import (
    make_resampling_plan,
    make_statistics,
)
from bench.metrics.moments import Moments, weighted_pearson

Vector = NDArray[np.float64]
BOTH = ("all/pearson", "all/spearman")


def noisy(rows: int, runs: int = 2, seed: int = 0) -> tuple[Vector, dict[str, Vector]]:
    """Return a truth, and predictions with correlated errors."""
    rng = np.random.default_rng(seed)
    truth, shared = rng.normal(size=(2, rows))
    guesses = {
        f"run {i}": truth + 0.5 * shared + 0.4 * (i + 1) * rng.normal(size=rows)
        for i in range(runs)
    }
    return truth, guesses


def draw(
    truth: Vector, guesses: Mapping[str, Vector], units: Any = None, **options: Any
) -> BootstrapSamples:
    links = options.pop("links", ())
    figures = options.pop("figures", BOTH)
    plan = make_resampling_plan(truth, units or {"all": np.arange(len(truth))}, links)
    statistics = {run: make_statistics(plan, guess) for run, guess in guesses.items()}
    return resample(plan, statistics, scores=figures, **options)


def counts(resamples: int, clusters: int, seed: int) -> NDArray[np.int64]:
    """Return the documented weights, computed again: one byte of a 64-bit word for each weight."""
    table, size = np.repeat([0, 1, 2, 3, 4, 5], [95, 92, 48, 18, 1, 2]), resamples * clusters
    words = np.random.default_rng(seed).integers(0, 2**64, size // 8 + 1, dtype="uint64")
    return table[words.view(np.uint8)[:size]].reshape(resamples, clusters)


def test_weights_have_mean_and_variance_one() -> None:
    weights = WEIGHTS.astype(np.float64)
    assert len(weights) == 256
    assert weights.mean() == weights.var() == 1
    assert stats.skew(weights) == pytest.approx(stats.poisson(1).stats("s"), abs=0.02)
    assert stats.kurtosis(weights) == pytest.approx(stats.poisson(1).stats("k"), abs=0.05)


def test_weighted_pearson_is_that_of_copied_rows() -> None:
    rng = np.random.default_rng(0)
    for rows in (3, 10, 300):
        x, y = rng.normal(size=(2, rows))
        times = np.concatenate([[1, 2], rng.integers(0, 6, rows - 2)])
        expected = stats.pearsonr(np.repeat(x, times), np.repeat(y, times)).statistic
        truth = times @ np.stack([np.ones(rows), y, y * y], axis=1)
        run = times @ np.stack([x, x * x, x * y], axis=1)
        assert weighted_pearson(Moments(truth, run)) == pytest.approx(expected, rel=0, abs=1e-13)


def test_copies_of_one_row_have_no_correlation() -> None:
    rng = np.random.default_rng(0)
    for x, y in rng.normal(size=(200, 2)):
        truth = np.array([3, 3 * y, 3 * y * y], dtype=np.float32)  # the difference is rounding only
        run = np.array([3 * x, 3 * x * x, 3 * x * y], dtype=np.float32)
        assert np.isnan(weighted_pearson(Moments(truth, run)))


def test_sums_are_of_values_with_mean_zero_and_variance_one() -> None:
    truth, guesses = noisy(300)
    plan = make_resampling_plan(1e3 + 50 * truth**3, {"all": np.arange(300)})
    total = plan.subsets["all"].sums.sum(axis=0)
    np.testing.assert_allclose(total, [300, 0, 300], atol=1e-9)
    found = make_statistics(plan, guesses["run 0"]).sums["all"].sum(axis=0)
    r = stats.pearsonr(guesses["run 0"], plan.truth).statistic
    np.testing.assert_allclose(found, [0, 300, 300 * r, 0], atol=1e-3)


def test_resamples_of_rows_are_copies_of_rows() -> None:
    truth, guesses = noisy(400)
    found = draw(truth, guesses, resamples=200, seed=5)
    times = counts(200, 400, seed=5)
    for run, guess in enumerate(guesses.values()):
        copied = [(np.repeat(guess, of), np.repeat(truth, of)) for of in times]
        r = np.array([stats.pearsonr(*pair).statistic for pair in copied])
        rho = np.array([stats.spearmanr(*pair).statistic for pair in copied])
        np.testing.assert_allclose(found.samples["all/pearson"][:, run], r, rtol=0, atol=2e-6)
        error = found.samples["all/spearman"][:, run] - rho  # first-order error
        assert np.sqrt(np.mean(error**2)) < 0.2 * rho.std()
        assert abs(error.mean()) < 0.15 * rho.std()


def test_resamples_of_pairs_and_clusters_are_copies_of_clusters() -> None:
    truth, guesses = noisy(300)
    pairs = np.stack([np.arange(0, 200, 2), np.arange(1, 201, 2)], axis=1)
    units = {"all": np.arange(300), "pairs": pairs, "some": np.arange(0, 300, 7)}
    names = tuple(f"{name}/pearson" for name in units)
    links = [link_equal(np.where(np.arange(300) < 200, -np.arange(300), 1))]  # the last hundred
    found = draw(truth, guesses, units, links=links, resamples=50, figures=names)
    cluster = np.where(np.arange(300) < 200, np.arange(300) // 2, 100)
    times = counts(50, 101, seed=0)
    guess = guesses["run 1"]
    for resampled, of in enumerate(times):
        for name, chosen in units.items():
            first = chosen if chosen.ndim == 1 else chosen[:, 0]
            copied = np.repeat(chosen, of[cluster[first]], axis=0)
            x, y = guess[copied], truth[copied]
            if copied.ndim == 2:
                x, y = x[:, 0] - x[:, 1], y[:, 0] - y[:, 1]
            expected = pytest.approx(stats.pearsonr(x, y).statistic, rel=0, abs=1e-5)
            assert found.samples[f"{name}/pearson"][resampled, 1] == expected


@pytest.mark.parametrize(
    ("figure", "metric"), [("all/pearson", stats.pearsonr), ("all/spearman", stats.spearmanr)]
)
def test_errors_and_intervals_are_those_of_scipys_paired_bootstrap(
    figure: str, metric: Any
) -> None:
    truth, guesses = noisy(300)
    found = draw(truth, guesses).samples[figure].astype(np.float64)

    def statistics(y: Vector, one: Vector, other: Vector) -> Vector:
        first, second = metric(one, y).statistic, metric(other, y).statistic
        return np.array([first, second, first - second])

    theirs = stats.bootstrap(
        (truth, *guesses.values()),
        statistics,
        paired=True,
        vectorized=False,
        n_resamples=2500,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    ours = np.concatenate([found, found[:, :1] - found[:, 1:]], axis=1)
    error = theirs.standard_error
    np.testing.assert_allclose(ours.std(axis=0), error, rtol=0.08)
    low, high = np.quantile(ours, [0.025, 0.975], axis=0)
    assert np.all(np.abs(low - theirs.confidence_interval.low) < 0.25 * error)
    assert np.all(np.abs(high - theirs.confidence_interval.high) < 0.25 * error)


def test_more_clusters_than_groups_have_the_same_error() -> None:
    """Standard errors for a bivariate normal: r has (1 - r²) / sqrt(rows); ranks by influence."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=40_000)
    guess = 0.6 * truth + 0.8 * rng.normal(size=40_000)
    found = draw(truth, {"run": guess}, resamples=4000)
    assert found.samples["all/pearson"].std() == pytest.approx(0.64 / 200, rel=0.06)
    assert found.samples["all/spearman"].std() == pytest.approx(0.6855 / 200, rel=0.06)


def test_a_score_keeps_the_covariance_of_its_parts() -> None:
    truth, guesses = noisy(5000)
    units = {"all": np.arange(5000), "twin": np.arange(5000), "half": np.arange(2500)}

    def combine(figures: Mapping[str, Any]) -> Mapping[str, Any]:
        r = {name: figures[f"{name}/pearson"] for name in units}
        return {"zero": r["all"] - r["twin"], "gap": r["all"] - r["half"]}

    names = ("zero", "gap", "all/pearson")
    found = draw(truth, guesses, units, combine=combine, figures=names, resamples=1000).samples
    assert np.all(found["zero"] == 0)
    expected = found["all/pearson"].std(axis=0)  # half of the rows differ
    np.testing.assert_allclose(found["gap"].std(axis=0), expected, rtol=0.1)


def test_resamples_depend_on_the_seed_alone() -> None:
    truth, guesses = noisy(500, runs=3)
    whole = draw(truth, guesses, resamples=900)
    part = draw(truth, {"run 2": guesses["run 2"]}, resamples=700)
    other = draw(truth, guesses, resamples=900, seed=1)
    for name in BOTH:
        np.testing.assert_array_equal(
            whole.samples[name], draw(truth, guesses, resamples=900).samples[name]
        )
        np.testing.assert_allclose(
            part.samples[name][:, 0], whole.samples[name][:700, 2], rtol=0, atol=1e-6
        )
        assert np.abs(other.samples[name] - whole.samples[name]).max() > 0.01


def test_scale_offset_and_single_precision_do_not_matter() -> None:
    truth, guesses = noisy(500, runs=1)
    guess = guesses["run 0"]
    variants = {"as is": guess, "scaled": 1e-200 * guess, "far": 3 * guess + 1e6}
    found = draw(1e150 * truth, variants, resamples=100).samples["all/pearson"]
    np.testing.assert_allclose(found - found[:, :1], 0, atol=1e-5)


def test_a_perfect_run_stays_perfect() -> None:
    truth, _ = noisy(100)
    found = draw(truth, {"same": truth, "opposed": -truth}, resamples=100)
    for name in BOTH:
        np.testing.assert_allclose(found.samples[name], [[1, -1]] * 100, atol=1e-6)


def test_what_has_no_value_is_told_and_leaves_the_rest_alone() -> None:
    truth, guesses = noisy(500, runs=1)
    broken, flat, level = guesses["run 0"].copy(), np.full(500, 0.1), guesses["run 0"].copy()
    broken[[3, 4]] = np.nan, np.inf
    level[:50] = 7
    units = {"all": np.arange(500), "first": np.arange(50)}
    runs = {"broken": broken, "flat": flat, "level": level, **guesses}
    names = ("all/pearson", "first/pearson", "first/spearman")
    found = draw(truth, runs, units, resamples=60, figures=names)
    assert found.problems == {
        "broken": "2 of 500 predictions are not finite",
        "flat": "all: predictions are constant; first: predictions are constant",
        "level": "first: predictions are constant",
    }
    known = {name: np.isfinite(found.samples[name]).all(axis=0).tolist() for name in names}
    assert known["all/pearson"] == [False, False, True, True]
    assert known["first/pearson"] == known["first/spearman"] == [False, False, False, True]
    assert math.isnan(found.points["all/pearson"][0])
    alone = draw(truth, guesses, units, resamples=60, figures=names)
    for name in names:
        np.testing.assert_allclose(
            found.samples[name][:, 3], alone.samples[name][:, 0], rtol=0, atol=1e-6
        )


def test_few_clusters_are_told() -> None:
    truth, guesses = noisy(500)
    links = [link_equal(np.arange(500) % 20)]
    (note,) = draw(truth, guesses, links=links, resamples=10).notes
    assert note.startswith("all: only 20 clusters")
    assert draw(truth, guesses, resamples=10).notes == ()


def test_a_figure_or_run_that_is_not_there_is_told() -> None:
    truth, guesses = noisy(50)
    with pytest.raises(BenchError, match=r"'yeast/pearson'\. There are: all/pearson, all/spear"):
        draw(truth, guesses, figures=("yeast/pearson",))
    with pytest.raises(BenchError, match="no runs to resample"):
        draw(truth, {})


def test_a_subset_without_rows_has_no_figures_and_harms_none() -> None:
    truth, guesses = noisy(80)
    units = {"all": np.arange(80), "none": np.arange(0), "pairs": np.empty((0, 2), dtype=np.int64)}
    found = draw(truth, guesses, units, figures=("all/pearson", "none/spearman"), resamples=20)
    assert np.isfinite(found.samples["all/pearson"]).all()
    assert np.isnan(found.samples["none/spearman"]).all()
    assert found.problems["run 0"] == ("none: fewer than two values; pairs: fewer than two values")


def test_ranking_starts_without_torch_and_scipy() -> None:
    code = (
        "import sys, bench.leaderboards.statistics.statistics_cache, bench.leaderboards.ranking\n"
        "print({'torch', 'scipy', 'polars', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_predictions_of_other_rows_are_refused() -> None:
    plan = make_resampling_plan(np.arange(5.0), {"all": np.arange(5)})
    with pytest.raises(BenchError, match=r"shape \(4,\) for 5 test rows"):
        make_statistics(plan, np.arange(4.0))
