"""The training loop of every model that is trained in steps."""

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
from bench.training.device import full_float32
from bench.training.distributed import ALONE, Ranks
from bench.training.micro_batches import MicroBatches
from bench.training.monitor import PLAIN, Controls, Monitor, Snapshot
from bench.training.predict import predict
from bench.training.schedule import Plan
from bench.training.state import TrainState
from bench.training.step import TrainStep

_EXPLODED = 1e6  # times the error of predicting the mean: no run recovers from such a loss


class Progress(Protocol):
    """The receiver of the loop's reports, on rank 0 only."""

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        """Report the steps done, the mean loss since the last call and the speed, every second."""

    def epoch(self, step: int, metrics: dict[str, float]) -> None:
        """Report the metrics of a validation, the epoch's mean loss and the learning rate."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of a training, whose model holds the weights that the recipe keeps.

    Attributes:
        steps: Number of steps.
        best_step: Step whose weights were kept: that of the best validation, or the last one.
        seconds: Time spent on steps, without validations.
        validation_seconds: Time spent on validations.
        sequences_per_second: Training speed, summed over ranks.
        losses: Training loss of every step, ``(steps,)``; None for a model fitted at once.
        terms: Terms of the training loss where it has several, ``(steps,)``, with a float32 field
            for each by name.
    """

    steps: int
    best_step: int
    seconds: float
    validation_seconds: float
    sequences_per_second: float
    losses: NDArray[np.float32] | None
    terms: NDArray[np.void] | None = None


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
    """Train ``model`` in place and leave it with the weights that the recipe keeps.

    Args:
        model: Model on the device of the batches.
        training: Training rows.
        validation: Rows that choose the weights; never the test rows.
        recipe: Settings of the training.
        plan: Schedule of the recipe for this number of rows.
        seed: Seed of the order of the rows and of all noise. Initial weights come from torch's own
            seed, which the caller sets before it makes the model.
        progress: Receiver of reports on steps and validations.
        controls: Ranks, memory, checkpoints, limits and requests to end.
        state: Checkpoint to resume from; None for a new training.

    Raises:
        DivergedError: The loss, or every validation, became NaN or infinite.
        StoppedError: ``controls.stop`` requested the end; the state was saved.
    """
    ranks = controls.ranks
    micro_batches = MicroBatches.of(recipe.batch_size, ranks, controls.batch_per_device)
    train_step = TrainStep(
        model, recipe, plan, micro_batches, ranks, seed=seed, compiled=controls.compiled
    )
    current = TrainState(model, train_step.optimizer, recipe, plan, ranks)
    if state is not None:
        current.restore(state)
    batches = training.shuffled(
        micro_batches.batch,
        seed,
        strands=recipe.strands,
        start=current.step,
        cut=micro_batches.count,
        mine=micro_batches.mine,
    )
    exploded = _EXPLODED * (1 + training.target.square().mean().item())
    model.train()

    with controls.stop, full_float32(recipe.precision):
        monitor = Monitor(current, controls)
        while not current.over:
            current.advance(*train_step(current.step, batches, current.plateau.scale))

            epoch_ends = current.step == plan.steps or current.step % plan.steps_per_epoch == 0
            if not epoch_ends and current.step < monitor.next_snapshot:
                continue
            snapshot = monitor.snapshot(micro_batches.batch)
            _check(snapshot, current.step > plan.warmup_steps, exploded, current.step, recipe)
            if ranks.leads:
                progress.step(current.step, snapshot.loss, snapshot.sequences_per_second)
            if epoch_ends or snapshot.late:
                monitor.pause()
                rate = current.plateau.scale * plan.learning_rate(current.step - 1, recipe)
                metrics = {**current.epoch_losses(), "train/learning_rate": rate}
                with current.average.shown():
                    metrics |= validate(model, validation, ranks)
                ranks.lead(partial(progress.epoch, current.step, metrics))
                current.note_validation(metrics)
                monitor.resume()
            monitor.save(snapshot, epoch_ends=epoch_ends)
            if snapshot.late:
                break

    if current.best_step == 0:
        raise _diverged(
            "no validation gave a correlation: predictions are constant or not finite", recipe
        )
    return Trained(
        steps=current.step,
        best_step=current.finish(),
        seconds=current.seconds,
        validation_seconds=current.validation_seconds,
        sequences_per_second=current.step * micro_batches.batch / current.seconds,
        losses=current.losses[: current.step].cpu().numpy(),
        terms=current.recorded_terms(),
    )


def _check(snapshot: Snapshot, warm: bool, exploded: float, step: int, recipe: Recipe) -> None:
    """Raise if the loss is not finite or, after warm-up, has exploded."""
    if not snapshot.finite or (warm and snapshot.loss > exploded):
        raise _diverged(f"the loss became {snapshot.loss:.3g} by step {step}", recipe)


def _diverged(reason: str, recipe: Recipe) -> DivergedError:
    return DivergedError(f"{reason}.", hint={"recipe.lr": float(f"{recipe.lr / 3:.1g}")})


def validate(model: Model, validation: Batches, ranks: Ranks = ALONE) -> dict[str, float]:
    """Return a model's metrics on the validation rows, in standardized units.

    All ranks have to call this function.
    """
    predictions = predict(model, validation, ranks)
    target = validation.target.cpu().numpy()
    return {
        "validation/pearson": pearson(predictions, target),
        "validation/spearman": spearman(predictions, target),
        "validation/mse": mean_squared_error(predictions, target),
    }
