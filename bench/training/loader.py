"""The loader: turns the rows of a data set into a model's inputs on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import Dataset, Split
from bench.data.layout import Layout, lay_out
from bench.data.sequences import Sequences
from bench.data.tables import LARGEST
from bench.errors import BenchError, argument
from bench.model import REVERSE_STRAND, UNSCALED, Model, TargetScale
from bench.training.batches import Batches
from bench.training.device import room_for_rows
from bench.training.target_scale import target_scale
from bench.training.views import PLAIN, PredictionRule

Columns = Mapping[str, NDArray[Any]]


def no_columns(rows: Split) -> Columns:
    """Return no columns: the default of a model without further inputs."""
    return {}


def further_inputs(model_class: type[Model], config: Any, rows: Split) -> Columns:
    """Return the further inputs of a model, with the column ``reverse_strand`` if it names it.

    The column is False for every row; batches of reversed rows replace it.
    """
    columns = dict(model_class.input_columns(config, rows))
    if REVERSE_STRAND in model_class.columns:
        columns[REVERSE_STRAND] = np.zeros(len(rows), dtype=np.bool_)
    return columns


@dataclass(frozen=True, slots=True)
class InputTransform:
    """The conversion of rows to a model's inputs, and of its predictions to the task's unit.

    Attributes:
        layout: Layout of sequences that the model needs.
        usual_length: Length of the task's typical sequence in nt, flanks included.
        flanks: Lengths of the task's constant flanks in nt, left and right.
        scale: Scale of the targets.
        input_columns: Function that returns the model's further inputs of some rows; see
            :func:`further_inputs`.
        rule: Rule of the predictions: their views and their transform.
    """

    layout: Layout
    usual_length: int
    flanks: tuple[int, int]
    scale: TargetScale = UNSCALED
    input_columns: Callable[[Split], Columns] = no_columns
    rule: PredictionRule = PLAIN

    def __post_init__(self) -> None:
        length = self.layout.strand_length(self.usual_length, self.flanks)
        if 0 < length <= self.rule.average_shifts:
            raise BenchError(
                f"{argument('recipe.average_shifts')} is {self.rule.average_shifts}, but a window "
                f"of {length} nt that is moved so far may hold no base.",
                hint={"recipe.average_shifts": length - 1},
            )

    @property
    def positions(self) -> int:
        """Tokens a sequence, both strands counted."""
        return self.layout.positions(self.usual_length, self.flanks)

    @property
    def longest(self) -> int:
        """Length in nt, flanks included, that fits without cropping."""
        return self.layout.longest(self.usual_length, self.flanks)

    def fits(self, sequences: Sequences) -> NDArray[np.bool_]:
        """Return for each sequence whether it fits without cropping, ``(N,)``."""
        fitting: NDArray[np.bool_] = sequences.lengths <= self.longest
        return fitting

    def columns(self, rows: Split) -> Columns:
        """Return the model's further inputs of some rows, in data types that torch has.

        Raises:
            BenchError: A column is missing, has another length than the rows, or is not numeric.
        """
        found = self.input_columns(rows)
        return {name: _numbers(name, values, len(rows)) for name, values in found.items()}

    def batches(
        self, rows: Split, columns: Columns, device: torch.device, *, resident: bool = True
    ) -> Batches:
        """Return batches of some rows with standardized targets and further inputs."""
        length = self.layout.strand_length(self.usual_length, self.flanks)
        return Batches(
            rows.sequences,
            ((rows.target - self.scale.mean) / self.scale.std).astype(np.float32),
            partial(lay_out, layout=self.layout, length=length, flanks=self.flanks),
            reverse_complement=self.layout.reverse_complement,
            device=device,
            resident=resident,
            columns=columns,
            rule=self.rule,
        )

    def in_units(self, predictions: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return standardized predictions converted to the task's unit, infinite beyond float32.

        Float32 has too few digits for targets whose mean is large and whose std is small.
        """
        units = predictions.astype(np.float64) * self.scale.std + self.scale.mean
        units[np.abs(units) > LARGEST] = np.inf
        return units


def without_targets(rows: Split) -> Split:
    """Return the rows with NaN for every target, so that a model cannot read them."""
    return replace(rows, target=np.full(len(rows), np.nan))


