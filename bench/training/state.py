"""The state of a training: the content of a checkpoint and the start of a resumed run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.model import Model
from bench.recipe import Recipe
from bench.training.averaging import WeightAverage
from bench.training.checkpoints import State
from bench.training.distributed import Ranks
from bench.training.schedule import Plan, Plateau


class TrainState:
    """Everything that changes during a training.

    Args:
        model: Model, whose weights change in place.
        optimizer: Optimizer, whose moments change in place.
        recipe: Recipe of the training.
        plan: Schedule of the training.
        ranks: Processes that share the work.

    Attributes:
        step: Number of steps done.
        losses: Training loss of every step, ``(plan.steps,)``, on the device: the loss of this rank
            until :meth:`share_losses`, then the mean over ranks. Every loss is kept, so that no sum
            depends on the times of the snapshots.
        terms: Terms of the loss by name, where there are several; otherwise as ``losses``, and NaN
            for steps before the checkpoint of a version that kept no terms.
        average: Average of the weights, which is validated and kept.
        plateau: Cuts of the learning rate so far.
        best: Best validation Pearson so far.
        best_step: Step of the best validation; 0 before the first validation.
        seconds: Time spent on steps before the last pause.
        validation_seconds: Time spent on validations.
    """

    def __init__(
        self,
        model: Model,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        plan: Plan,
        ranks: Ranks,
    ) -> None:
        self._model, self.optimizer, self._ranks = model, optimizer, ranks
        self._recipe, self._plan = recipe, plan
        device = next(model.parameters()).device
        self.losses = torch.zeros(plan.steps, device=device)
        self.terms: dict[str, Tensor] = {}
        self.average, self.plateau = WeightAverage(model, recipe, plan.steps), Plateau()
        self.step = self.best_step = self._shared = 0
        self.best, self.seconds, self.validation_seconds = -float("inf"), 0.0, 0.0
        self._best_weights: dict[str, Tensor] = {}

    @property
    def over(self) -> bool:
        """Whether all steps are done, or the validations no longer improve."""
        stale = (self.step - self.best_step) // self._plan.steps_per_epoch
        return self.step >= self._plan.steps or 0 < self._recipe.early_stop <= stale

    def advance(self, loss: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Take over the losses of a step that is done, and add its weights to the average."""
        self.losses[self.step] = loss
        for name, term in terms.items():
            if name not in self.terms:
                self.terms[name] = torch.full_like(self.losses, math.nan)
            self.terms[name][self.step] = term
        self.step += 1
        self.average.add(self.step)

    def share_losses(self) -> None:
        """Average the losses of the steps since the last call over all ranks."""
        for losses in (self.losses, *self.terms.values()):
            fresh = losses[self._shared : self.step]
            self._ranks.sum(fresh)
            fresh /= self._ranks.size
        self._shared = self.step

    def epoch_losses(self) -> dict[str, float]:
        """Return the mean losses since the last validation; call :meth:`share_losses` before."""
        start = (self.step - 1) // self._plan.steps_per_epoch * self._plan.steps_per_epoch
        steps = slice(start, self.step)
        return {
            "train/loss": self.losses[steps].mean().item(),
            **{f"train/loss_{name}": v[steps].nanmean().item() for name, v in self.terms.items()},
        }

    def recorded_terms(self) -> NDArray[np.void] | None:
        """Return the terms of the steps done, with a field for each; None for a single term."""
        if not self.terms:
            return None
        table = np.empty(self.step, dtype=[(name, np.float32) for name in self.terms])
        for name, term in self.terms.items():
            table[name] = term[: self.step].cpu().numpy()
        return table

    def note_validation(self, metrics: Mapping[str, float]) -> None:
        """Take over a validation: copy the best weights, and cut the learning rate if it is time.

        The last weights need no copy: they are those of the training's end.
        """
        self.plateau.note(metrics["validation/mse"], self._recipe)
        if (pearson := metrics["validation/pearson"]) > self.best:
            self.best, self.best_step = pearson, self.step
            if self._recipe.keep == "best":
                self._best_weights = {
                    name: value.detach().cpu().clone()
                    for name, value in self.average.weights().items()
                }

    def finish(self) -> int:
        """Load the weights that the recipe keeps into the model, and return their step."""
        last = self._recipe.keep == "last"
        self._model.load_state_dict(self.average.weights() if last else self._best_weights)
        return self.step if last else self.best_step

    def state(self) -> State:
        """Return the content of a checkpoint; call :meth:`share_losses` before."""
        return {
            "step": self.step,
            "model": self._model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses[: self.step],
            "terms": {name: term[: self.step] for name, term in self.terms.items()},
            "average": self.average.values,
            "plateau": asdict(self.plateau),
            "best": self.best,
            "best_step": self.best_step,
            "best_weights": self._best_weights,
            "seconds": self.seconds,
            "validation_seconds": self.validation_seconds,
        }

    def restore(self, state: State) -> None:
        """Load the content of a checkpoint; one of an earlier version may lack newer parts."""
        self._model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = self._shared = state["step"]
        self.losses[: self.step] = state["losses"].to(self.losses.device)
        for name, term in state.get("terms", {}).items():
            self.terms[name] = torch.full_like(self.losses, math.nan)
            self.terms[name][: self.step] = term.to(self.losses.device)
        self.average.values = {
            name: value.to(self.losses.device) for name, value in state.get("average", {}).items()
        }
        self.plateau = Plateau(**state.get("plateau", {}))
        self.best, self.best_step = state["best"], state["best_step"]
        self._best_weights = state["best_weights"]
        self.seconds, self.validation_seconds = state["seconds"], state["validation_seconds"]
