"""Base class of tasks: reading of data, subsets of test rows, metrics and scores."""

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
    """Properties of a score, for tables and rankings.

    Attributes:
        name: Name in results, such as "all/mse" or "pearson_score".
        label: Name in tables, such as "MSE".
        higher_is_better: True if a larger value is better.
        correlation: True if the score is a correlation or computed only from correlations.
        form: Format of a value in tables.
    """

    name: str
    label: str
    higher_is_better: bool = True
    correlation: bool = True
    form: str = ".4f"


class Task(ABC):
    """A data set with a target to predict, and the scores of predictions.

    A subclass has a card, a frozen dataclass ``Options`` of :func:`bench.config.setting` fields,
    and the abstract methods below. Scores are the :attr:`metrics` over the rows that
    :meth:`scoring_groups` returns; a task does not compute them itself. Tasks do not need torch.
    """

    card: ClassVar[TaskCard]
    Options: ClassVar[type[Any]] = NoSettings
    files: ClassVar[tuple[RemoteFile, ...]] = ()
    """Published files, which `bench data get` fetches."""
    home: ClassVar[Path | None] = None
    """Folder of the data, if the task itself defines it."""
    row_sets: ClassVar[tuple[str, ...]] = ("all",)
    """Parts of the test rows that can be scored; rankings use the first."""
    subsets: ClassVar[tuple[str, ...]] = ()
    """Subsets of a complete test set, in the order of tables; "all" is not listed."""
    metrics: ClassVar[tuple[Metric, ...]] = STANDARD
    """Metrics of every subset; the standard metrics are always computed."""
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    """Names of the scores of :meth:`overall` for which a smaller value is better."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.console: Console = SILENT
        """Console for messages about slow steps of reading, such as building a data set."""

    @classmethod
    def filed_as(cls, name: str) -> str:
        """Return the task name in results for the name that a user types."""
        return name

    @classmethod
    def all_metrics(cls) -> tuple[Metric, ...]:
        """Return all metrics: the standard metrics, then the task's additional metrics.

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
        """Return the properties of a score, such as "all/mse" or a score of :meth:`overall`.

        Raises:
            BenchError: The task does not have the score's metric.
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
        """Read the files of the public release.

        Args:
            directory: Folder of the training files.
            test_directory: Folder of the test files; usually the same folder.

        Raises:
            BenchError: A file is missing or wrong; file and row are named.
        """

    @abstractmethod
    def read_test(self, directory: Path) -> TestSet:
        """Read only the test set; it equals the test set of :meth:`read`."""

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        """Write simulated raw files in the format of the real files, and return facts about them.

        Raises:
            BenchError: The task has no simulation; most tasks have none.
        """
        raise BenchError(f"{cls.card.summary}: this task cannot be simulated.")

    def read_subset(self, name: str, path: Path, rows: int) -> NDArray[np.int64]:
        """Read one of the test set's subsets from a user's file.

        Raises:
            BenchError: The task has no such subset, or the file is wrong.
        """
        raise BenchError(f"this task has no subset '{name}'.")

    def subset_remark(self, name: str, path: Path) -> str:
        """Return what a reader of scores must know of a subset's file; empty for nothing.

        Scores over the subset are shown with the remark, in every form.
        """
        return ""

    def linked_rows(self, test: TestSet, directory: Path) -> NDArray[np.int64]:
        """Return pairs of dependent test rows, such as overlapping windows, ``(K, 2)``.

        Confidence intervals of scores resample linked rows together. Rows with equal sequences are
        always linked and need not be returned.

        Args:
            test: Test rows.
            directory: Folder of their files.
        """
        return np.empty((0, 2), dtype=np.int64)

    def remarks(self, test: TestSet, rows: str) -> tuple[str, ...]:
        """Return the remarks on the subsets of a part of the test rows."""
        return tuple(test.remarks.values())

    def missing_file(self, test: TestSet, rows: str) -> str | None:
        """Return the name of a missing file that is needed to select a part of the test rows."""
        return None

    def scoring_groups(self, test: TestSet, rows: str) -> Mapping[str, NDArray[np.int64]]:
        """Return the rows over which metrics are computed: "all" first, then subsets.

        Args:
            test: Test set.
            rows: Name from ``row_sets`` for which no file is missing.

        Returns:
            Test rows ``(M,)``, or pairs ``(M, 2)`` whose differences are scored, by subset.
        """
        return {"all": np.arange(len(test)), **test.subsets}

    def overall_scores(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return the overall scores; a score that needs an unavailable metric is NaN.

        Args:
            metrics: Values or arrays of values by name; an empty mapping gives the scores' names.
        """
        names = (f"{name}/{m.name}" for name in ("all", *self.subsets) for m in self.all_metrics())
        return self.overall({**dict.fromkeys(names, math.nan), **metrics})

    def overall(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Combine the subsets' metrics into overall scores, with arithmetic that works on arrays.

        Args:
            metrics: Values by name, such as "all/mse", for every subset and metric of the task;
                NaN for a metric without a value. Resampling passes arrays.
        """
        return {}
