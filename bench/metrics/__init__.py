"""Metrics as objects with a name, a function, a direction and a way to resample them.

To add a metric, declare one object: here, or in the file of a task that lists it in
:attr:`bench.task.Task.metrics`::

    MEDIAN_ERROR = Metric(
        name="median_error",
        label="Median error",
        function=lambda prediction, target: float(np.median(np.abs(prediction - target))),
        higher_is_better=False,
    )

The object is enough: the metric is then computed, logged, tabulated, ranked and compared.
Confidence intervals come from a bootstrap of the test rows, which uses the first of the following
that the metric has:

``from_moments``
    The value as a function of weighted sums. It is exact, and its cost is negligible.
``influence``
    The derivative of the value by the weight of every row. It is a first-order approximation, and
    exact for means over rows.
neither
    The same derivative for groups of rows, from at most 2,048 evaluations of ``function`` a run and
    subset; :mod:`bench.leaderboards.statistics.influence` describes its cost and accuracy.
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
"""A function of predictions and targets that returns the metric's value and the influences ``(M,)``
of the rows, whose sum is 0. To first order, the value under row weights w is
``value + sum(w * influences) / sum(w)``."""

_NAME = re.compile("[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A measure of the quality of predictions.

    Attributes:
        name: Key in results, such as "mse" in ``test/all/mse``: lower-case letters, digits, "_".
        label: Name in tables, such as "MSE".
        function: Function of finite predictions and targets ``(M,)``, M at least 1.
        higher_is_better: Whether a higher value is better.
        from_moments: Function of weighted sums that returns the same value.
        influence: Function that returns the value and every row's influence.
        correlation: Whether the values are correlations. These are bounded by -1 and 1, are
            undefined for constant predictions, and their first-order approximation is made on
            Fisher's z scale, where it is nearly linear.
        symbol: Name in narrow tables; if empty, the label.
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
        """Check the values of the fields."""
        if not _NAME.fullmatch(self.name):
            raise BenchError(
                f"metric {self.name!r}: a metric's name has lower-case letters, digits and _, "
                "such as 'median_error'."
            )
        if self.from_moments and self.influence:
            raise BenchError(f"metric '{self.name}' has from_moments and influence. Leave one out.")

    def __call__(self, prediction: Vector, target: Vector) -> float:
        """Return the value; NaN if it is undefined, without rows, or if an input is not finite.

        Args:
            prediction: Predictions ``(M,)``.
            target: Targets ``(M,)``.
        """
        if not len(target) or not (np.isfinite(prediction).all() and np.isfinite(target).all()):
            return math.nan
        value = float(self.function(prediction, target))
        return value if math.isfinite(value) else math.nan


def influence_of_mean(loss: Callable[[Vector, Vector], Vector]) -> Influence:
    """Return the exact influence function of the mean of ``loss(prediction, target)`` over rows."""

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
    # Moments would give the MSE of good predictions as a small difference of large sums.
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
"""Metrics that every task has in addition to its own."""
SELECTION = PEARSON
"""Metric of the validation rows that chooses the weights of a run."""
