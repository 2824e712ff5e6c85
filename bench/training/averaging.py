"""Averages of a model's weights over the steps of a training.

Statistics such as the running means of a batch norm are averaged together with the weights: the
average then needs no further pass over the training rows, and does not depend on which rows such a
pass would show. Whole numbers, such as a count of batches, are those of the last step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from bench.model import Model
from bench.recipe import Recipe


class WeightAverage:
    """The average of a model's weights that a recipe asks for; without one, the weights.

    The average "ema" is the exponential mean over all steps, with the correction that Adam uses for
    its moments: in it, the weights after step i of t count ``decay ** (t - i)``, over the sum of
    these numbers. The average "swa" is the mean over all steps after a share of them. No method
    waits for the device.

    Args:
        model: Model on its device, whose weights change in place.
        recipe: Recipe, for the kind of the average.
        steps: Number of steps of the training.

    Attributes:
        values: Averages by the names of the model's state; empty before the first averaged step.
    """

    def __init__(self, model: Model, recipe: Recipe, steps: int) -> None:
        self._model, self._recipe, self._steps = model, recipe, steps
        self.values: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Add the weights after so many steps to the average."""
        share = share_of(step, self._recipe, self._steps)
        if share == 0:
            return
        fresh = averaged(self._model.state_dict())
        if share == 1:
            self.values = {name: value.clone() for name, value in fresh.items()}
        else:
            torch._foreach_lerp_(list(self.values.values()), list(fresh.values()), share)

    def weights(self) -> dict[str, Tensor]:
        """Return the model's state with averages in place of what is averaged."""
        return {**self._model.state_dict(), **self.values}

    @torch.no_grad()
    @contextmanager
    def shown(self) -> Iterator[None]:
        """Put the averages into the model for the duration of a block."""
        if not self.values:
            yield
            return
        fresh = averaged(self._model.state_dict())
        kept = [value.clone() for value in fresh.values()]
        torch._foreach_copy_(list(fresh.values()), list(self.values.values()))
        try:
            yield
        finally:
            torch._foreach_copy_(list(fresh.values()), kept)


def averaged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the part of a model's state that is averaged: all but whole numbers."""
    return {name: value for name, value in state.items() if value.is_floating_point()}


def share_of(step: int, recipe: Recipe, steps: int) -> float:
    """Return the share of the weights after a step (from 1) in the average after that step.

    The share is 1 in the first averaged step, and 0 in a step that is not averaged.
    """
    if recipe.average_weights == "ema":
        return (1 - recipe.ema_decay) / (1 - recipe.ema_decay**step)
    if recipe.average_weights == "swa":
        averaged_steps = step - int(recipe.swa_start * steps)
        return 1 / averaged_steps if averaged_steps > 0 else 0.0
    return 0.0
