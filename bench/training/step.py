"""One update of the weights: forward, backward, clip, step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from bench.model import Batch, Model
from bench.recipe import Recipe
from bench.training.device import autocast
from bench.training.distributed import Ranks
from bench.training.micro_batches import MicroBatches
from bench.training.optimizer import clip_gradients, make_optimizer, set_learning_rate
from bench.training.schedule import Plan
from bench.training.sync_batch_norm import share_batch_statistics


class TrainStep:
    """A recipe's update rule for a model; with several ranks, every rank makes the same one.

    Args:
        model: Changes in place. With several ranks, rank 0's weights go to all.
        recipe: Optimizer, clipping, L2.
        plan: Learning rates.
        micro_batches: How batches come.
        ranks: Who shares the work.
        seed: Decides all noise.
        compiled: Trace the loss with ``torch.compile``.

    Attributes:
        optimizer: Holds the moments.
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
        self.optimizer = make_optimizer(model, recipe)
        self._parallel = None
        module: nn.Module = Objective(model, recipe.l2)
        if ranks.size > 1:
            share_batch_statistics(model)
            module = self._parallel = nn.parallel.DistributedDataParallel(module)
        self._loss: Callable[[Batch], Tensor] = torch.compile(module) if compiled else module

    def __call__(self, step: int, batches: Iterator[Batch]) -> Tensor:
        """Make update number ``step`` with this rank's micro-batches; return their mean loss."""
        mine = self._micro_batches.mine
        set_learning_rate(self.optimizer, self._plan.learning_rate(step, self._recipe))
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for number in mine:
            batch = next(batches)
            self._micro_batches.seed_noise(self._seed, step, number, batch.target.device)
            with self._shared(number == mine[-1]):
                with autocast(batch.target.device):
                    loss = self._loss(batch) / len(mine)
                loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        clip_gradients(self._model, self._recipe)
        self.optimizer.step()
        return torch.stack(losses).sum()

    def _shared(self, last: bool) -> AbstractContextManager[None]:
        """Let gradients add up on this rank until the last micro-batch: all ranks wait for it."""
        if self._parallel is None or last:
            return nullcontext()
        return self._parallel.no_sync()


class Objective(nn.Module):
    """What an update minimizes, as one module: so that it is compiled, or shared, whole.

    Args:
        model: On its device.
        l2: Times the sum of squared weights is added to the model's loss.
    """

    def __init__(self, model: Model, l2: float) -> None:
        super().__init__()
        self.model, self.l2 = model, l2

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss of some rows, a scalar."""
        loss = self.model.loss(batch)
        if self.l2:
            weights = [weight.square().sum() for weight in self.model.l2_parameters()]
            loss = loss + self.l2 * torch.stack(weights).sum()
        return loss
