"""The opened test rows of a task, on which predictions are scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config import override
from bench.console import SILENT, Console
from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.registry import get_task
from bench.scoring.comparability import Comparability, available_parts
from bench.sources.locate import find, load_test
from bench.task import Task


@dataclass(frozen=True, slots=True)
class OpenTest:
    """A task with its test rows.

    Attributes:
        task_name: Name of the task, or a table's path.
        task: Task with its options.
        test: Test rows.
        folder: Folder of the test rows.
    """

    task_name: str
    task: Task
    test: TestSet
    folder: Path

    def comparability(self, rows: str | None = None) -> Comparability:
        """Return the facts of scores on these test rows.

        Args:
            rows: Part of the test rows; None for the first part whose files exist.
        """
        return Comparability.of_test(
            self.task, self.test, rows or available_parts(self.task, self.test)[0]
        )

    def check_scored_here(self, run: str, scored: Comparability) -> None:
        """Check that a run was scored on these test rows.

        Args:
            run: Name of the run, for the message.
            scored: Facts of the run.

        Raises:
            BenchError: The run was scored on other test rows; the message names the differences.
        """
        here = Comparability.of_test(self.task, self.test, None)
        if found := here.differences(scored):
            raise BenchError(
                f"{run} was not scored on the test rows in {self.folder}: it has "
                f"{' and '.join(map(str, found))}. Name the folder of its test rows by "
                f"{argument('data')}."
            )


def open_test(
    task_name: str,
    *,
    options: Mapping[str, Any] | None = None,
    data: Path | None = None,
    recorded: str | None = None,
    console: Console = SILENT,
) -> OpenTest:
    """Open the test rows of a task.

    Args:
        task_name: Name of the task, or a table's path.
        options: Options of the task that are not at their defaults.
        data: Folder of the test rows; None for the recorded folder or, if that no longer exists,
            for the default of ``bench run``.
        recorded: Folder of the test rows that a run's manifest records.
        console: Console for the progress of reading the test rows.

    Raises:
        BenchError: There is no such task, or its test rows cannot be found or read.
    """
    task_class = get_task(task_name)
    task = task_class(override(task_class.Options(), options or {}, section="task"))
    if data is None and recorded and Path(recorded).is_dir():
        data = Path(recorded)
    folder = find(task_class, task_name, data)
    return OpenTest(task_name, task, load_test(task, task_name, folder, console), folder)
