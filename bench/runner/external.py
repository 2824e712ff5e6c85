"""Results of programs that `bench` did not run: predictions, scored and recorded, unverified."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.cards import TaskCard
from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.paths import runs_dir
from bench.results import run_folder
from bench.results.environment import describe_environment
from bench.results.manifest import (
    DataRecord,
    DeviceRecord,
    Manifest,
    ModelRecord,
    RecipeRecord,
    TaskRecord,
)
from bench.scoring.prediction_files import Predictions
from bench.scoring.scorer import Scores

_LONGEST = 80


def record_external(
    name: str, task: str, card: TaskCard, test: TestSet, predictions: Predictions, scores: Scores,
    *, home: Path | None,
) -> run_folder.RunFolder:  # fmt: skip
    """Write a run folder for an external result, beside those of runs.

    Nobody here can tell how the predictions were made or what was trained on, and the manifest
    says so: ``verified`` is false, and model, data and recipe are described by what is known.

    Args:
        name: What the result is called in tables.
        task: The task's name.
        card: The task's card.
        test: The test rows.
        predictions: In the order of the test rows.
        scores: What they came to.
        home: Folder of all runs.

    Returns:
        The folder, finished.

    Raises:
        BenchError: The name is none, or the folder cannot be written.
    """
    if not name.isprintable() or not name.strip() or len(name) > _LONGEST:
        raise BenchError(f"{argument('name')} takes 1 to {_LONGEST} printable letters.")
    run = run_folder.RunFolder.create(runs_dir(home), f"{name}-{test.name}-external")
    np.save(run.path / run_folder.PREDICTIONS, predictions)
    described = Manifest(
        verified=False,
        model=ModelRecord(name=name, origin="external", config={}, parameters=None),
        task=TaskRecord(name=task, version=card.version),
        data=DataRecord(
            name=test.name, fingerprint=None, options={}, rows={"test": len(test)}, notes={}
        ),
        recipe=RecipeRecord(name="external"),
        plan=None,
        preset="external",
        seed=None,
        device=DeviceRecord(kind="external"),
        environment=describe_environment(),
    )
    run.finish("finished", described.merged(scores.outcome(test)))
    return run
