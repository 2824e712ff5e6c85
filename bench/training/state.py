"""The state of a training: the content of a checkpoint and the start of a resumed run."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.model import Model
from bench.training.checkpoints import State
from bench.training.distributed import Ranks
from bench.training.schedule import Plan


class TrainState:
    """Everything that changes during a training.

    Args:
        model: Model, whose weights change in place.
        optimizer: Optimizer, whose moments change in place.
        plan: Schedule of the training.
        ranks: Processes that share the work.

    Attributes:
        step: Number of steps done.
        losses: Training loss of every step, ``(plan.steps,)``, on the device: the loss of this rank
            until :meth:`share_losses`, then the mean over ranks. Every loss is kept, so that no sum
            depends on the times of the snapshots.
        best: Best validation Pearson so far.
        best_step: Step of the best validation; 0 before the first validation.
        seconds: Time spent on steps before the last pause.
        validation_seconds: Time spent on validations.
    """

    def __init__(
        self, model: Model, optimizer: torch.optim.Optimizer, plan: Plan, ranks: Ranks
    ) -> None:
        self._model, self.optimizer, self._plan, self._ranks = model, optimizer, plan, ranks
        device = next(model.parameters()).device
        self.losses = torch.zeros(plan.steps, device=device)
        self.step = self.best_step = self._shared = 0
        self.best, self.seconds, self.validation_seconds = -float("inf"), 0.0, 0.0
        self._best_weights: dict[str, Tensor] = {}

    def share_losses(self) -> None:
        """Average the losses of the steps since the last call over all ranks."""
        fresh = self.losses[self._shared : self.step]
        self._ranks.sum(fresh)
        fresh /= self._ranks.size
        self._shared = self.step

    def epoch_loss(self) -> float:
        """Return the mean loss since the last validation; call :meth:`share_losses` before."""
        start = (self.step - 1) // self._plan.steps_per_epoch * self._plan.steps_per_epoch
        return self.losses[start : self.step].mean().item()

    def keep_best(self, pearson: float) -> None:
        """Copy the weights if this validation is better than all before."""
        if pearson > self.best:
            self.best, self.best_step = pearson, self.step
            self._best_weights = {
                name: value.detach().cpu().clone()
                for name, value in self._model.state_dict().items()
            }

    def use_best(self) -> None:
        """Load the best weights into the model."""
        self._model.load_state_dict(self._best_weights)

    def state(self) -> State:
        """Return the content of a checkpoint; call :meth:`share_losses` before."""
        return {
            "step": self.step,
            "model": self._model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses[: self.step],
            "best": self.best,
            "best_step": self.best_step,
            "best_weights": self._best_weights,
            "seconds": self.seconds,
            "validation_seconds": self.validation_seconds,
        }

    def restore(self, state: State) -> None:
        """Load the content of a checkpoint."""
        self._model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = self._shared = state["step"]
        self.losses[: self.step] = state["losses"].to(self.losses.device)
        self.best, self.best_step = state["best"], state["best_step"]
        self._best_weights = state["best_weights"]
        self.seconds, self.validation_seconds = state["seconds"], state["validation_seconds"]
