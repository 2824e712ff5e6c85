"""Activity of DNA in three cell lines, each of which is scored.

The folder holds rows.tsv with the columns split, cell, sequence and target, without a header.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.data.dataset import Dataset, Split, TestSet
from bench.task import Task

LINES = ("K562", "HepG2", "GM12878")


class Cells(Task):
    card = TaskCard(
        summary="activity in three cell lines",
        version=1,
        row="one sequence in one cell line",
        target="activity",
        primary="mean_pearson",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )
    subsets = LINES

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        return Dataset(
            name="cells",
            train=read_rows(directory, "train"),
            validation=read_rows(directory, "validation"),
            test=self.read_test(test_directory),
        )

    def read_test(self, directory: Path) -> TestSet:
        test = read_rows(directory, "test")
        return TestSet(test.sequences, test.target, "cells", columns=test.columns)

    def scoring_groups(self, test: TestSet, rows: str) -> Mapping[str, NDArray[np.int64]]:
        cell = test.columns["cell"]
        return {"all": np.arange(len(test)), **{n: np.flatnonzero(cell == n) for n in LINES}}

    def overall(self, metrics: Mapping[str, float]) -> dict[str, float]:
        return {"mean_pearson": sum(metrics[f"{name}/pearson"] for name in LINES) / len(LINES)}


def read_rows(directory: Path, split: str) -> Split:
    lines = (directory / "rows.tsv").read_text().splitlines()
    rows = [row for line in lines if (row := line.split("\t"))[0] == split]
    _, cells, sequences, targets = zip(*rows, strict=True)
    return Split.of(sequences, np.array(targets, float), cell=cells, dose=[len(c) for c in cells])
