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
from bench.training.micro_batches import Slices
from bench.training.monitor import PLAIN, Controls, Look, Watch
from bench.training.predict import predict
from bench.training.schedule import Plan
from bench.training.state import Course
from bench.training.step import Update

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
    slices = Slices.of(recipe.batch_size, ranks, controls.batch_per_device)
    update = Update(model, recipe, plan, slices, ranks, seed=seed, compiled=controls.compiled)
    course = Course(model, update.optimizer, plan, ranks)
    if state is not None:
        course.restore(state)
    batches = training.shuffled(
        slices.batch, seed, start=course.step, cut=slices.count, mine=slices.mine
    )
    exploded = _EXPLODED * (1 + training.target.square().mean().item())
    model.train()

    with controls.stop:
        watch = Watch(course, controls)
        while course.step < plan.steps:
            course.losses[course.step] = update(course.step, batches)
            course.step += 1

            epoch_ends = course.step == plan.steps or course.step % plan.steps_per_epoch == 0
            if not epoch_ends and course.step < watch.next_look:
                continue
            look = watch.look(slices.batch)
            _check(look, course.step > plan.warmup_steps, exploded, course.step, recipe)
            if ranks.leads:
                progress.step(course.step, look.loss, look.sequences_per_second)
            if epoch_ends or look.late:
                watch.pause()
                figures = {
                    "train/loss": course.epoch_loss(),
                    "train/learning_rate": plan.learning_rate(course.step - 1, recipe),
                    **validate(model, validation, ranks),
                }
                ranks.lead(partial(progress.epoch, course.step, figures))
                course.keep_best(figures["validation/pearson"])
                watch.resume()
            watch.save(look, epoch_ends=epoch_ends)
            if look.late:
                break

    if course.best_step == 0:
        raise _diverged(
            "no validation gave a correlation: predictions are constant or not finite", recipe
        )
    course.use_best()
    return Trained(
        steps=course.step,
        best_step=course.best_step,
        seconds=course.seconds,
        validation_seconds=course.validation_seconds,
        sequences_per_second=course.step * slices.batch / course.seconds,
        losses=course.losses[: course.step].cpu().numpy(),
    )


def _check(look: Look, warm: bool, exploded: float, step: int, recipe: Recipe) -> None:
    """Stop a training whose loss is no number or, once it is warm, has exploded."""
    if not look.finite or (warm and look.loss > exploded):
        raise _diverged(f"the loss became {look.loss:.3g} by update {step}", recipe)


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
