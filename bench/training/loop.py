"""The training loop, from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import DivergedError
from bench.metrics import mean_squared_error, pearson, spearman
from bench.model import Model
from bench.recipe import Recipe
from bench.training.batches import Batches
from bench.training.checkpoints import State
from bench.training.distributed import ALONE, Ranks
from bench.training.micro_batches import MicroBatches
from bench.training.monitor import PLAIN, Controls, Monitor, Snapshot
from bench.training.predict import predict
from bench.training.schedule import Plan
from bench.training.state import TrainState
from bench.training.step import TrainStep

_EXPLODED = 1e6  # times the error of predicting the mean: no run comes back from there


class Progress(Protocol):
    """What the loop tells while it runs, on rank 0 only."""

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
        validation_seconds: Spent on validations.
        sequences_per_second: Through the updates, of all ranks.
        losses: Training loss of every update, ``(steps,)``; None where there are no updates.
    """

    steps: int
    best_step: int
    seconds: float
    validation_seconds: float
    sequences_per_second: float
    losses: NDArray[np.float32] | None


def train(
    model: Model,
    training: Batches,
    validation: Batches,
    recipe: Recipe,
    plan: Plan,
    *,
    seed: int,
    progress: Progress,
    controls: Controls = PLAIN,
    state: State | None = None,
) -> Trained:
    """Train ``model`` in place and leave it with the weights of its best validation Pearson.

    Args:
        model: On the device of the batches.
        training: Rows to learn from.
        validation: Rows that choose the weights; never the test rows.
        recipe: Optimizer and regularization.
        plan: The recipe's schedule for this number of rows.
        seed: Decides the order of the rows and all noise; set torch's own seed before making the
            model.
        progress: Told about steps and validations.
        controls: Devices, memory, checkpoints, limits, requests to end.
        state: A checkpoint to go on from.

    Raises:
        DivergedError: The loss, or every validation, became NaN or infinite.
        StoppedError: ``controls.stop`` asked for the end; the state was saved.
    """
    ranks = controls.ranks
    micro_batches = MicroBatches.of(recipe.batch_size, ranks, controls.batch_per_device)
    train_step = TrainStep(
        model, recipe, plan, micro_batches, ranks, seed=seed, compiled=controls.compiled
    )
    current = TrainState(model, train_step.optimizer, plan, ranks)
    if state is not None:
        current.restore(state)
    batches = training.shuffled(
        micro_batches.batch,
        seed,
        start=current.step,
        cut=micro_batches.count,
        mine=micro_batches.mine,
    )
    exploded = _EXPLODED * (1 + training.target.square().mean().item())
    model.train()

    with controls.stop:
        monitor = Monitor(current, controls)
        while current.step < plan.steps:
            current.losses[current.step] = train_step(current.step, batches)
            current.step += 1

            epoch_ends = current.step == plan.steps or current.step % plan.steps_per_epoch == 0
            if not epoch_ends and current.step < monitor.next_snapshot:
                continue
            snapshot = monitor.snapshot(micro_batches.batch)
            _check(snapshot, current.step > plan.warmup_steps, exploded, current.step, recipe)
            if ranks.leads:
                progress.step(current.step, snapshot.loss, snapshot.sequences_per_second)
            if epoch_ends or snapshot.late:
                monitor.pause()
                figures = {
                    "train/loss": current.epoch_loss(),
                    "train/learning_rate": plan.learning_rate(current.step - 1, recipe),
                    **validate(model, validation, ranks),
                }
                ranks.lead(partial(progress.epoch, current.step, figures))
                current.keep_best(figures["validation/pearson"])
                monitor.resume()
            monitor.save(snapshot, epoch_ends=epoch_ends)
            if snapshot.late:
                break

    if current.best_step == 0:
        raise _diverged(
            "no validation gave a correlation: predictions are constant or not finite", recipe
        )
    current.use_best()
    return Trained(
        steps=current.step,
        best_step=current.best_step,
        seconds=current.seconds,
        validation_seconds=current.validation_seconds,
        sequences_per_second=current.step * micro_batches.batch / current.seconds,
        losses=current.losses[: current.step].cpu().numpy(),
    )


def _check(snapshot: Snapshot, warm: bool, exploded: float, step: int, recipe: Recipe) -> None:
    """Stop a training whose loss is no number or, once it is warm, has exploded."""
    if not snapshot.finite or (warm and snapshot.loss > exploded):
        raise _diverged(f"the loss became {snapshot.loss:.3g} by update {step}", recipe)


def _diverged(what: str, recipe: Recipe) -> DivergedError:
    return DivergedError(f"{what}.", hint={"recipe.lr": float(f"{recipe.lr / 3:.1g}")})


def validate(model: Model, validation: Batches, ranks: Ranks = ALONE) -> dict[str, float]:
    """Score a model on validation rows, in standardized units; all ranks take part."""
    predictions = predict(model, validation, ranks)
    target = validation.target.cpu().numpy()
    return {
        "validation/pearson": pearson(predictions, target),
        "validation/spearman": spearman(predictions, target),
        "validation/mse": mean_squared_error(predictions, target),
    }
