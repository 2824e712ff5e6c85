"""Scores of stored predictions: those of a run, or those of another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.console import SILENT, Console
from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.paths import runs_dir
from bench.results import run_folder
from bench.runner.external import record_external
from bench.scoring.comparability import available_parts
from bench.scoring.open_test import OpenTest, open_test
from bench.scoring.prediction_files import Predictions, check_predictions, read_predictions
from bench.scoring.scorer import Scores, score
from bench.sources.locate import with_subset
from bench.task import Task
from bench.tracking import uploader


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions, their test rows and their scores.

    Attributes:
        task_name: Name of the task, or a table's path.
        task: Task with its options.
        test: Test rows.
        predictions: Predictions in the order of the test rows.
        scores: Scores of the predictions.
    """

    task_name: str
    task: Task
    test: TestSet
    predictions: Predictions
    scores: Scores

    def log(self, name: str, home: Path | None, *, source: str = "") -> str:
        """Record the scores as an external result, here and in MLflow; return a message.

        Args:
            name: Name of the result in tables.
            home: Folder of all runs.
            source: Origin of the predictions, such as an address.
        """
        run = record_external(
            name,
            self.task_name,
            self.task.card,
            self.test,
            self.predictions,
            self.scores,
            source=source,
            home=home,
            members=self.scores.members,
        )
        kind = "an ensemble, which does not rank" if self.scores.members else "unverified"
        told = f"{run.path}: recorded as '{name}', {kind}"
        try:
            uploader.sync(run.path, runs_dir(home))
        except BenchError as error:
            return f"{told}. {str(error).rstrip('.')}. `bench sync` sends it later."
        return told


def score_runs(
    references: Sequence[str],
    *,
    folder: Path | None,
    rows: str | None,
    subset_files: Mapping[str, Path],
    home: Path | None,
    console: Console = SILENT,
) -> Scored:
    """Return the scores of the predictions that a run has stored, or of the mean of several runs'.

    Args:
        references: Folder of each run, its name, or the beginning of its name.
        folder: Folder of the test rows; None for the folder that the run recorded.
        rows: Part of the test rows; None for the part that ranks.
        subset_files: Files that replace those of the test set, by subset.
        home: Folder of all runs.
        console: Console for the progress of reading the test rows.

    Raises:
        BenchError: A run cannot be found, is named twice or has no predictions, its test rows
            cannot be found or have changed, or those of another run differ.
    """
    run, *others = run_folder.find_members(references, runs_dir(home))
    manifest = run_folder.read_manifest(run)
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
            f"{run} was scored on other test rows than those in {opened.folder}. Name the folder "
            f"of its test rows by {argument('data')}."
        )
    first = score_values(opened, run / run_folder.PREDICTIONS, rows, subset_files)
    if not others:
        return first
    total = first.predictions.astype(np.float64)
    for other in others:
        if run_folder.read_manifest(other).scored.test != first.test.fingerprint:
            raise BenchError(f"{other} has no predictions of the test rows of {run}.")
        total += read_predictions(other / run_folder.PREDICTIONS, first.test)
    mean = total / len(references)
    scores = score(first.task, first.test, mean, rows)
    names = tuple(path.name for path in (run, *others))
    return replace(first, predictions=mean, scores=replace(scores, members=names))


def score_file(
    predictions: Path,
    task_name: str,
    *,
    folder: Path | None,
    rows: str | None,
    subset_files: Mapping[str, Path],
    console: Console = SILENT,
) -> Scored:
    """Return the scores of a file of predictions of another program; see :func:`score_runs`.

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
    """Return the scores of predictions of opened test rows.

    Args:
        opened: Opened test rows.
        predictions: Path of a file of predictions, or one number a row, in the order of the rows.
        rows: Part of the test rows; None for the part that ranks.
        subset_files: Files that replace those of the test set, by subset.

    Raises:
        BenchError: The predictions do not fit the test rows, or a file is missing or wrong.
    """
    task, test = opened.task, opened.test
    if isinstance(predictions, str | Path):
        parts = _alone(opened) if Path(predictions).suffix == ".json" else {}
        values = read_predictions(Path(predictions), test, parts=parts, scored=rows)
    else:
        values = check_predictions(np.asarray(predictions, dtype=np.float64), test)
    for name, path in subset_files.items():
        test = with_subset(task, test, name, path)
    return Scored(opened.task_name, task, test, values, score(task, test, values, rows))


def _alone(opened: OpenTest) -> dict[str, NDArray[np.int64]]:
    """Return the rows of the parts that can be scored without the other rows, by name.

    The part that ranks is none of them: results rank by predictions of all test rows.
    """
    task, test = opened.task, opened.test
    parts = [part for part in available_parts(task, test) if part != task.row_sets[0]]
    units = {part: task.scoring_groups(test, part) for part in parts}
    rows = {
        part: np.unique(np.concatenate([found.ravel() for found in groups.values()]))
        for part, groups in units.items()
    }
    return {part: found for part, found in rows.items() if len(found) < len(test)}
