"""The scale of targets: what training subtracts from them and divides them by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.tables import LARGEST
from bench.errors import BenchError, argument
from bench.model import UNSCALED, TargetScale

_STEPS = 1000
"""Least std of targets, in steps between neighbouring floats at their size.

Rounding to a step then changes a correlation by less than 1e-7: its variance is 1/12 square step.
"""


def target_scale(target: NDArray[np.float64], *, standardize: bool) -> TargetScale:
    """Return the scale of training targets.

    Args:
        target: Targets of the training rows ``(N,)``, in the task's unit.
        standardize: Whether targets are standardized by their mean and std. Otherwise a model sees
            them as they are, rounded to float32.

    Raises:
        BenchError: The targets are not finite, are all equal, or are so far from zero that their
            differences are lost in rounding.
    """
    wrong = ~(np.abs(target) <= LARGEST)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BenchError(f"training row {row:,}: the target {target[row]} is not a finite number.")
    if not len(target) or np.ptp(target) == 0:
        raise BenchError(
            f"{len(target)} training rows with one target value: there is nothing to learn."
        )
    mean, std = float(target.mean()), float(target.std())
    largest = np.abs(target).max()
    if std < _STEPS * np.spacing(largest):
        raise _too_far(target, mean, std, "64-bit numbers")
    if standardize:
        return TargetScale(mean, std)
    if std < _STEPS * float(np.spacing(np.float32(largest))):
        raise _too_far(target, mean, std, f"without {argument('recipe.standardize', True)}")
    return UNSCALED


def _too_far(target: NDArray[np.float64], mean: float, std: float, where: str) -> BenchError:
    return BenchError(
        f"the {len(target):,} training targets have mean {mean:.6g} and std {std:.3g}: so far from "
        f"zero, rounding loses their differences ({where}). Subtract a constant such as "
        f"{float(target[0])!r} from all targets."
    )
