"""Tasks made from rows in memory, for use in notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.cards import Source, TaskCard
from bench.data.dataset import Dataset, TestSet
from bench.task import Task


class MemoryTask(Task):
    """Base class of tasks in memory; :func:`memory_task` derives a class for one data set."""

    home: ClassVar[Path | None] = Path("rows in memory")
    dataset: ClassVar[Dataset]

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Return the data set; the folders are not used."""
        return self.dataset

    def read_test(self, directory: Path) -> TestSet:
        """Return the test rows."""
        return self.dataset.test


def memory_task(rows: Dataset) -> type[MemoryTask]:
    """Return a task for a data set in memory, ranked by Pearson r over all test rows."""
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
