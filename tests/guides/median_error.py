"""A metric of which less is better, and a task that ranks by it.

The folder holds rows.tsv with the columns split, sequence and target, without a header.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.data.dataset import Dataset, Split, TestSet
from bench.metrics import MSE, Metric
from bench.task import Task


def median_error(prediction: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    return float(np.median(np.abs(prediction - target)))


MEDIAN_ERROR = Metric(
    name="median_error",
    label="Median error",
    function=median_error,
    higher_is_better=False,
)


class Errors(Task):
    card = TaskCard(
        summary="activity, ranked by the median error",
        version=1,
        row="one sequence",
        target="activity",
        primary="all/median_error",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )
    metrics = (MEDIAN_ERROR, MSE)

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        return Dataset(
            name="median-error",
            train=read_rows(directory, "train"),
            validation=read_rows(directory, "validation"),
            test=self.read_test(test_directory),
        )

    def read_test(self, directory: Path) -> TestSet:
        test = read_rows(directory, "test")
        return TestSet(test.sequences, test.target, "median-error")


def read_rows(directory: Path, split: str) -> Split:
    lines = (directory / "rows.tsv").read_text().splitlines()
    rows = [row for line in lines if (row := line.split("\t"))[0] == split]
    _, sequences, targets = zip(*rows, strict=True)
    return Split.of(sequences, np.array(targets, float))