class Loader:
    """A data set in the form that one model needs.

    Args:
        dataset: Data set that the task has read.
        layout: Layout of sequences that the model needs.
        standardize: Whether targets are standardized by mean and std of the training targets.
        device: Device that batches are put on.
        input_columns: Function that returns the model's further inputs of some rows.
        rule: Rule of the predictions.
        scale: Scale of the model's output; that of the training targets if None.

    Attributes:
        device: Device that batches are put on.
        transform: Input transform, with mean and std of the training targets.
        resident: Whether all rows are kept on the device.
        counts: Row counts of every split, and of the rows that are dropped or cropped because they
            are too long.
    """

    def __init__(
        self,
        dataset: Dataset,
        layout: Layout,
        *,
        standardize: bool,
        device: torch.device,
        input_columns: Callable[[Split], Columns] = no_columns,
        rule: PredictionRule = PLAIN,
        scale: TargetScale | None = None,
    ) -> None:
        self._dataset, self.device = dataset, device
        transform = InputTransform(
            layout, dataset.usual_length, dataset.flanks, input_columns=input_columns, rule=rule
        )
        self._train, self.counts = _fitting(dataset, transform)
        target = self._train.target
        scale = scale or target_scale(target, standardize=standardize)
        self.transform = replace(transform, scale=scale)
        # Only training rows show a model their targets: a model whose inputs depend on the target
        # would otherwise get good validation scores.
        self._train_columns, self._validation_columns, self._test_columns = (
            transform.columns(rows)
            for rows in (
                self._train,
                without_targets(dataset.validation),
                without_targets(dataset.test),
            )
        )
        length = layout.strand_length(dataset.usual_length, dataset.flanks)
        rows_in_all = len(target) + len(dataset.validation) + len(dataset.test)
        kept = (self._train_columns, self._validation_columns, self._test_columns)
        size = rows_in_all * length + sum(v.nbytes for columns in kept for v in columns.values())
        self.resident = size <= room_for_rows(device)

    def training(self) -> Batches:
        """Return batches of the training rows."""
        return self._batches(self._train, self._train_columns)

    def validation(self) -> Batches:
        """Return batches of the validation rows."""
        return self._batches(self._dataset.validation, self._validation_columns)

    def test(self) -> Batches:
        """Return batches of the test rows without their targets, for a trained model."""
        return self._batches(without_targets(self._dataset.test), self._test_columns)

    def sample_columns(self) -> dict[str, Tensor]:
        """Return the further inputs of one training row, ``(1, ...)`` each."""
        return {
            name: torch.from_numpy(np.array(values[:1]))
            for name, values in self._train_columns.items()
        }

    def _batches(self, rows: Split, columns: Columns) -> Batches:
        return self.transform.batches(rows, columns, self.device, resident=self.resident)


def _fitting(dataset: Dataset, transform: InputTransform) -> tuple[Split, dict[str, int]]:
    """Return the training rows that fit the model, and the counts of all rows.

    Raises:
        BenchError: No training row is short enough for the model.
    """
    fitting = transform.fits(dataset.train.sequences)
    train, longer = dataset.train, int((~fitting).sum())
    dropped = longer if transform.layout.drop_longer else 0
    if dropped:
        train = dataset.train.take(np.flatnonzero(fitting))
    if dropped and not len(train):
        raise BenchError(
            f"all {dropped:,} training rows are longer than the {transform.longest} nt that the "
            f"model takes. Cut them, or raise {argument('model.length')}."
        )
    cropped = {
        f"cropped_{name}": int((~transform.fits(split.sequences)).sum())
        for name, split in (("validation", dataset.validation), ("test", dataset.test))
    }
    return train, {
        "train": len(train),
        "dropped_train": dropped,
        "cropped_train": longer - dropped,
        "validation": len(dataset.validation),
        "test": len(dataset.test),
        **cropped,
    }


def _numbers(name: str, values: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return a further input as float32, integers or booleans, in a data type that torch has.

    Raises:
        BenchError: The input is text, or its first axis is not that of the rows.
    """
    if values.dtype.kind not in "biuf":
        raise BenchError(f"a model's inputs are numbers; column '{name}' is {values.dtype}.")
    if not values.ndim or len(values) != rows:
        raise BenchError(
            f"a model's input '{name}' has the shape {values.shape}; it needs {rows:,} rows."
        )
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    wide = values.dtype.kind == "u" and values.dtype.itemsize > 1
    return values.astype(np.int64 if wide else values.dtype.newbyteorder("="), copy=False)
