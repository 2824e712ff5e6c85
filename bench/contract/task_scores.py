"""Checks of a task's scores: groups of rows, units, and predictions with a known answer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from bench.contract.report import fail, several
from bench.contract.task_data import TaskData
from bench.scoring.scorer import score

_TOLERANCE = 1e-9
_CHANCE = 6.0  # standard errors of a correlation


@pytest.mark.needs("reads")
def test_groups_and_units(task_data: TaskData) -> None:
    """Groups name rows, or pairs of rows, that exist; "all" is among them."""
    task, test = task_data.task, task_data.test
    for part in task.row_sets:
        if task.missing_file(test, part):
            continue
        groups = task.scoring_groups(test, part)
        if "all" not in groups:
            fail(f"scoring_groups('{part}') has no group 'all'")
        for name, units in groups.items():
            _check_units(f"{part}/{name}", np.asarray(units), len(test))
        lost = [n for n in task.subsets if n not in groups and n not in test.missing]
        if lost and not task_data.target.simulates:
            fail(f"subsets names {several(lost)}, which scoring_groups does not return")


def _check_units(name: str, units: np.ndarray, rows: int) -> None:
    if (
        units.dtype.kind not in "iu"
        or units.ndim not in (1, 2)
        or units.shape[1:] not in ((), (2,))
    ):
        fail(
            f"group {name} is {units.dtype} {units.shape}: return row numbers (M,) or pairs (M, 2)"
        )
    if not len(units):
        fail(f"group {name} is empty: leave it out")
    if units.min() < 0 or units.max() >= rows:
        fail(f"group {name} names row {units.max():,}; there are {rows:,}")
    if units.ndim == 1 and len(np.unique(units)) < len(units):
        fail(f"group {name} names a row twice")
    if units.ndim == 2 and (units[:, 0] == units[:, 1]).any():
        fail(f"group {name} has a pair of a row with itself")


@pytest.mark.needs("reads", "groups and units", "target spread")
def test_true_predictions(task_data: TaskData) -> None:
    """The targets themselves have the best scores: a correlation of 1."""
    kind, scores = task_data.kind, _scores(task_data, task_data.test.target)
    primary = kind.card.primary
    if primary not in scores:
        fail(f"the card's primary '{primary}' is no score; there are {several(list(scores))}")
    if math.isnan(scores[primary]) and not task_data.test.missing:
        fail(f"the primary score '{primary}' of true predictions is undefined")
    for name, value in scores.items():
        if kind.score_info(name).correlation and abs(value - 1) > _TOLERANCE:
            fail(f"{name} of true predictions is {value:.4f}, not 1")


@pytest.mark.needs("true predictions")
def test_constant_predictions(task_data: TaskData) -> None:
    """A constant has no correlation: it is undefined or 0, and no score is better than the best."""
    for name, value in _scores(task_data, np.zeros(len(task_data.test))).items():
        correlation = task_data.kind.score_info(name).correlation
        if correlation and not math.isnan(value) and abs(value) > _TOLERANCE:
            fail(f"{name} of constant predictions is {value:.4f}: return NaN or 0")


@pytest.mark.needs("true predictions")
def test_random_predictions(task_data: TaskData) -> None:
    """Chance has correlations near 0, and is worse than the truth by every score."""
    test = task_data.test
    groups = task_data.task.scoring_groups(test, task_data.rows)
    least = min(map(len, groups.values()))
    best = _scores(task_data, test.target)
    found = _scores(task_data, np.random.default_rng(0).normal(size=len(test)))
    for name, value in found.items():
        info = task_data.kind.score_info(name)
        if info.correlation and abs(value) > _CHANCE / math.sqrt(max(least, 2)):
            fail(f"{name} of random predictions is {value:.3f}: it should be near 0")
        if (value - best[name]) * (1 if info.higher_is_better else -1) > _TOLERANCE:
            fail(
                f"{name} of random predictions ({value:.3f}) is better than that of the truth "
                f"({best[name]:.3f}): declare higher_is_better=False, or lower_is_better"
            )


@pytest.mark.needs("true predictions")
def test_overall_takes_arrays(task_data: TaskData) -> None:
    """Intervals combine arrays of metrics in the same way as single metrics."""
    task = task_data.task
    names = [n for n in _scores(task_data, task_data.test.target) if "/" in n]
    random = np.random.default_rng(0)
    drawn = {name: random.uniform(0.1, 0.9, 3) for name in names}
    try:
        together = task.overall_scores(drawn)
    except (TypeError, ValueError) as error:
        fail(f"overall does not take arrays ({error}): use arithmetic, numpy.minimum for min")
    for place in range(3):
        single = task.overall_scores({name: float(v[place]) for name, v in drawn.items()})
        for name, value in single.items():
            if not np.allclose(np.broadcast_to(together[name], 3)[place], value, equal_nan=True):
                fail(f"{name} of arrays differs from {name} of numbers: use arithmetic only")


def _scores(task_data: TaskData, predictions: np.ndarray) -> Mapping[str, float]:
    return score(task_data.task, task_data.test, predictions, task_data.rows).flat()
