"""Metrics against SciPy and exact fractions; undefined values; invariances."""

import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from bench.metrics import mean_ranks, mean_squared_error, pearson, spearman

Vector = NDArray[np.float64]
Metric = Callable[[Any, Any], float]
CORRELATIONS = [pearson, spearman]
ALL = [pearson, spearman, mean_squared_error]
KINDS = ["random", "tied", "offset", "tiny", "huge", "two rows"]
pairs = st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=2, max_size=30)


def vectors(kind: str) -> tuple[Vector, Vector]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    y = 0.5 * x + rng.normal(size=1000)
    return {
        "random": (x, y),
        "tied": (np.round(x), np.round(y)),
        "offset": (x + 1e8, y + 1e8),
        "tiny": (x * 1e-300, y * 1e-300),
        "huge": (x * 1e300, y * 1e300),
        "two rows": (x[:2], y[:2]),
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_correlations_are_scipys(kind: str) -> None:
    x, y = vectors(kind)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, rel=0, abs=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, rel=0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_are_scipys(kind: str) -> None:
    for values in vectors(kind):
        np.testing.assert_array_equal(mean_ranks(values), stats.rankdata(values))


def test_ties_share_the_mean_of_their_ranks() -> None:
    assert mean_ranks([30, 10, 20, 10, 30, 30]).tolist() == [5, 1.5, 3, 1.5, 5, 5]
    assert mean_ranks([]).tolist() == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "huge"])
def test_the_squared_error_is_that_of_exact_fractions(kind: str) -> None:
    x, y = vectors(kind)
    squares = [(Fraction(a) - Fraction(b)) ** 2 for a, b in zip(x, y, strict=True)]
    expected = float(sum(squares) / len(squares))
    assert mean_squared_error(x, y) == pytest.approx(expected, rel=1e-12, abs=0)


def test_figures_of_three_rows_are_those_worked_out_by_hand() -> None:
    x, y = [1, 2, 4], [1, 5, 2]  # centred, times three: -4 -1 5 and -5 7 -2
    assert pearson(x, y) == pytest.approx(3 / math.sqrt(42 * 78))
    assert spearman(x, y) == pytest.approx(1 - 6 * 2 / (3 * 8))  # ranks 1 2 3 and 1 3 2
    assert mean_squared_error(x, y) == pytest.approx(13 / 3)


def test_single_precision_is_summed_in_double() -> None:
    x, y = (values.astype(np.float32) for values in vectors("random"))
    expected = stats.pearsonr(x.astype(np.float64), y.astype(np.float64)).statistic
    assert pearson(x, y) == pytest.approx(expected, rel=0, abs=1e-12)
    error = np.mean((x.astype(np.float64) - y) ** 2)
    assert mean_squared_error(x, y) == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([0.1] * 10, range(10)),
        (range(10), [1e8 + 0.1] * 10),
        ([0.0] * 3, [0.0] * 3),
        ([1.0], [2.0]),
        ([], []),
        ([1, 2, math.nan], [1, 2, 3]),
        ([1, 2, 3], [math.nan, 2, 3]),
        ([1, 2, math.inf], [1, 2, 3]),
        ([1, 2, 3], [-math.inf, 2, 3]),
    ],
)
def test_a_correlation_without_value_is_nan(metric: Metric, x: Any, y: Any) -> None:
    assert math.isnan(metric(x, y))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([], []),
        ([math.nan, 1], [1, 1]),
        ([1, 1], [1, math.nan]),
        ([math.inf, 1], [1, 1]),
        ([1, 1], [1, -math.inf]),
        ([math.inf], [math.inf]),
    ],
)
def test_a_squared_error_without_value_is_nan(x: list[float], y: list[float]) -> None:
    assert math.isnan(mean_squared_error(x, y))


def test_one_row_and_constants_have_a_squared_error() -> None:
    assert mean_squared_error([3], [1]) == 4
    assert mean_squared_error([1, 1], [1, 1]) == 0


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_a_perfect_correlation_is_not_beyond_one(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    for size in range(2, 200):
        x = rng.normal(size=size)
        assert 1 - 1e-12 < metric(x, x) <= 1
        assert -1 <= metric(x, -x) < -1 + 1e-12


@pytest.mark.parametrize("x", [[1e16, 1e16 + 2], [0, 5e-324]])
def test_two_points_on_a_line_correlate_where_their_mean_is_rounded(x: list[float]) -> None:
    assert pearson(x, [1, 2]) == pytest.approx(1)
    assert pearson(x, [2, 1]) == pytest.approx(-1)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(("x", "y"), [([1, 2], [1]), ([[1, 2]], [[1, 2]]), (1, 2), ([1], 1)])
def test_other_than_two_vectors_of_one_length_is_refused(metric: Metric, x: Any, y: Any) -> None:
    with pytest.raises(ValueError, match="two vectors of one length"):
        metric(x, y)


@given(pairs, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scale_and_offset_do_not_matter_and_a_minus_sign_flips(
    rows: list[tuple[int, int]], scale: float, offset: float
) -> None:
    x, y = np.array(rows, dtype=np.float64).T
    for metric in CORRELATIONS:
        value = metric(x, y)
        moved = metric(scale * x + offset, y)
        assert moved == pytest.approx(value, abs=1e-9, nan_ok=True)
        assert metric(x, -scale * y) == pytest.approx(-value, abs=1e-9, nan_ok=True)
        assert metric(y, x) == pytest.approx(value, abs=1e-12, nan_ok=True)


@given(pairs)
def test_ranks_correlate_alike_on_any_rising_scale(rows: list[tuple[int, int]]) -> None:
    x, y = np.array(rows, dtype=np.float64).T
    expected = pytest.approx(spearman(x, y), abs=1e-12, nan_ok=True)
    assert spearman(np.exp(x), y**3) == expected


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[int, int]], random: Random) -> None:
    x, y = np.array(rows, dtype=np.float64).T
    order = random.sample(range(len(rows)), len(rows))
    for metric in ALL:
        expected = pytest.approx(metric(x, y), abs=1e-12, rel=1e-12, nan_ok=True)
        assert metric(x[order], y[order]) == expected
    np.testing.assert_array_equal(mean_ranks(x[order]), mean_ranks(x)[order])


offsets = st.sampled_from([0.0, 1.0, -3e5, 1e9, -1e12])


@given(pairs, offsets, offsets)
def test_any_vectors_tied_constant_or_far_from_zero_give_what_scipy_gives(
    rows: list[tuple[int, int]], left: float, right: float
) -> None:
    """SciPy gets values near zero, because at 1e12 its ninth digit is wrong."""
    near = np.array(rows, dtype=np.float64).T
    x, y = near + np.array([[left], [right]])  # whole numbers: nothing is rounded
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of constants; both answer NaN
        wanted = stats.pearsonr(*near).statistic, stats.spearmanr(*near).statistic
    assert pearson(x, y) == pytest.approx(wanted[0], rel=0, abs=1e-12, nan_ok=True)
    assert spearman(x, y) == pytest.approx(wanted[1], rel=0, abs=1e-12, nan_ok=True)
    np.testing.assert_array_equal(mean_ranks(x), stats.rankdata(x))


@given(pairs, st.integers(0, 29), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_one_value_that_is_no_number_leaves_no_figure(
    rows: list[tuple[int, int]], place: int, value: float
) -> None:
    x, y = np.array(rows, dtype=np.float64).T
    x[place % len(x)] = value
    assert all(math.isnan(metric(x, y)) and math.isnan(metric(y, x)) for metric in ALL)
