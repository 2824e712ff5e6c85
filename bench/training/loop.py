"""The training loop, from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.errors import BenchError
from bench.metrics import mean_squared_error, pearson, spearman
from bench.model import Model
from bench.recipe import Plan, Recipe
from bench.training.batches import Batches
from bench.training.device import autocast
from bench.training.optimizer import clip_gradients, make_optimizer, set_learning_rate
from bench.training.predict import predict

_REPORT_SECONDS = 1.0
_EXPLODED = 1e6  # times the error of predicting the mean: no run comes back from there


class Progress(Protocol):
    """What the loop tells while it runs."""

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        """About every second: updates done, mean loss since the last call, speed."""

    def epoch(self, step: int, figures: dict[str, float]) -> None:
        """After every validation: its figures, the epoch's mean loss and the learning rate."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to; the model holds the best weights.

    Attributes:
        steps: Updates made.
        best_step: Updates made when the best validation was reached.
        seconds: Spent on updates, validations not counted.
        sequences_per_second: Through the updates.
    """

    steps: int
    best_step: int
    seconds: float
    sequences_per_second: float


class DivergedError(BenchError):
    """The loss is no longer a number: the run failed and has no score."""


def train(
    model: Model,
    training: Batches,
    validation: Batches,
    recipe: Recipe,
    plan: Plan,
    *,
    seed: int,
    progress: Progress,
    max_seconds: float | None = None,
    compiled: bool = False,
) -> Trained:
    """Train ``model`` in place and leave it with the weights of its best validation Pearson.

    Args:
        model: On the device of the batches.
        training: Rows to learn from.
        validation: Rows that choose the weights; never the test rows.
        recipe: Optimizer and regularization.
        plan: The recipe's schedule for this number of rows.
        seed: Decides the order of the rows; set torch's own seed before making the model.
        progress: Told about steps and validations.
        max_seconds: Stop at the next update once so much time is spent on updates.
        compiled: Trace the loss with ``torch.compile``.

    Raises:
        DivergedError: The loss, or every validation, became NaN or infinite.
    """
    optimizer = make_optimizer(model, recipe)
    loss_of: Callable[[Tensor, Tensor], Tensor] = model.loss
    if compiled:
        loss_of = torch.compile(model.loss)
    meter = Meter(training.target.device)
    exploded = _EXPLODED * (1 + training.target.square().mean().item())
    batches = training.shuffled(recipe.batch_size, seed)
    best, best_step, best_weights = -float("inf"), 0, clone_state(model)
    model.train()

    for step in range(plan.steps):
        tokens, target = next(batches)
        rate = plan.learning_rate(step, recipe)
        set_learning_rate(optimizer, rate)
        with autocast(target.device):
            loss = loss_of(tokens, target)
        if recipe.l2:
            loss = loss + recipe.l2 * squared_weights(model)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(model, recipe)
        optimizer.step()

        out_of_time = max_seconds is not None and meter.seconds > max_seconds
        last = step + 1 == plan.steps or out_of_time
        epoch_ends = last or (step + 1) % plan.steps_per_epoch == 0
        reported = meter.add(loss, len(target), now=epoch_ends)
        if reported is not None:
            if not meter.finite or (step >= plan.warmup_steps and reported[0] > exploded):
                raise DivergedError(
                    f"the loss became {reported[0]:.3g} by update {step + 1}. "
                    f"Try --set recipe.lr={recipe.lr / 3:.1g}."
                )
            progress.step(step + 1, *reported)
        if epoch_ends:
            epoch_loss = meter.pause()
            figures = validate(model, validation)
            progress.epoch(
                step + 1, {"train/loss": epoch_loss, "train/learning_rate": rate, **figures}
            )
            if figures["validation/pearson"] > best:
                best, best_step = figures["validation/pearson"], step + 1
                best_weights = clone_state(model)
            meter.resume()
        if last:
            break

    if best_step == 0:
        raise DivergedError(
            "no validation gave a correlation: predictions are constant or not finite. "
            f"Try --set recipe.lr={recipe.lr / 3:.1g}."
        )
    model.load_state_dict(best_weights)
    return Trained(step + 1, best_step, meter.seconds, meter.sequences / meter.seconds)


def validate(model: Model, validation: Batches) -> dict[str, float]:
    """Score a model on validation rows, in standardized units."""
    predictions, target = predict(model, validation), validation.target.cpu().numpy()
    return {
        "validation/pearson": pearson(predictions, target),
        "validation/spearman": spearman(predictions, target),
        "validation/mse": mean_squared_error(predictions, target),
    }


def squared_weights(model: Model) -> Tensor:
    """Sum the squares of the weights that a recipe's L2 acts on."""
    return torch.stack([weight.square().sum() for weight in model.l2_parameters()]).sum()


def clone_state(model: Model) -> dict[str, Tensor]:
    """Copy a model's weights and buffers to the host."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


class Meter:
    """Adds up losses on the device, and asks for them about once a second only."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(2, device=device)  # since the last report, since the last pause
        self._counts = [0, 0, 0]  # updates, sequences since the last report; updates since pause
        self._resumed = self._reported = time.perf_counter()
        self._spent = 0.0
        self.sequences = 0
        self.finite = True

    @property
    def seconds(self) -> float:
        """Time spent on updates so far."""
        return self._spent + time.perf_counter() - self._resumed

    def add(self, loss: Tensor, sequences: int, *, now: bool) -> tuple[float, float] | None:
        """Count an update; return mean loss and sequences/s when a report is due, or ``now``."""
        self._sums += loss.detach()
        self._counts = [self._counts[0] + 1, self._counts[1] + sequences, self._counts[2] + 1]
        self.sequences += sequences
        elapsed = time.perf_counter() - self._reported
        if elapsed < _REPORT_SECONDS and not now:
            return None
        mean = self._sums[0].item() / self._counts[0]  # waits for the device
        self.finite = abs(mean) < float("inf")
        speed = self._counts[1] / (time.perf_counter() - self._reported)
        self._sums[0] = 0
        self._counts[:2] = [0, 0]
        self._reported = time.perf_counter()
        return mean, speed

    def pause(self) -> float:
        """Stop the clock for a validation; return the mean loss since the last one."""
        mean = self._sums[1].item() / self._counts[2]
        self._spent += time.perf_counter() - self._resumed
        self._sums[1] = 0
        self._counts[2] = 0
        return mean

    def resume(self) -> None:
        """Start the clock again."""
        self._resumed = self._reported = time.perf_counter()
