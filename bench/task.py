"""The contract of a task: what it reads, what it hands to a model, what its score is taken over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.cards import RemoteFile, TaskCard
from bench.config import NoSettings
from bench.console import SILENT, Screen
from bench.data.dataset import Dataset, TestSet
from bench.errors import BenchError


class Task(ABC):
    """A data set with a question, and the score that ranks answers.

    A subclass has a card, a frozen dataclass ``Options`` of :func:`bench.config.setting` fields,
    and the abstract methods below. How figures are computed is not its business: they are the
    correlations of :mod:`bench.metrics`, over the rows that :meth:`units` names. Nothing of a task
    needs torch.
    """

    card: ClassVar[TaskCard]
    Options: ClassVar[type[Any]] = NoSettings
    files: ClassVar[tuple[RemoteFile, ...]] = ()
    """Where the data is published; what `bench data get` fetches."""
    home: ClassVar[Path | None] = None
    """Where the data lies, if the task itself knows."""
    row_sets: ClassVar[tuple[str, ...]] = ("all",)
    """Parts of the test rows that can be scored; results rank on the first."""
    subsets: ClassVar[tuple[str, ...]] = ()
    """Subsets of a complete test set, in the order of a table; "all" goes without saying."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.console: Screen = SILENT
        """Where the task tells of work that reading takes, such as building a data set."""

    @classmethod
    def filed_as(cls, name: str) -> str:
        """Return what results are filed under when a user types ``name``."""
        return name

    @abstractmethod
    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Read the public release's own files.

        Args:
            directory: Where the training files lie.
            test_directory: Where the test files lie; mostly the same.

        Raises:
            BenchError: A file is missing or wrong; file and row are named.
        """

    @abstractmethod
    def read_test(self, directory: Path) -> TestSet:
        """Read only what scoring needs; the same as :meth:`read` gives as its test set."""

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        """Write simulated raw files in the real layout, and return what is worth telling.

        Raises:
            BenchError: The task has no simulation, as most have none.
        """
        raise BenchError(f"{cls.card.summary}: this task cannot be simulated.")

    def read_subset(self, name: str, path: Path, rows: int) -> NDArray[np.int64]:
        """Read one of the test set's subsets from a file of another name.

        Raises:
            BenchError: The task has no such subset, or the file is wrong.
        """
        raise BenchError(f"this task has no subset '{name}'.")

    def links(self, test: TestSet, directory: Path) -> NDArray[np.int64]:
        """Name pairs of test rows that say much the same, such as overlapping windows: ``(K, 2)``.

        Intervals of scores draw linked rows together. Rows with equal sequences need no naming.

        Args:
            test: The test rows.
            directory: Where their files lie.
        """
        return np.empty((0, 2), dtype=np.int64)

    def lacking(self, test: TestSet, rows: str) -> str | None:
        """Name a missing file without which a part of the rows cannot be told from the others."""
        return None

    def units(self, test: TestSet, rows: str) -> Mapping[str, NDArray[np.int64]]:
        """Say over what figures are taken: "all" first, then subsets.

        Args:
            test: The test set.
            rows: One of ``row_sets``, of which nothing is lacking.

        Returns:
            By subset, test rows ``(M,)`` or pairs ``(M, 2)`` whose differences are correlated.
        """
        return {"all": np.arange(len(test)), **test.subsets}

    def overall(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Combine the subsets' figures (``all/pearson``, …) into scores; NaN where one lacks."""
        return {}
