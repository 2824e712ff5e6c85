"""Training recipes: optimizer, schedule, budget, clipping and regularization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.config import setting, settings
from bench.search_space import Choice, Range, Spaces


@settings
class Recipe:
    """Settings of a training: optimizer, schedule, budget, clipping and regularization.

    The defaults are the ``standard`` protocol, which is the same for every model. They follow the
    Proformer talk (Kwak et al., RECOMB/ISCB RSG with DREAM 2022). The talk does not state the
    clipping; here gradients are clipped to a global norm of 1.
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
    batch_size: int = setting(512, "sequences per step", low=1)
    epochs: int = setting(20, "validations; the weights of the best one are kept", low=1)
    passes: int = setting(1, "passes over the training rows per epoch", low=1)
    clip_value: float = setting(0.0, "clip every gradient element to +-this; 0: off", low=0)
    clip_norm: float = setting(1.0, "then scale gradients to at most this norm; 0: off", low=0)
    clip_by: Literal["global", "tensor"] = setting(
        "global", "norm over all tensors, or of each tensor alone like Keras' clipnorm"
    )
    l2: float = setting(0.0, "adds this times the sum of squared weights to the loss", low=0)
    standardize: bool = setting(True, "train on targets of mean 0 and std 1")


SPACE: Spaces = {
    "lr": Range(1e-4, 1e-2, log=True),
    "batch_size": Choice((128, 256, 512, 1024)),
    "clip_norm": Choice((0.1, 1.0, 10.0)),
}
"""Search space of ``bench search`` for the recipe of every model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A smaller budget: settings of the model and the recipe, and the largest number of steps."""

    model: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
