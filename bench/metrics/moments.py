"""Metrics as functions of weighted sums, for many bootstrap samples and runs at once.

The sums are over standardized values (mean 0, variance 1 over the rows), so that single precision
is enough. Legend: x predictions, y targets, both standardized.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]

_FLAT = 1e-5  # variance below which single precision has no correct digits


@dataclass(frozen=True, slots=True)
class Moments:
    """Weighted sums over rows, in arrays whose shapes broadcast.

    Attributes:
        target: Sums of 1, y, y²: ``(3, ...)``.
        prediction: Sums of x, x², xy: ``(3, ...)``.
        target_scale: Mean and std of the targets before standardization.
        prediction_scale: Mean and std of the predictions before standardization, each ``(...)``.
    """

    target: Floats
    prediction: Floats
    target_scale: tuple[ArrayLike, ArrayLike] = (0.0, 1.0)
    prediction_scale: tuple[ArrayLike, ArrayLike] = (0.0, 1.0)

    def means(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return the weighted means of x, x², xy, y, y²."""
        n, y, yy = self.target
        x, xx, xy = self.prediction / n
        return x, xx, xy, y / n, yy / n


def weighted_pearson(moments: Moments) -> Floats:
    """Return the weighted product-moment correlation, in -1..1 or NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        x, xx, xy, y, yy = moments.means()
        x_variance, y_variance = xx - x * x, yy - y * y
        r = np.clip((xy - x * y) / np.sqrt(x_variance * y_variance), -1, 1)
        return np.where((x_variance > _FLAT) & (y_variance > _FLAT), r, np.nan)


def weighted_r_squared(moments: Moments) -> Floats:
    """Return 1 - (weighted mean squared error / weighted variance of the target), or NaN."""
    x_mean, x_std = (np.asarray(value) for value in moments.prediction_scale)
    y_mean, y_std = (np.asarray(value) for value in moments.target_scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        x, xx, xy, y, yy = moments.means()
        ratio, variance = x_std / y_std, yy - y * y
        offset = (x_mean - y_mean) / y_std + ratio * x - y  # in stds of the target
        error = offset**2 + ratio**2 * (xx - x * x) + variance - 2 * ratio * (xy - x * y)
        return np.where(variance > _FLAT, 1 - error / variance, np.nan)
