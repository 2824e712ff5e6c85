"""Rows in memory as a task: what a notebook hands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bench.cards import Source, TaskCard
from bench.data.dataset import Dataset, TestSet
from bench.errors import BenchError
from bench.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryOptions:
    """Nothing: rows in memory are as they are."""


class MemoryTask(Task):
    """Rows that are at hand; :func:`memory_task` makes a class of it for one data set."""

    Options = MemoryOptions
    home: ClassVar[Path | None] = Path("rows in memory")
    dataset: ClassVar[Dataset]

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Return the rows; they lie in no folder."""
        return self.dataset

    def read_test(self, directory: Path) -> TestSet:
        """Return the test rows."""
        return self.dataset.test

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        """Refuse: nobody knows what the rows measure."""
        raise BenchError("rows in memory cannot be simulated.")


def memory_task(rows: Dataset) -> type[MemoryTask]:
    """Return a task of a data set in memory, scored by its correlations over all test rows."""
    about = TaskCard(
        summary=f"rows in memory: {rows.name}",
        version=rows.version,
        row="one sequence",
        target="as given",
        primary="all/pearson",
        source=Source(citation="rows in memory", url="", license="its owner's"),
    )

    class OwnRows(MemoryTask):
        """One data set in memory."""

        card = about
        dataset = rows

    return OwnRows
