"""One training step: forward pass, backward pass, clipping, update of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from bench.model import Batch, Model
from bench.recipe import Recipe
from bench.training.device import autocast
from bench.training.distributed import Ranks
from bench.training.micro_batches import MicroBatches
from bench.training.optimizer import clip_gradients, make_optimizer, set_rates
from bench.training.schedule import Plan
from bench.training.sync_batch_norm import share_batch_statistics

CRITERIA: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse_loss,
    "l1": l1_loss,
    "huber": huber_loss,
}
"""Losses of predicted numbers, by the recipe's name; all are means over the rows."""
Losses = tuple[Tensor, dict[str, Tensor]]
"""A loss to minimize and, if it has several terms, its terms by name; scalars."""


class TrainStep:
    """The training step of a recipe; with several ranks, every rank makes the same update.

    Args:
        model: Model, which changes in place. With several ranks, all get the weights of rank 0.
        recipe: Recipe, for its loss, optimizer, precision, clipping and L2 penalty.
        plan: Schedule, for its learning rates.
        micro_batches: Micro-batches of every batch.
        ranks: Processes that share the work.
        seed: Seed of all noise.
        compiled: Whether the loss is traced with ``torch.compile``.

    Attributes:
        optimizer: Optimizer of the model's parameters.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        plan: Plan,
        micro_batches: MicroBatches,
        ranks: Ranks,
        *,
        seed: int,
        compiled: bool = False,
    ) -> None:
        self._model, self._recipe, self._plan, self._seed = model, recipe, plan, seed
        self._micro_batches = micro_batches
        model.criterion = CRITERIA[recipe.loss]
        self.optimizer = make_optimizer(model, recipe)
        self._parallel = None
        module: nn.Module = Objective(model, recipe.l2)
        if ranks.size > 1:
            share_batch_statistics(model)
            module = self._parallel = nn.parallel.DistributedDataParallel(module)
        self._loss: Callable[[Batch], Losses] = torch.compile(module) if compiled else module

    def __call__(self, step: int, batches: Iterator[Batch], scale: float = 1.0) -> Losses:
        """Make step number ``step`` with this rank's micro-batches; return their mean losses.

        Args:
            step: Number of the step, from 0.
            batches: Micro-batches of this rank.
            scale: Factor of the schedule's learning rate.
        """
        mine, recipe = self._micro_batches.mine, self._recipe
        rate = scale * self._plan.learning_rate(step, recipe)
        set_rates(self.optimizer, rate, self._plan.betas(step, recipe))
        self.optimizer.zero_grad(set_to_none=True)
        losses, parts = [], []
        for number in mine:
            batch = next(batches)
            self._micro_batches.seed_noise(self._seed, step, number, batch.target.device)
            with self._shared(number == mine[-1]):
                with autocast(batch.target.device, recipe.precision):
                    loss, terms = self._loss(batch)
                    loss = loss / len(mine)
                loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            parts.append(terms)
        clip_gradients(self._model, recipe)
        self.optimizer.step()
        means = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        return torch.stack(losses).sum(), means

    def _shared(self, last: bool) -> AbstractContextManager[None]:
        """Return a context in which ranks exchange gradients after the last micro-batch only."""
        if self._parallel is None or last:
            return nullcontext()
        return self._parallel.no_sync()


class Objective(nn.Module):
    """The function that a step minimizes, as one module to be compiled or distributed.

    Args:
        model: Model on its device.
        l2: Factor of the sum of squared weights that is added to the model's loss.
    """

    def __init__(self, model: Model, l2: float) -> None:
        super().__init__()
        self.model, self.l2 = model, l2

    def forward(self, batch: Batch) -> Losses:
        """Return the mean loss of some rows, a scalar, and the terms that a model adds up."""
        terms = self.model.losses(batch)
        first, *others = terms.values()
        loss = sum(others, first)
        if self.l2:
            weights = [weight.square().sum() for weight in self.model.l2_parameters()]
            loss = loss + self.l2 * torch.stack(weights).sum()
        return loss, {name: term.detach() for name, term in terms.items()} if others else {}
