"""Metrics as objects: a name, a function, a direction, and how the metric is resampled.

A metric is added by one object: here, or in the file of a task that lists it in
:attr:`bench.task.Task.metrics`::

    MEDIAN_ERROR = Metric(
        name="median_error",
        label="Median error",
        function=lambda prediction, target: float(np.median(np.abs(prediction - target))),
        higher_is_better=False,
    )

That is all a metric needs: it is computed, logged, tabulated, ranked and compared. Intervals come
from one bootstrap of the test rows, and a metric is resampled by the first of these that it has:

``from_moments``
    The value follows from weighted sums. Exact, and costs nothing.
``influence``
    The derivative of the value by the weight of every row. First order; exact for means over rows.
neither
    The same derivative, group of rows by group, from at most 2,048 evaluations of ``function`` for
    a run and subset; :mod:`bench.leaderboards.statistics.influence` has its cost and accuracy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.functions import (
    mean_absolute_error,
    mean_ranks,
    mean_squared_error,
    pearson,
    r_squared,
    spearman,
)
from bench.metrics.moments import Floats, Moments, weighted_pearson, weighted_r_squared
from bench.metrics.rank_influence import Ordered, spearman_influence

__all__ = [
    "MAE",
    "METRICS",
    "MSE",
    "PEARSON",
    "R2",
    "SELECTION",
    "SPEARMAN",
    "STANDARD",
    "Metric",
    "Moments",
    "Ordered",
    "influence_of_mean",
    "mean_ranks",
    "mean_squared_error",
    "pearson",
    "spearman",
]

Vector = NDArray[np.float64]
Function = Callable[[Vector, Vector], float]
Influence = Callable[[Ordered, Ordered], tuple[float, Vector]]
"""A function of predictions and targets: the metric's value, and influences ``(M,)`` of the rows,
whose sum is 0. To the first order the value under row weights w is
``value + sum(w * influences) / sum(w)``."""

_NAME = re.compile("[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A number that says how good predictions are.

    Attributes:
        name: Key in results, such as "mse" in ``test/all/mse``: lower-case letters, digits, "_".
        label: Name in tables, such as "MSE".
        function: Function of finite predictions and targets ``(M,)``, M at least 1.
        higher_is_better: Direction of a better value.
        from_moments: Function of weighted sums that returns the same value.
        influence: Function that returns the value and every row's influence.
        correlation: True where values are correlations: they end at -1 and 1, constant predictions
            have none, and the first order is taken on Fisher's z, where it is nearly linear.
        symbol: Name in narrow tables; the label if empty.
        form: Format of a value in tables, such as ".4f".
    """

    name: str
    label: str
    function: Function
    higher_is_better: bool
    from_moments: Callable[[Moments], Floats] | None = None
    influence: Influence | None = None
    correlation: bool = False
    symbol: str = ""
    form: str = ".4f"

    def __post_init__(self) -> None:
        """Check what a type cannot say."""
        if not _NAME.fullmatch(self.name):
            raise BenchError(
                f"metric {self.name!r}: a metric's name has lower-case letters, digits and _, "
                "such as 'median_error'."
            )
        if self.from_moments and self.influence:
            raise BenchError(f"metric '{self.name}' has from_moments and influence. Leave one out.")

    def __call__(self, prediction: Vector, target: Vector) -> float:
        """Return the value; NaN where there is none, or without a row, or where one is not finite.

        Args:
            prediction: Predictions ``(M,)``.
            target: Targets ``(M,)``.
        """
        if not len(target) or not (np.isfinite(prediction).all() and np.isfinite(target).all()):
            return math.nan
        value = float(self.function(prediction, target))
        return value if math.isfinite(value) else math.nan


def influence_of_mean(loss: Callable[[Vector, Vector], Vector]) -> Influence:
    """Return the influence, which is exact, of a mean over rows of ``loss(prediction, target)``."""

    def influence(prediction: Ordered, target: Ordered) -> tuple[float, Vector]:
        losses = loss(prediction.values, target.values)
        mean = float(losses.mean()) if len(losses) else math.nan
        return mean, losses - mean

    return influence


PEARSON = Metric(
    name="pearson",
    label="Pearson",
    symbol="r",
    function=pearson,
    higher_is_better=True,
    from_moments=weighted_pearson,
    correlation=True,
)
SPEARMAN = Metric(
    name="spearman",
    label="Spearman",
    symbol="rho",
    function=spearman,
    higher_is_better=True,
    influence=spearman_influence,
    correlation=True,
)
MSE = Metric(
    name="mse",
    label="MSE",
    function=mean_squared_error,
    higher_is_better=False,
    # Moments give it, too, but as a small difference of large sums where predictions are good.
    influence=influence_of_mean(lambda x, y: (x - y) ** 2),
    form=".4g",
)
MAE = Metric(
    name="mae",
    label="MAE",
    function=mean_absolute_error,
    higher_is_better=False,
    influence=influence_of_mean(lambda x, y: np.abs(x - y)),
    form=".4g",
)
R2 = Metric(
    name="r2",
    label="R2",
    function=r_squared,
    higher_is_better=True,
    from_moments=weighted_r_squared,
)

METRICS = {metric.name: metric for metric in (PEARSON, SPEARMAN, MSE, MAE, R2)}
STANDARD = (PEARSON, SPEARMAN)
"""Metrics of every task, whatever else it declares."""
SELECTION = PEARSON
"""The metric of the validation rows by which the weights of a run are chosen."""
