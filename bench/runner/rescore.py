"""``bench score``: the stored predictions of a run, or those of another program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from bench.console import SILENT, Console
from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.paths import runs_dir
from bench.results import run_folder
from bench.runner.external import record_external
from bench.scoring.open_test import OpenTest, open_test
from bench.scoring.prediction_files import Predictions, check_predictions, read_predictions
from bench.scoring.scorer import Scores, score
from bench.sources.locate import with_subset
from bench.task import Task
from bench.tracking import uploader


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions, what they were scored on, and what they came to."""

    task_name: str
    task: Task
    test: TestSet
    predictions: Predictions
    scores: Scores

    def log(self, name: str, home: Path | None) -> str:
        """Record as an external result, here and in MLflow; return where."""
        run = record_external(
            name,
            self.task_name,
            self.task.card,
            self.test,
            self.predictions,
            self.scores,
            home=home,
        )
        told = f"{run.path}: recorded as '{name}', unverified"
        try:
            uploader.sync(run.path, runs_dir(home))
        except BenchError as error:
            return f"{told}. {error} `bench sync` sends it later."
        return told


def score_run(
    reference: str,
    *,
    folder: Path | None,
    rows: str | None,
    subset_files: Mapping[str, Path],
    home: Path | None,
    console: Console = SILENT,
) -> Scored:
    """Score the predictions a run has stored.

    Args:
        reference: The run's folder or name.
        folder: Folder of the test rows, if no longer where the run read them.
        rows: Part of the test rows; None for the part that ranks.
        subset_files: Files in place of the test set's own, by subset.
        home: Folder of all runs.
        console: Where to tell of what reading the test rows takes.

    Raises:
        BenchError: The run or its test rows cannot be found, or they are others than then.
    """
    run = run_folder.find_run(reference, runs_dir(home))
    manifest = run_folder.read_manifest(run)
    stored = run / run_folder.PREDICTIONS
    if not manifest.scored.test:
        raise BenchError(f"{run} is {manifest.status}: it has no predictions to score.")
    opened = open_test(
        manifest.task.name,
        options=manifest.data.options,
        data=folder,
        recorded=manifest.data.test_folder,
        console=console,
    )
    if opened.test.fingerprint != manifest.scored.test:
        raise BenchError(
            f"{run} was scored on other test rows than these. Name the folder that has them by "
            f"{argument('data')}."
        )
    return score_values(opened, stored, rows, subset_files)


def score_file(
    predictions: Path,
    task_name: str,
    *,
    folder: Path | None,
    rows: str | None,
    subset_files: Mapping[str, Path],
    console: Console = SILENT,
) -> Scored:
    """Score predictions that another program made; see :func:`score_run`.

    Raises:
        BenchError: The predictions do not fit the test rows, or a file is missing or wrong.
    """
    opened = open_test(task_name, data=folder, console=console)
    return score_values(opened, predictions, rows, subset_files)


def score_values(
    opened: OpenTest,
    predictions: str | Path | ArrayLike,
    rows: str | None,
    subset_files: Mapping[str, Path],
) -> Scored:
    """Score predictions of opened test rows: a file of them, or one number a row in their order.

    Raises:
        BenchError: The predictions do not fit the test rows, or a file is missing or wrong.
    """
    task, test = opened.task, opened.test
    if isinstance(predictions, str | Path):
        values = read_predictions(Path(predictions), test)
    else:
        values = check_predictions(np.asarray(predictions, dtype=np.float64), test)
    for name, path in subset_files.items():
        test = with_subset(task, test, name, path)
    return Scored(opened.task_name, task, test, values, score(task, test, values, rows))
