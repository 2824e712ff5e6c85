"""Predictions of sequences, and scores of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench import paths
from bench.api.results import Run
from bench.errors import BenchError
from bench.results.run_folder import find_members

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bench.data.dataset import Dataset
    from bench.scoring.scorer import Scores
    from bench.task import Task


AnyRun = Run | str | Path


def predict(
    run: AnyRun | Sequence[AnyRun], sequences: Iterable[str], *, device: str = "auto"
) -> NDArray[np.float64]:
    """Return the predictions of a run's model for sequences ``(N,)``, in the target's unit.

    Args:
        run: Run, or its folder or name; of a list of runs, the mean is predicted.
        sequences: DNA sequences as text, with flanks if the training rows have them.
        device: Device to predict on.

    Raises:
        BenchError: A run has no model, a model cannot read a sequence, or runs have no mean.
    """
    from bench.runner.predictor import predict_texts

    runs = [run] if isinstance(run, AnyRun) else run
    folders = find_members(_references(runs), paths.runs_dir(None))
    return predict_texts(folders, sequences, device=device)


def evaluate(
    predictions: ArrayLike | AnyRun | Sequence[AnyRun],
    task: str | type[Task] | Dataset | None = None,
    *,
    data: str | Path | None = None,
    rows: str | None = None,
    task_options: Mapping[str, object] | None = None,
    subset_files: Mapping[str, str | Path] | None = None,
) -> Scores:
    """Return the scores of predictions of the test rows of a task.

    Args:
        predictions: One value for every test row, in the order of the rows: an array, a file in a
            format of :mod:`bench.scoring.prediction_files`, a run, or a list of runs, whose mean is
            scored: ``members`` of the scores names them.
        task: Task, as for :func:`bench.run`; a run has its own.
        data: Folder of the test rows; that of ``bench run``, or the one that a run records, if
            None.
        rows: Part of the test rows, such as "private" or "public"; the part that ranks if None.
        task_options: Options of the task that change the test rows.
        subset_files: Files to use in place of those of the task, by subset.

    Raises:
        BenchError: The predictions do not fit the test rows, or a file is missing or wrong.
    """
    from bench.api.plugins import task_name
    from bench.runner.rescore import score_runs, score_values
    from bench.scoring.open_test import open_test

    folder = paths.as_path(data)
    files = {name: Path(file) for name, file in (subset_files or {}).items()}
    if runs := _runs(predictions):
        if task is not None or task_options:
            raise BenchError("a run has its own task and options: leave them out.", field="task")
        return score_runs(
            _references(runs), folder=folder, rows=rows, subset_files=files, home=None
        ).scores
    if task is None:
        raise BenchError("name the task whose test rows these predictions are for.", field="task")
    opened = open_test(task_name(task), options=task_options, data=folder)
    given = predictions if isinstance(predictions, str | Path) else np.asarray(predictions)
    return score_values(opened, given, rows, files).scores


def _runs(given: object) -> Sequence[AnyRun]:
    """Return a run or a list of runs as a list, which is empty for other predictions."""
    if isinstance(given, Run):
        return [given]
    several = isinstance(given, list | tuple) and all(isinstance(item, AnyRun) for item in given)
    return list(given) if several else []  # type: ignore[call-overload]


def _references(runs: Iterable[AnyRun]) -> list[str]:
    return [str(run.path if isinstance(run, Run) else run) for run in runs]
