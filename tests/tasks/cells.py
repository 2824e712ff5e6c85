"""A task in one file whose rows say which cell line they were measured in; every line is scored.

Its folder holds rows.tsv with the columns split, cell, sequence and target, without a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.config import settings
from bench.data.dataset import Dataset, Split, TestSet
from bench.data.sequences import encode
from bench.task import Task


@settings
class CellsOptions:
    pass


class Cells(Task):
    Options = CellsOptions
    card = TaskCard(
        summary="activity in several cell lines",
        version=1,
        row="one sequence in one cell line",
        target="activity",
        primary="mean_pearson",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        train, validation = (read_split(directory, name) for name in ("train", "validation"))
        return Dataset(
            name="cells",
            version=1,
            options={},
            usual_length=int(train.sequences.lengths.max()),
            flanks=(0, 0),
            train=train,
            validation=validation,
            test=self.read_test(test_directory),
        )

    def read_test(self, directory: Path) -> TestSet:
        test = read_split(directory, "test")
        return TestSet(test.sequences, test.target, "cells", columns=test.columns)

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        raise NotImplementedError

    def scoring_groups(self, test: TestSet, rows: str) -> Mapping[str, NDArray[np.int64]]:
        cell = test.columns["cell"]
        lines = {str(name): np.flatnonzero(cell == name) for name in np.unique(cell)}
        return {"all": np.arange(len(test)), **lines}

    def overall(self, figures: Mapping[str, float]) -> dict[str, float]:
        lines = [
            value
            for name, value in figures.items()
            if name.endswith("/pearson") and name != "all/pearson"
        ]
        return {"mean_pearson": float(np.mean(lines))}


def read_split(directory: Path, name: str) -> Split:
    lines = (directory / "rows.tsv").read_text().splitlines()
    rows = [cells for line in lines if (cells := line.split("\t"))[0] == name]
    target = np.array([float(target) for *_, target in rows])
    dose = np.array([len(cell) for _, cell, _, _ in rows])
    return Split(
        encode([sequence for _, _, sequence, _ in rows]),
        target,
        columns={"cell": np.array([cell for _, cell, _, _ in rows]), "dose": dose},
    )
