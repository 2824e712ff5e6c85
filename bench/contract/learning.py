"""A short training on the planted motif, which ends as soon as the motif is learned."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from bench.contract.specimen import Specimen, fitted
from bench.errors import DivergedError
from bench.metrics import pearson
from bench.model import Model
from bench.training.loop import train
from bench.training.monitor import Controls
from bench.training.predict import predict
from bench.training.schedule import Plan

_ENOUGH = 0.5  # correlation on new rows
_BATCH, _EPOCHS, _SECONDS = 64, 60, 25.0
_PLAIN = {"passes": 1, "warmup": 1.0, "warmup_unit": "epochs", "schedule": "cosine"}


@dataclass(frozen=True, slots=True)
class Learned:
    """A model after a short training.

    Attributes:
        correlation: Pearson r of predictions and targets of rows that were not trained on.
        steps: Steps of the training; 1 for a model that is fitted at once.
    """

    model: Model
    correlation: float
    steps: int


class _LearnedError(Exception):
    """The motif is learned; it ends the training."""


class _Watch:
    """The progress of the training; it ends it when the validation is good enough."""

    def __init__(self) -> None:
        self.correlation, self.steps = -1.0, 0

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        """Ignore the steps."""

    def epoch(self, step: int, metrics: dict[str, float]) -> None:
        """Keep the validation."""
        self.correlation, self.steps = metrics["validation/pearson"], step
        if self.correlation >= _ENOUGH:
            raise _LearnedError


def learn(specimen: Specimen) -> Learned:
    """Train a new model until it knows the motif, or for a few hundred steps."""
    model, loader, watch = specimen.make(), specimen.loader, _Watch()
    if specimen.fitted:
        fitted(model, loader)
        validation = loader.validation()
        r = pearson(predict(model, validation), validation.target.numpy())
        return Learned(model.eval(), r, 1)
    recipe = specimen.recipe(batch_size=_BATCH, epochs=_EPOCHS, **_PLAIN)
    with suppress(_LearnedError, DivergedError):
        train(
            model,
            loader.training(),
            loader.validation(),
            recipe,
            Plan.of(recipe, loader.counts["train"]),
            seed=0,
            progress=watch,
            controls=Controls(max_seconds=_SECONDS),
        )
    return Learned(model.eval(), watch.correlation, watch.steps)
