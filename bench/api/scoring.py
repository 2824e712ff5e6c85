"""Predictions of sequences, and scores of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench import paths
from bench.api.results import Run, load_run
from bench.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bench.data.dataset import Dataset
    from bench.scoring.scorer import Scores
    from bench.task import Task


def predict(
    run: Run | str | Path, sequences: Iterable[str], *, device: str = "auto"
) -> NDArray[np.float64]:
    """Return the predictions of a run's model for sequences ``(N,)``, in the target's unit.

    Args:
        run: Run, or its folder or name.
        sequences: DNA sequences as text, with flanks if the training rows have them.
        device: Device to predict on.

    Raises:
        BenchError: The run has no model, or the model cannot read a sequence.
    """
    found = run if isinstance(run, Run) else load_run(run)
    return found.predict(sequences, device=device)


def evaluate(
    predictions: ArrayLike | str | Path | Run,
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
            format of :mod:`bench.scoring.prediction_files`, or a run.
        task: Task, as for :func:`bench.run`; not needed for a run.
        data: Folder of the test rows; that of ``bench run``, or the one that a run records, if
            None.
        rows: Part of the test rows, such as "private" or "public"; the part that ranks if None.
        task_options: Options of the task that change the test rows.
        subset_files: Files to use in place of those of the task, by subset.

    Raises:
        BenchError: The predictions do not fit the test rows, or a file is missing or wrong.
    """
    from bench.api.plugins import task_name
    from bench.runner.rescore import score_values
    from bench.scoring.open_test import open_test

    folder = paths.as_path(data)
    files = {name: Path(file) for name, file in (subset_files or {}).items()}
    if isinstance(predictions, Run):
        return predictions.scores(rows=rows, data=folder, subset_files=files)
    if task is None:
        raise BenchError("name the task whose test rows these predictions are for.", field="task")
    opened = open_test(task_name(task), options=task_options, data=folder)
    given = predictions if isinstance(predictions, str | Path) else np.asarray(predictions)
    return score_values(opened, given, rows, files).scores
