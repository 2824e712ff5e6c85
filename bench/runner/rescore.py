"""``bench score``: the stored predictions of a run, or those of another program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config import override
from bench.console import SILENT, Screen
from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.paths import runs_dir
from bench.registry import get_task
from bench.results import run_folder
from bench.results.manifest import Manifest
from bench.runner import external
from bench.scoring.prediction_files import Predictions, read_predictions
from bench.scoring.scorer import Scores, score
from bench.sources import locate
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
        run = external.record(
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
    snvs: Path | None,
    home: Path | None,
    screen: Screen = SILENT,
) -> Scored:
    """Score the predictions a run has stored.

    Args:
        reference: The run's folder or name.
        folder: Where the test rows are, if no longer where the run read them.
        rows: Part of the test rows; None for the part that ranks.
        snvs: A file in place of the subset of single-nucleotide variants.
        home: Folder of all runs.
        screen: Where to tell of what reading the test rows takes.

    Raises:
        BenchError: The run or its test rows cannot be found, or they are others than then.
    """
    run = run_folder.find_run(reference, runs_dir(home))
    manifest = run_folder.read_manifest(run)
    stored = run / run_folder.PREDICTIONS
    if not manifest.scored.test:
        raise BenchError(f"{run} is {manifest.status}: it has no predictions to score.")
    task_name, folder = manifest.task.name, folder or _folder_of(manifest)
    task, test = _open(task_name, folder, screen, manifest.data.options)
    if test.fingerprint != manifest.scored.test:
        raise BenchError(
            f"{run} was scored on other test rows than these. Name the folder that has them by "
            f"{argument('data')}."
        )
    return _score(task_name, task, test, read_predictions(stored, test), rows, snvs)


def score_file(
    predictions: Path,
    task_name: str,
    *,
    folder: Path | None,
    rows: str | None,
    snvs: Path | None,
    screen: Screen = SILENT,
) -> Scored:
    """Score predictions that another program made; see :func:`score_run`.

    Raises:
        BenchError: The predictions do not fit the test rows, or a file is missing or wrong.
    """
    task, test = _open(task_name, folder, screen)
    return _score(task_name, task, test, read_predictions(predictions, test), rows, snvs)


def _open(
    task_name: str,
    folder: Path | None,
    screen: Screen,
    options: Mapping[str, Any] | None = None,
) -> tuple[Task, TestSet]:
    task_class = get_task(task_name)
    task = task_class(override(task_class.Options(), options or {}, section="task"))
    folder = locate.find(task_class, task_name, folder)
    return task, locate.load_test(task, task_name, folder, screen)


def _folder_of(manifest: Manifest) -> Path | None:
    recorded = manifest.data.test_folder
    return Path(recorded) if recorded and Path(recorded).is_dir() else None


def _score(
    task_name: str,
    task: Task,
    test: TestSet,
    predictions: Predictions,
    rows: str | None,
    snvs: Path | None,
) -> Scored:
    if snvs is not None:
        test = locate.with_subset(task, test, "SNVs", snvs)
    return Scored(task_name, task, test, predictions, score(task, test, predictions, rows))
