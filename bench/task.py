"""The contract of a task: what it reads, what it hands to a model, what its score is taken over."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.cards import RemoteFile, TaskCard
from bench.config import NoSettings
from bench.console import SILENT, Console
from bench.data.dataset import Dataset, TestSet
from bench.errors import BenchError
from bench.metrics import STANDARD, Metric


@dataclass(frozen=True, slots=True)
class ScoreInfo:
    """What a reader needs to know of a score.

    Attributes:
        name: Name in results, such as "all/mse", or of an overall score.
        label: Name in tables, such as "MSE".
        higher_is_better: Direction of a better value.
        correlation: True for a correlation, and for what is made of nothing but correlations.
        form: Format of a value in tables.
    """

    name: str
    label: str
    higher_is_better: bool = True
    correlation: bool = True
    form: str = ".4f"


class Task(ABC):
    """A data set with a question, and the score that ranks answers.

    A subclass has a card, a frozen dataclass ``Options`` of :func:`bench.config.setting` fields,
    and the abstract methods below. How scores are computed is not its business: they are the
    :attr:`metrics`, over the rows that :meth:`scoring_groups` names. Nothing of a task needs torch.
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
    metrics: ClassVar[tuple[Metric, ...]] = STANDARD
    """Metrics of every subset; the standard ones are computed even if they are not named here."""
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    """Scores of :meth:`overall` that are better the less they are."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.console: Console = SILENT
        """Where the task tells of work that reading takes, such as building a data set."""

    @classmethod
    def filed_as(cls, name: str) -> str:
        """Return what results are filed under when a user types ``name``."""
        return name

    @classmethod
    def all_metrics(cls) -> tuple[Metric, ...]:
        """Return the metrics that are computed: the standard ones, then the task's further ones.

        Raises:
            BenchError: Two metrics have the same name.
        """
        found = {metric.name: metric for metric in STANDARD}
        for metric in cls.metrics:
            if found.setdefault(metric.name, metric) is not metric:
                raise BenchError(f"{cls.__name__} has two metrics '{metric.name}'. Rename one.")
        return tuple(found.values())

    @classmethod
    def score_info(cls, name: str) -> ScoreInfo:
        """Return what is known of a score, such as "all/mse" or one that :meth:`overall` returns.

        Raises:
            BenchError: It is a score by a metric that the task does not have.
        """
        subset, _, metric_name = name.rpartition("/")
        metrics = {metric.name: metric for metric in cls.all_metrics()}
        if not subset:
            return ScoreInfo(
                name,
                label=name.replace("_", " ").title(),
                higher_is_better=name not in cls.lower_is_better,
                correlation=all(metric.correlation for metric in metrics.values()),
            )
        if metric_name not in metrics:
            raise BenchError(f"{name}: the task has no such metric. It has: {', '.join(metrics)}.")
        metric = metrics[metric_name]
        of = "" if subset == "all" else f"{subset.replace('_', ' ').title()}/"
        return ScoreInfo(
            name,
            label=f"{of}{metric.label}",
            higher_is_better=metric.higher_is_better,
            correlation=metric.correlation,
            form=metric.form,
        )

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

    def linked_rows(self, test: TestSet, directory: Path) -> NDArray[np.int64]:
        """Name pairs of test rows that say much the same, such as overlapping windows: ``(K, 2)``.

        Intervals of scores draw linked rows together. Rows with equal sequences need no naming.

        Args:
            test: The test rows.
            directory: Where their files lie.
        """
        return np.empty((0, 2), dtype=np.int64)

    def missing_file(self, test: TestSet, rows: str) -> str | None:
        """Name a missing file without which a part of the rows cannot be told from the others."""
        return None

    def scoring_groups(self, test: TestSet, rows: str) -> Mapping[str, NDArray[np.int64]]:
        """Say over what metrics are taken: "all" first, then subsets.

        Args:
            test: The test set.
            rows: One of ``row_sets``, of which nothing is lacking.

        Returns:
            By subset, test rows ``(M,)`` or pairs ``(M, 2)`` whose differences are scored.
        """
        return {"all": np.arange(len(test)), **test.subsets}

    def overall_scores(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Return the overall scores; those that lack a subset or a metric are NaN.

        Args:
            figures: Values by name, or arrays of them; none at all gives the scores' names.
        """
        names = (f"{name}/{m.name}" for name in ("all", *self.subsets) for m in self.all_metrics())
        return self.overall({**dict.fromkeys(names, math.nan), **figures})

    def overall(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Combine the subsets' metrics into overall scores, by arithmetic that works on arrays.

        Args:
            figures: Values by name, such as "all/mse", for every subset and metric of the task;
                NaN where one has no value. Resampling gives arrays.
        """
        return {}
