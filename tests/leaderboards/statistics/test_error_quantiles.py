"""Quantiles of errors against SciPy's, in both limits and between them."""

import numpy as np
import pytest
from scipy import stats

from bench.leaderboards.statistics.error_quantiles import Error

SCORES = np.array([0.1, 1.0, 1.96, 3.0, 5.0, 12.0])


def error(known: float, estimated: float, freedom: float) -> Error:
    shape = SCORES.shape
    return Error(np.full(shape, known), np.full(shape, estimated), np.full(shape, freedom))


@pytest.mark.parametrize("freedom", [1, 2, 4, 2.5, 60])
def test_reach_is_the_average_of_both_quantiles(freedom: float) -> None:
    normal, student = SCORES, stats.t.isf(stats.norm.sf(SCORES), freedom)
    for known, estimated in ((4.0, 0.0), (1e-14, 4.0), (3.0, 1.0)):
        share = known / (known + estimated)
        expected = np.sqrt(known + estimated) * (share * normal + (1 - share) * student)
        np.testing.assert_allclose(error(known, estimated, freedom).reach(SCORES), expected, 1e-4)


def test_score_undoes_reach() -> None:
    for made in (error(1, 0, 1), error(1e-14, 2, 2), error(0.5, 0.1, 3.25)):
        np.testing.assert_allclose(made.score(made.reach(SCORES)), SCORES, rtol=1e-6)
    assert error(1, 1, 2).score(np.array([0.0, 1e300, *SCORES[2:]]))[:2] == pytest.approx([0, 30])


def test_freedom_is_rounded_down_to_sixteenths() -> None:
    rounded = error(1, 1, 2 + 7 / 16).reach(SCORES)
    np.testing.assert_array_equal(error(1, 1, 2.49).reach(SCORES), rounded)


def test_every_error_has_its_own_freedom() -> None:
    mixed = Error(np.full(3, 1e-14), np.array([1.0, 1.0, 0.0]), np.array([1.0, 9.0, 0.0]))
    expected = [stats.t.isf(0.025, 1), stats.t.isf(0.025, 9), 1e-7 * stats.norm.isf(0.025)]
    np.testing.assert_allclose(mixed.reach(stats.norm.isf(0.025)), expected, rtol=1e-4)
