"""The schedule of a training: steps, learning rates and the decays of moments."""

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
        units = {"epochs": steps_per_epoch, "steps": 1, "share": full}
        warmup = recipe.warmup * units[recipe.warmup_unit]
        steps = min(full, max_steps or full)
        return cls(steps, min(steps_per_epoch, steps), round(warmup * steps / full))

    def learning_rate(self, step: int, recipe: Recipe) -> float:
        """Return the learning rate of a step (from 0), before the cuts of a :class:`Plateau`.

        The schedule "noam" is that of Vaswani et al. (2017): linear warm-up, then 1/sqrt(step).
        The schedule "one_cycle" is torch's ``OneCycleLR``: a cosine from lr/25 up to lr during
        warm-up, then a cosine down to lr/250,000.
        """
        if recipe.schedule == "one_cycle":
            start = recipe.lr / _CYCLE_START
            return self._cycle(step, recipe, start, recipe.lr, start / _CYCLE_END)
        if step < self.warmup_steps:
            return recipe.lr * (step + 1) / self.warmup_steps
        if recipe.schedule in ("constant", "plateau"):
            return recipe.lr
        if recipe.schedule == "noam":
            return recipe.lr * math.sqrt(max(self.warmup_steps, 1) / (step + 1))
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * progress))

    def betas(self, step: int, recipe: Recipe) -> tuple[float, float]:
        """Return the moments' decays of Adam or Lion in a step; the first one may cycle."""
        if not recipe.cycle_momentum:
            return recipe.beta1, recipe.beta2
        slow, fast = _CYCLE_BETAS
        return self._cycle(step, recipe, slow, fast, slow), recipe.beta2

    def _cycle(self, step: int, recipe: Recipe, start: float, peak: float, end: float) -> float:
        """Return the value of a step on a cosine from start to peak and on one from peak to end."""
        # As in OneCycleLR, the peak may lie between two steps.
        rise = recipe.warmup * self.steps if recipe.warmup_unit == "share" else self.warmup_steps
        top = rise - 1.0
        if step <= top:
            return _between(start, peak, step / top if top else 1.0)
        return _between(peak, end, (step - top) / (self.steps - 1 - top))


def _between(start: float, end: float, progress: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * progress) + 1)


_CYCLE_START, _CYCLE_END = 25.0, 1e4
_CYCLE_BETAS = 0.95, 0.85
"""The defaults of torch's ``OneCycleLR``."""

_BETTER = 1e-4  # relative
_SMALLEST_CUT = 1e-8


@dataclass(slots=True)
class Plateau:
    """The cuts of the learning rate where the validation loss stays, as ``ReduceLROnPlateau`` does.

    Attributes:
        best: Best validation loss so far.
        stale: Number of validations since the best one or the last cut.
        scale: Factor of the learning rate.
    """

    best: float = math.inf
    stale: int = 0
    scale: float = 1.0

    def note(self, loss: float, recipe: Recipe) -> None:
        """Take over the loss of a validation."""
        if recipe.schedule != "plateau":
            return
        better = loss < self.best * (1 - _BETTER)
        self.best, self.stale = (loss, 0) if better else (self.best, self.stale + 1)
        if self.stale > recipe.plateau_patience:
            self.stale = 0
            if recipe.lr * self.scale * (1 - recipe.plateau_factor) > _SMALLEST_CUT:
                self.scale *= recipe.plateau_factor
