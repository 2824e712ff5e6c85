"""Checks of one run from another machine; its predictions are scored again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.atomic import finite
from bench.data.vectors import read_vector
from bench.errors import BenchError, argument
from bench.registry import TASKS
from bench.results import run_folder
from bench.results.manifest import Manifest
from bench.scoring.comparability import Comparability
from bench.scoring.open_test import OpenTest, open_test
from bench.scoring.scorer import score
from bench.sharing.manifest_check import claimed_manifest

_CURVE = re.compile(r"(train|validation)/[a-z0-9_]{1,40}")
_MOST = 1000  # metrics in one line
_TOLERATED = 1e-9  # other processors sum in another order and differ in the last digits


@dataclass(frozen=True, slots=True)
class Claimed:
    """A checked run, ready to be written.

    Attributes:
        manifest: Manifest of the run, marked as imported and unverified.
        files: Content of the other files, by name.
        rows: Number of test rows that were scored.
    """

    manifest: Manifest
    files: dict[str, bytes]
    rows: int


def read_claimed(
    run: str, given: Mapping[str, bytes], task_name: str | None, folder: Path | None
) -> Claimed:
    """Check the files of a run, and score its predictions again.

    Args:
        run: Name of the run, which its manifest must contain.
        given: Content of the files, by name.
        task_name: Path of the task's table on this machine; None for a registered task.
        folder: Folder of the test rows; that of ``bench run`` if None.

    Raises:
        BenchError: A file is damaged, or the predictions do not give the claimed scores; the
            message starts with the name of the run.
    """
    try:
        manifest = claimed_manifest(run, given[run_folder.MANIFEST])
        opened = _opened(manifest, task_name, folder)
        rows = len(opened.test)
        predictions = read_vector(given[run_folder.PREDICTIONS], run_folder.PREDICTIONS, rows)
        outcome = _rescored(manifest, opened, predictions)
        files = {run_folder.PREDICTIONS: given[run_folder.PREDICTIONS]}
        if run_folder.LOSSES in given:
            read_vector(given[run_folder.LOSSES], run_folder.LOSSES, None)
            files[run_folder.LOSSES] = given[run_folder.LOSSES]
        if run_folder.METRICS in given:
            files[run_folder.METRICS] = _curves(given[run_folder.METRICS])
    except BenchError as error:
        raise error.wrapped(f"{run}: ", " Nothing was imported.") from None
    curves = {k: v for k, v in manifest.metrics.items() if k.startswith("validation/")}
    here = Manifest(
        model=manifest.model.changed(origin="imported"),
        task=manifest.task.changed(name=opened.task_name),
        data=manifest.data.changed(test_folder=str(opened.folder.absolute())),
        metrics={**curves, **outcome.metrics},
        verified=False,
    )
    return Claimed(manifest.merged(outcome).merged(here), files, rows)


def _opened(manifest: Manifest, task_name: str | None, folder: Path | None) -> OpenTest:
    """Return the test rows of this machine, which must be those that the run was scored on."""
    recorded = manifest.task.name
    if TASKS.is_file_name(recorded):  # a path of another machine must not be opened here
        if task_name is None:
            raise BenchError(
                f"its task is a table, {recorded}. "
                f"Give its path on this machine by {argument('task')}."
            )
        recorded = str(Path(task_name).absolute())
    opened = _open(recorded, json.dumps(manifest.data.options, sort_keys=True), folder)
    opened.check_scored_here("it", Comparability.from_manifest(manifest))
    return opened


@lru_cache(maxsize=1)
def _open(task_name: str, options: str, folder: Path | None) -> OpenTest:
    return open_test(task_name, options=json.loads(options), data=folder)


def _rescored(manifest: Manifest, opened: OpenTest, predictions: Any) -> Manifest:
    """Score the predictions; every score must be the one that the manifest claims."""
    rows = manifest.scored.rows
    outcome = score(opened.task, opened.test, predictions, rows).outcome(opened.test)
    claimed = {k: v for k, v in manifest.metrics.items() if k.startswith("test/")}
    metrics = finite(outcome.metrics)
    for name in sorted(claimed.keys() | metrics.keys()):
        before, now = claimed.get(name, ...), metrics.get(name, ...)
        same = before is now or (
            isinstance(before, int | float)
            and isinstance(now, float)
            and abs(before - now) <= _TOLERATED
        )
        if not same:
            shown = ["missing" if value is ... else value for value in (before, now)]
            raise BenchError(f"its {name} is {shown[0]}, but its predictions give {shown[1]}.")
    return outcome


def _curves(content: bytes) -> bytes:
    """Return the content of metrics.jsonl, checked and written anew."""
    lines = []
    try:
        for line in content.decode().splitlines():
            entry = json.loads(line)
            step, time, metrics = entry["step"], entry["time"], entry["metrics"]
            good = type(step) is int and type(time) is int and min(step, time) >= 0
            good = good and max(step, time) < 1 << 53 and len(metrics) <= _MOST
            for name, value in metrics.items():
                good = good and bool(_CURVE.fullmatch(name)) and type(value) in (int, float)
                good = good and math.isfinite(value)
            if not good:
                raise ValueError
            lines.append(json.dumps({"step": step, "time": time, "metrics": metrics}) + "\n")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        line_number = len(lines) + 1
        raise BenchError(
            f"its {run_folder.METRICS}, line {line_number}, is not a line of metrics."
        ) from None
    return "".join(lines).encode()
