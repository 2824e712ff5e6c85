"""When what happens in a training: a recipe laid over a number of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.errors import BenchError
from bench.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe laid over a data set: when what happens, in updates.

    Attributes:
        steps: Updates in all.
        steps_per_epoch: Updates between two validations.
        warmup_steps: Updates until the learning rate's peak.
    """

    steps: int
    steps_per_epoch: int
    warmup_steps: int

    @classmethod
    def of(cls, recipe: Recipe, rows: int, max_steps: int | None = None) -> Plan:
        """Plan a training on ``rows`` sequences.

        A limit on the updates shortens warm-up and decay in proportion, so that a short run is
        the same protocol in miniature.

        Raises:
            BenchError: There are fewer rows than one batch.
        """
        if rows < 1:
            raise BenchError("there are no training rows.")
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
        """Return the rate of update ``step`` (from 0).

        Noam's is Vaswani et al.'s (2017): up in a straight line, then down as 1/sqrt(step).
        """
        if step < self.warmup_steps:
            return recipe.lr * (step + 1) / self.warmup_steps
        if recipe.schedule == "constant":
            return recipe.lr
        if recipe.schedule == "noam":
            return recipe.lr * math.sqrt(max(self.warmup_steps, 1) / (step + 1))
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * progress))
