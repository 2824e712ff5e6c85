"""The model under check at its smallest preset, and a small data set with a known answer.

The rows look like those of a real task: 100 nt with constant flanks of 10 nt, some shorter, some
with N. A motif is planted up to six times in every row, and the number of copies is the target.
Rows go through the engine's loader, so a model gets what it gets in a run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.config import override
from bench.contract.report import source
from bench.contract.targets import Target
from bench.data.dataset import Dataset, Split, TestSet
from bench.model import FITTED_ROWS, REVERSE_STRAND, Batch, FittedModel, Model
from bench.recipe import Recipe
from bench.training.batches import Batches
from bench.training.loader import Loader, further_inputs

LENGTH = 100
_MOTIF = "CACGTTTG"
_FLANKS = ("TGCATTTTTC", "GGTTACGGCT")
_COPIES = 7  # 0 to 6
_ROWS = {"train": 512, "validation": 128, "test": 16}


class Specimen:
    """A model under check.

    Args:
        target: Model.
        full: Whether there is time for what takes long.

    Attributes:
        model: Class of the model.
        fitted: Whether the model is fitted at once, without a training loop.
        file: File of the model's class; None for that of a notebook's cell.
    """

    def __init__(self, target: Target, *, full: bool = False) -> None:
        self.target, self.name, self.full = target, target.name, full
        self.model: type[Model] = target.plugin
        self.fitted = issubclass(self.model, FittedModel)
        self.file = source(self.model)
        self._fit: Model | None = None

    @cached_property
    def config(self) -> Any:
        """The settings of the smoke preset, or the default settings."""
        preset = self.model.presets.get("smoke")
        return override(self.model.Config(), preset.model if preset else {}, section="model")

    @cached_property
    def loader(self) -> Loader:
        """The rows of :func:`planted` as inputs of the model."""
        return self.loader_of(planted(self.model.columns))

    def loader_of(self, dataset: Dataset) -> Loader:
        """Return the rows of a data set as inputs of the model."""
        return Loader(
            dataset,
            self.model.layout(self.config),
            standardize=True,
            device=torch.device("cpu"),
            input_columns=partial(further_inputs, self.model, self.config),
        )

    def recipe(self, **changes: object) -> Recipe:
        """Return the recipe of the smoke preset with some changes."""
        preset = self.model.presets.get("smoke")
        return override(
            Recipe(), {**(preset.recipe if preset else {}), **changes}, section="recipe"
        )

    def make(self, seed: int = 0, loader: Loader | None = None) -> Model:
        """Return a new model in training mode, with weights that the seed decides."""
        loader = loader or self.loader
        torch.manual_seed(seed)
        model = self.model(self.config, loader.transform.positions)
        model.scale = loader.transform.scale
        return model.train()

    def ready(self, loader: Loader | None = None) -> Model:
        """Return a new model in evaluation mode; one that is fitted at once has been fitted."""
        if not self.fitted:
            return self.make(loader=loader).eval()
        if loader is not None:
            return fitted(self.make(loader=loader), loader).eval()
        if self._fit is None:
            self._fit = fitted(self.make(), self.loader).eval()
        return copy.deepcopy(self._fit)

    def batch(self, rows: int = 8, first: int = 0) -> Batch:
        """Return a copy of some training rows; every second one is told to be reversed."""
        batch = taken(self.loader.training(), rows, first)
        if REVERSE_STRAND in batch.columns:
            batch.columns[REVERSE_STRAND][::2] = True
        return batch

    def validation(self) -> Batch:
        """Return a copy of all validation rows, with their targets."""
        return taken(self.loader.validation(), _ROWS["validation"])


def taken(batches: Batches, rows: int, first: int = 0) -> Batch:
    """Return a copy of some rows of batches."""
    whole = next(batches.in_order(first + rows))
    return chosen(whole, slice(first, first + rows))


def chosen(batch: Batch, rows: Tensor | slice) -> Batch:
    """Return a copy of some rows of a batch."""
    columns = {name: values[rows].clone() for name, values in batch.columns.items()}
    return Batch(batch.tokens[rows].clone(), batch.target[rows].clone(), columns)


def fitted(model: Model, loader: Loader) -> Model:
    """Fit a model that is fitted at once, and return it."""
    assert isinstance(model, FittedModel)
    model.fit(loader.training().in_order(FITTED_ROWS))
    return model


def total_loss(model: Model, batch: Batch) -> Tensor:
    """Return the sum of all terms of a model's loss."""
    return torch.stack(list(model.losses(batch).values())).sum()


@torch.no_grad()
def predicted(model: Model, batch: Batch, seed: int = 0) -> Tensor:
    """Return a model's predictions of a batch, in the mode in which the model is."""
    torch.manual_seed(seed)
    return model.expectation(model(batch.tokens, **batch.columns))


def planted(columns: tuple[str, ...] = (), *, length: int = LENGTH, seed: int = 0) -> Dataset:
    """Return a data set whose target is the number of copies of a motif.

    Args:
        columns: Names of further columns, which are random numbers from 0 to 1.
        length: Usual length of a row (nt), flanks included.
        seed: Seed of all rows.
    """
    random = np.random.default_rng(seed)
    asked = [name for name in columns if name != REVERSE_STRAND]
    train, validation, test = (
        with_columns(*_rows(random, rows, length), {name: random.random(rows) for name in asked})
        for rows in _ROWS.values()
    )
    return Dataset(
        name="planted-motif",
        usual_length=length,
        flanks=(len(_FLANKS[0]), len(_FLANKS[1])),
        train=train,
        validation=validation,
        test=TestSet(test.sequences, test.target, "planted-motif", columns=test.columns),
    )


def with_columns(
    sequences: list[str], target: NDArray[np.float64], columns: Mapping[str, NDArray[Any]]
) -> Split:
    """Return rows with further columns."""
    return replace(Split.of(sequences, target), columns=dict(columns))


def _rows(
    random: np.random.Generator, rows: int, length: int
) -> tuple[list[str], NDArray[np.float64]]:
    """Return sequences, and targets like mean sorting bins: a quarter are whole numbers."""
    inside = max(length - sum(map(len, _FLANKS)), 1)
    most = min(_COPIES - 1, inside // (len(_MOTIF) + 2))
    copies = random.integers(0, most + 1, rows)
    sequences = []
    for number, count in enumerate(copies):
        letters = list(random.choice(list("ACGT"), inside))
        for place in random.permutation(inside // len(_MOTIF))[:count]:
            letters[place * len(_MOTIF) : (place + 1) * len(_MOTIF)] = _MOTIF
        if number % 16 == 1:
            letters[int(random.integers(inside))] = "N"
        insert = "".join(letters)[: inside - (number % 4 == 2) * min(3, inside - 1)]
        sequences.append(f"{_FLANKS[0]}{insert}{_FLANKS[1]}")
    target = 4 + 1.5 * copies + random.normal(0, 0.3, rows)
    target[::4] = np.rint(target[::4])
    return sequences, target
