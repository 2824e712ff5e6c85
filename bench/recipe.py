"""How a model is trained, as data: two recipes are comparable when these fields agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.errors import BenchError
from bench.settings import setting
from bench.space import Choice, Range, Spaces


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Optimizer, schedule, budget, clipping and regularization.

    The defaults are the ``standard`` recipe, one protocol for every model: that of the Proformer
    talk (Kwak et al., RECOMB/ISCB RSG with DREAM 2022), with the clipping it leaves open set to
    a global norm of 1.
    """

    optimizer: Literal["adam", "rmsprop"] = setting("adam", "update rule")
    lr: float = setting(1e-3, "peak learning rate", low=0)
    beta1: float = setting(0.9, "Adam: decay of the gradient's mean", low=0, high=1)
    beta2: float = setting(0.999, "Adam: decay of the squared gradient's mean", low=0, high=1)
    rho: float = setting(0.9, "RMSProp: decay of the squared gradient's mean", low=0, high=1)
    eps: float = setting(1e-8, "added to the root of the squared gradient's mean", low=0)
    schedule: Literal["cosine", "noam", "constant"] = setting(
        "cosine", "after warm-up: half a cosine to 0, 1/sqrt(step), or none"
    )
    warmup: float = setting(1.0, "linear warm-up, in units of `warmup_unit`", low=0)
    warmup_unit: Literal["epochs", "steps"] = setting("epochs", "unit of `warmup`")
    batch_size: int = setting(512, "sequences an update", low=1)
    epochs: int = setting(20, "validations; the best one's weights are kept", low=1)
    passes: int = setting(1, "passes over the training rows an epoch", low=1)
    clip_value: float = setting(0.0, "cut every gradient element to +-this; 0: not at all", low=0)
    clip_norm: float = setting(1.0, "then scale gradients to this norm at most; 0: never", low=0)
    clip_by: Literal["global", "tensor"] = setting(
        "global", "norm over all tensors, or of each alone as Keras' clipnorm"
    )
    l2: float = setting(0.0, "adds this times the sum of squared weights to the loss", low=0)
    standardize: bool = setting(True, "train on targets of mean 0 and deviation 1")


SPACE: Spaces = {
    "lr": Range(1e-4, 1e-2, log=True),
    "batch_size": Choice((128, 256, 512, 1024)),
    "clip_norm": Choice((0.1, 1.0, 10.0)),
}
"""What ``bench search`` varies of every recipe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A smaller budget: settings of the model and the recipe, and how many updates at most."""

    model: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int | None = None


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
                f"{rows} training rows make no batch of {recipe.batch_size}. "
                f"Try --set recipe.batch_size={2 ** int(math.log2(rows))}."
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
