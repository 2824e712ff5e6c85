"""The schedule of a training, for a recipe and a number of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.errors import BenchError
from bench.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """The lengths of a training and of its phases, in steps.

    Attributes:
        steps: Number of steps in all.
        steps_per_epoch: Number of steps between two validations.
        warmup_steps: Number of steps until the learning rate's peak.
    """

    steps: int
    steps_per_epoch: int
    warmup_steps: int

    @classmethod
    def of(cls, recipe: Recipe, rows: int, max_steps: int | None = None) -> Plan:
        """Return the plan of a training on ``rows`` sequences.

        If both strands are training rows, a pass has every sequence twice.
        A limit on the steps shortens warm-up and decay in proportion.

        Raises:
            BenchError: There are fewer rows than one batch.
        """
        if rows < 1:
            raise BenchError("there are no training rows.")
        if recipe.strands == "both":
            rows *= 2
        if rows < recipe.batch_size:
            raise BenchError(
                f"{rows} training rows make no batch of {recipe.batch_size}.",
                hint={"recipe.batch_size": 2 ** int(math.log2(rows))},
            )
        steps_per_epoch = rows // recipe.batch_size * recipe.passes
        full = steps_per_epoch * recipe.epochs
        warmup = recipe.warmup * (steps_per_epoch if recipe.warmup_unit == "epochs" else 1)
        steps = min(full, max_steps or full)
        return cls(steps, min(steps_per_epoch, steps), round(warmup * steps / full))

    def learning_rate(self, step: int, recipe: Recipe) -> float:
        """Return the learning rate of a step (from 0).

        The schedule "noam" is that of Vaswani et al. (2017): linear warm-up, then 1/sqrt(step).
        """
        if step < self.warmup_steps:
            return recipe.lr * (step + 1) / self.warmup_steps
        if recipe.schedule == "constant":
            return recipe.lr
        if recipe.schedule == "noam":
            return recipe.lr * math.sqrt(max(self.warmup_steps, 1) / (step + 1))
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * progress))
