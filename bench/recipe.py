"""Training recipes: optimizer, schedule, budget, clipping and regularization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.config import setting, settings
from bench.errors import BenchError
from bench.search_space import Choice, Range, Spaces


@settings
class Recipe:
    """Settings of a training: optimizer, schedule, budget, clipping and regularization.

    The defaults are the ``standard`` protocol, which is the same for every model. They follow the
    Proformer talk (Kwak et al., RECOMB/ISCB RSG with DREAM 2022). The talk does not state the
    clipping; here gradients are clipped to a global norm of 1.
    """

    optimizer: Literal["adam", "adamw", "lion", "rmsprop"] = setting("adam", "update rule")
    lr: float = setting(1e-3, "peak learning rate", low=0)
    beta1: float = setting(0.9, "Adam, Lion: decay of the gradient's mean", low=0, high=1)
    beta2: float = setting(
        0.999, "Adam: decay of the squared gradient's mean; Lion: of the kept mean", low=0, high=1
    )
    rho: float = setting(0.9, "RMSProp: decay of the squared gradient's mean", low=0, high=1)
    eps: float = setting(1e-8, "added to the root of the squared gradient's mean", low=0)
    weight_decay: float = setting(0.0, "AdamW, Lion: decoupled weight decay", low=0)
    schedule: Literal["cosine", "noam", "constant", "one_cycle", "plateau"] = setting(
        "cosine",
        "after warm-up: half a cosine to 0, 1/sqrt(step), none, half a cosine to lr/250,000, or "
        "cuts where the validation loss stays",
    )
    warmup: float = setting(1.0, "warm-up, in units of `warmup_unit`", low=0)
    warmup_unit: Literal["epochs", "steps", "share"] = setting("epochs", "unit of `warmup`")
    cycle_momentum: bool = setting(False, "one_cycle: beta1 falls from .95 to .85, then rises")
    plateau_factor: float = setting(0.1, "plateau: factor of the learning rate", low=0, high=1)
    plateau_patience: int = setting(1, "plateau: epochs without a better validation loss", low=0)
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
    loss: Literal["mse", "l1", "huber"] = setting("mse", "loss of a predicted number")
    strands: Literal["forward", "both", "random", "paired"] = setting(
        "forward", "strands of training rows: both as rows, one at random, or both in every step"
    )
    average_strands: bool = setting(False, "predict the mean over both strands")
    average_shifts: int = setting(0, "predict the mean over shifts of -n..n nt", low=0)
    average_weights: Literal["none", "ema", "swa"] = setting(
        "none", "weights validated and kept: those of the step, or a mean over steps"
    )
    ema_decay: float = setting(0.999, "ema: decay of the mean of the weights", low=0, high=1)
    swa_start: float = setting(0.75, "swa: share of the steps before averaging", low=0, high=1)
    keep: Literal["best", "last"] = setting("best", "weights kept: best validation, or last step")
    early_stop: int = setting(0, "epochs without a better validation that end it; 0: off", low=0)
    precision: Literal["auto", "float32", "bf16"] = setting("auto", "auto: bf16 on a GPU only")
    output: Literal["identity", "normal_cdf"] = setting(
        "identity", "monotone transform of standardized predictions"
    )
    output_shift: float = setting(0.0, "normal_cdf: subtracted from predictions before it")

    def __post_init__(self) -> None:
        """Check that no setting contradicts another one.

        Raises:
            BenchError: Two settings exclude each other, or one of them would have no effect.
        """
        adam = self.optimizer in ("adam", "adamw")
        share, cycle = self.warmup_unit == "share", self.schedule == "one_cycle"
        _refuse(
            bool(self.weight_decay) and self.optimizer not in ("adamw", "lion"),
            f"recipe.weight_decay: {self.optimizer} has none.",
            {"recipe.optimizer": "adamw"},
        )
        _refuse(
            self.cycle_momentum and not (adam and cycle),
            "recipe.cycle_momentum needs schedule one_cycle, and adam or adamw.",
            {"recipe.cycle_momentum": "false"},
        )
        _refuse(
            bool(self.output_shift) and self.output == "identity",
            "recipe.output_shift needs an output transform.",
            {"recipe.output": "normal_cdf"},
        )
        _refuse(
            share and self.warmup > 1,
            f"recipe.warmup is a share of the steps, at most 1; got {self.warmup:g}.",
            {"recipe.warmup": 0.3},
        )
        for name, value, used in (
            ("beta1", 0.9, adam or self.optimizer == "lion"),
            ("beta2", 0.999, adam or self.optimizer == "lion"),
            ("rho", 0.9, self.optimizer == "rmsprop"),
            ("ema_decay", 0.999, self.average_weights == "ema"),
            ("swa_start", 0.75, self.average_weights == "swa"),
            ("plateau_factor", 0.1, self.schedule == "plateau"),
        ):
            _refuse(
                used and getattr(self, name) == 1,
                f"recipe.{name} must be below 1.",
                {f"recipe.{name}": value},
            )


def _refuse(wrong: bool, reason: str, instead: Mapping[str, object]) -> None:
    if wrong:
        raise BenchError(reason, field=reason.split()[0].rstrip(":"), hint=instead)


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
    """Changes of the standard recipe, a learning rate for the smaller size among them."""
    max_steps: int | None = None

    @property
    def budget(self) -> dict[str, Any]:
        """Fields of :attr:`recipe` that only make a training shorter, whatever the recipe."""
        return {name: self.recipe[name] for name in ("batch_size", "epochs") if name in self.recipe}
