"""Lays sequences out for one model and puts them on the device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.dataset import Dataset, Split
from bench.data.layout import Layout, lay_out
from bench.data.sequences import Sequences
from bench.errors import BenchError, argument
from bench.training.batches import Batches
from bench.training.device import room_for_rows


@dataclass(frozen=True, slots=True)
class View:
    """How one model sees the sequences of a task.

    Attributes:
        layout: What it wants of them.
        usual_length: Letters of the task's typical sequence, flanks included.
        flanks: The task's constant letters on the left and right.
        mean, deviation: What turns a standardized prediction back into the task's unit.
    """

    layout: Layout
    usual_length: int
    flanks: tuple[int, int]
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def positions(self) -> int:
        """Tokens a sequence, both strands counted."""
        return self.layout.positions(self.usual_length, self.flanks)

    @property
    def longest(self) -> int:
        """Letters, flanks included, that fit without cropping."""
        return self.layout.longest(self.usual_length, self.flanks)

    def fits(self, sequences: Sequences) -> NDArray[np.bool_]:
        """Say of each sequence whether it fits without cropping, ``(N,)``."""
        fitting: NDArray[np.bool_] = sequences.lengths <= self.longest
        return fitting

    def batches(
        self,
        sequences: Sequences,
        target: NDArray[np.float64],
        device: torch.device,
        *,
        resident: bool = True,
    ) -> Batches:
        """Make batches of sequences and their standardized targets; see :class:`Batches`."""
        length = self.layout.strand_length(self.usual_length, self.flanks)
        return Batches(
            sequences,
            ((target - self.mean) / self.deviation).astype(np.float32),
            partial(lay_out, layout=self.layout, length=length, flanks=self.flanks),
            reverse_complement=self.layout.reverse_complement,
            device=device,
            resident=resident,
        )

    def in_units(self, predictions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn standardized predictions back into the task's unit."""
        return predictions * np.float32(self.deviation) + np.float32(self.mean)


class Feed:
    """A model's view of a data set.

    Args:
        dataset: Rows as the task reads them.
        layout: How the model wants them.
        standardize: Whether targets are shifted and scaled by the training rows' moments.
        device: Where batches are made.

    Attributes:
        device: Where batches are made.
        view: The layout, with the moments of the training targets.
        resident: Whether all rows are kept on the device.
        counts: Rows of every split, and how many are dropped or cropped for being too long.
    """

    def __init__(
        self, dataset: Dataset, layout: Layout, *, standardize: bool, device: torch.device
    ) -> None:
        self._dataset, self.device = dataset, device
        view = View(layout, dataset.usual_length, dataset.flanks)
        fitting = view.fits(dataset.train.sequences)
        self._train, longer = dataset.train, int((~fitting).sum())
        dropped = longer if layout.drop_longer else 0
        if dropped:
            self._train = dataset.train.take(np.flatnonzero(fitting))
        rows = len(self._train)
        cropped = {
            f"cropped_{name}": int((~view.fits(split.sequences)).sum())
            for name, split in (("validation", dataset.validation), ("test", dataset.test))
        }
        self.counts = {
            "train": rows,
            "dropped_train": dropped,
            "cropped_train": longer - dropped,
            "validation": len(dataset.validation),
            "test": len(dataset.test),
            **cropped,
        }
        if dropped and not rows:
            raise BenchError(
                f"all {dropped:,} training rows are longer than the {view.longest} letters that "
                f"the model takes. Cut them, or raise {argument('model.length')}."
            )
        target = self._train.target
        if not rows or np.ptp(target) == 0:
            raise BenchError(
                f"{rows} training rows with one target value: there is nothing to learn."
            )
        moments = (float(target.mean()), float(target.std())) if standardize else (0.0, 1.0)
        self.view = View(layout, dataset.usual_length, dataset.flanks, *moments)
        length = layout.strand_length(dataset.usual_length, dataset.flanks)
        rows_in_all = rows + len(dataset.validation) + len(dataset.test)
        self.resident = rows_in_all * length <= room_for_rows(device)

    def training(self) -> Batches:
        """Put the training rows on the device."""
        return self._batches(self._train)

    def validation(self) -> Batches:
        """Put the validation rows on the device."""
        return self._batches(self._dataset.validation)

    def test(self) -> Batches:
        """Put the test sequences on the device, for a finished model; their truth stays here."""
        unknown = np.full(len(self._dataset.test), np.nan)
        return self.view.batches(
            self._dataset.test.sequences, unknown, self.device, resident=self.resident
        )

    def _batches(self, split: Split) -> Batches:
        return self.view.batches(split.sequences, split.target, self.device, resident=self.resident)
