"""Functions of predictions and targets in float64, the only definitions in the project.

A correlation with a constant, or over fewer than two rows, is undefined: it is NaN here and null in
a result. A NaN or an infinity in either input gives NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Return the product-moment correlation of two vectors, in -1..1 or NaN."""
    a, b = _pair(x, y)
    if len(a) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    if np.ptp(a) == 0 or np.ptp(b) == 0:  # exact; a centred sum of squares may round to above 0
        return float("nan")
    a, b = _unit(a), _unit(b)
    return float(np.clip(_dot(a, b), -1.0, 1.0))


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Return the rank correlation of two vectors, in -1..1 or NaN; ties get their mean rank."""
    a, b = _pair(x, y)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    return pearson(mean_ranks(a), mean_ranks(b))


def mean_squared_error(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return the mean of squared differences, in squared units of the target."""
    a, b = _pair(prediction, target)
    if not len(a) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    return float(np.mean((a - b) ** 2))


def mean_absolute_error(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return the mean of absolute differences, in units of the target."""
    a, b = _pair(prediction, target)
    if not len(a) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    return float(np.mean(np.abs(a - b)))


def r_squared(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return 1 - (mean squared error / variance of the target), at most 1, or NaN."""
    a, b = _pair(prediction, target)
    if len(a) < 2 or not np.isfinite(b).all() or np.ptp(b) == 0:
        return float("nan")
    return 1 - mean_squared_error(a, b) / float(np.var(b))


def mean_ranks(x: ArrayLike) -> Vector:
    """Return the ranks of values, from 1; equal values get the mean of their ranks."""
    values = np.asarray(x, dtype=np.float64)
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(values)))
    ranks = np.empty(len(values), dtype=np.float64)
    ranks[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    return ranks


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"two vectors of one length are needed, got shapes {a.shape}, {b.shape}")
    return a, b


def _unit(x: Vector) -> Vector:
    """Return a vector centred and scaled to length one, without overflow and underflow."""
    centred = x - x.mean()
    centred /= np.abs(centred).max()
    centred -= centred.mean()  # the first mean was rounded, at the size of the values
    unit: Vector = centred / np.sqrt(_dot(centred, centred))
    return unit


def _dot(x: Vector, y: Vector) -> np.float64:
    """Return the dot product by pairwise summation: unlike BLAS, equal on every machine."""
    total: np.float64 = np.sum(x * y)
    return total
