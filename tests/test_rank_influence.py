"""SciPy's rank correlation, and its change when one of many copies of a row is added."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.metrics.rank_influence import Ordered, spearman_influence

COPIES = 4000
Vector = NDArray[np.float64]


def vectors(kind: str) -> tuple[Vector, Vector]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=14)
    y = 0.6 * x + rng.normal(size=14)
    return {
        "different": (x, y),
        "tied x": (np.round(x), y),
        "tied": (np.round(x), np.round(y * 2) / 2),
        "two values": ((x > 0.3).astype(float), np.round(y)),
        "opposed": (x, -y),
    }[kind]


@pytest.mark.parametrize("kind", ["different", "tied x", "tied", "two values", "opposed"])
def test_influences_are_changes_of_scipys_rho(kind: str) -> None:
    """With M x COPIES rows, one more copy of a row adds a weight of 1 / (M x COPIES)."""
    x, y = vectors(kind)
    rho, influence = spearman_influence(Ordered(x), Ordered(y))
    assert rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    times = np.full(len(x), COPIES)
    for row in range(len(x)):
        more = times + COPIES // 50 * (np.arange(len(x)) == row)
        less = times - COPIES // 50 * (np.arange(len(x)) == row)
        after, other = (
            stats.spearmanr(np.repeat(x, n), np.repeat(y, n)).statistic for n in (more, less)
        )
        slope = (after - other) / 2 * 50 * len(x)
        assert influence[row] == pytest.approx(slope, abs=2e-3), row
    assert influence.sum() == pytest.approx(0, abs=1e-9)


def test_a_perfect_order_has_no_influences() -> None:
    x = np.random.default_rng(0).normal(size=30)
    for sign in (1, -1):
        rho, influence = spearman_influence(Ordered(x), Ordered(sign * np.exp(x)))
        assert rho == pytest.approx(sign, abs=1e-15)
        np.testing.assert_allclose(influence, 0, atol=1e-12)


def test_the_standard_error_of_independent_values_is_known() -> None:
    """Without association the variance of rho is 1 / (M - 1): Kendall and Gibbons 1990."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 20_000))
    _, influence = spearman_influence(Ordered(x), Ordered(y))
    assert influence.std() == pytest.approx(1, rel=0.02)
