"""The views of rows that a prediction averages, and the transform of the mean.

A view shows the laid-out tokens of one strand: forward or as their reverse complement, and from a
window that is moved by some positions. The recipe says which views a prediction is made of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.config import override
from bench.recipe import Recipe
from bench.training.device import Precision


@dataclass(frozen=True, slots=True)
class View:
    """A view of rows.

    Attributes:
        reverse: Whether the reverse complement of the laid-out tokens is shown.
        shift: Positions by which the window is moved; see :func:`bench.data.layout.lay_out`.
    """

    reverse: bool = False
    shift: int = 0


@dataclass(frozen=True, slots=True)
class PredictionRule:
    """The part of a recipe that predictions follow; its fields are the recipe's."""

    average_strands: bool = False
    average_shifts: int = 0
    output: str = "identity"
    output_shift: float = 0.0
    precision: Precision = "auto"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> PredictionRule:
        """Return the rule of a recipe's settings; fields that an old run lacks get their defaults.

        Raises:
            BenchError: A value has the wrong type or is out of range.
        """
        own = {f.name: settings[f.name] for f in fields(cls) if f.name in settings}
        recipe = override(Recipe(), own, section="recipe")
        return cls(**{f.name: getattr(recipe, f.name) for f in fields(cls)})

    @property
    def views(self) -> tuple[View, ...]:
        """Views whose mean is the prediction."""
        strands = (False, True) if self.average_strands else (False,)
        shifts = range(-self.average_shifts, self.average_shifts + 1)
        return tuple(View(reverse, shift) for shift in shifts for reverse in strands)

    def transformed(self, predictions: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return standardized predictions after the recipe's output transform, ``(N,)``.

        The normal distribution function is computed in float64: in float32 many predictions far
        above the mean would become equal, and ranks would change. A prediction that is not finite
        stays so; otherwise it would look like a valid 0 or 1.
        """
        if self.output == "identity":
            return predictions
        z = torch.from_numpy(predictions).double()
        # torch.special.ndtr loses the digits of small shares.
        share = torch.special.erfc((self.output_shift - z) / math.sqrt(2)) / 2
        values: NDArray[np.float64] = torch.where(z.isfinite(), share, z).numpy()
        return values


PLAIN = PredictionRule()
"""Rule of the standard recipe: the forward strand alone, without a transform."""
