"""External results: predictions of other programs that are scored and recorded here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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

_LONGEST, _LONGEST_SOURCE = 80, 200


def record_external(
    name: str, task: str, card: TaskCard, test: TestSet, predictions: Predictions, scores: Scores,
    *, home: Path | None, source: str = "", members: Sequence[str] = (),
) -> run_folder.RunFolder:  # fmt: skip
    """Write the run folder of an external result or of an ensemble, and return it.

    This program cannot verify the model or the training rows of an external result. So the
    manifest's field ``verified`` is false, and unknown fields are empty.

    Args:
        name: Name of the result in tables.
        task: Name of the task.
        card: Card of the task.
        test: Test rows.
        predictions: Predictions in the order of the test rows.
        scores: Scores of the predictions.
        home: Folder of all runs.
        source: Origin of the predictions, such as an address; may be empty.
        members: Names of the runs of an ensemble; empty for predictions of another program.

    Raises:
        BenchError: The name or the source is not valid, or the folder cannot be written.
    """
    if not name.isprintable() or not name.strip() or len(name) > _LONGEST:
        raise BenchError(f"{argument('name')} takes 1 to {_LONGEST} printable characters.")
    if not source.isprintable() or len(source) > _LONGEST_SOURCE:
        most = f"at most {_LONGEST_SOURCE} printable characters"
        raise BenchError(f"{argument('prediction_source')} takes {most}.")
    kind = "ensemble" if members else "external"
    run = run_folder.RunFolder.create(runs_dir(home), f"{name}-{test.name}-{kind}")
    run.write_array(run_folder.PREDICTIONS, predictions)
    model = ModelRecord(name=name, origin=kind, config={}, parameters=None)
    model = model.changed(source=source) if source else model
    described = Manifest(
        verified=False,
        model=model.changed(members=tuple(members)) if members else model,
        task=TaskRecord(name=task, version=card.version),
        data=DataRecord(
            name=test.name, fingerprint=None, options={}, rows={"test": len(test)}, notes={}
        ),
        recipe=RecipeRecord(name=kind),
        plan=None,
        preset=kind,
        seed=None,
        device=DeviceRecord(kind=kind),
        environment=describe_environment(),
    )
    run.finish("finished", described.merged(scores.outcome(test)))
    return run
