"""Sending of run folders to MLflow: in the background during a run, or later by ``bench sync``.

A run never waits for a server. The run's folder records which parts were sent (tracking.json), so
that sending again adds only the missing parts, and a run can be sent any time later.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_json
from bench.errors import BenchError
from bench.results.metrics_file import read_metrics
from bench.results.run_folder import METRICS, PREDICTIONS, WEIGHTS, read_manifest
from bench.scoring.comparability import Comparability
from bench.tracking import logged
from bench.tracking.experiments import experiment, study_run
from bench.tracking.mlflow_store import connected

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

STATE = "tracking.json"
_BATCH = 1000  # the most metrics that MLflow takes in one call


def sync(run: Path, home: Path) -> bool:
    """Send the parts of one run that the tracking server does not have.

    Args:
        run: The run's folder.
        home: Folder of all runs, which holds the default store.

    Returns:
        Whether any part was missing.

    Raises:
        BenchError: The server cannot be reached, or refuses.
    """
    with connected(home) as (client, uri):
        return _Sender(client, uri, run, home).send()


def logged_number(run: Path) -> str:
    """Return MLflow's number of a run that was sent; empty for one that was not."""
    try:
        known = json.loads((run / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    number = known.get("run_id") if isinstance(known, dict) else None
    return number if isinstance(number, str) else ""


class Uploader:
    """A thread that sends the new parts of a run to MLflow while the run goes on.

    Args:
        run: The run's folder.
        home: Folder of all runs.
    """

    def __init__(self, run: Path, home: Path) -> None:
        self._run, self._home = run, home
        self._news, self._closing = threading.Event(), False
        self._problem: str | None = "MLflow has not received all of the run yet"
        self._thread = threading.Thread(target=self._follow, name="mlflow", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell the thread that the run folder has new parts; return at once."""
        self._news.set()

    def close(self, patience: float = 60.0) -> str | None:
        """Send the rest, for at most ``patience`` seconds; return an error message, or None."""
        self._closing = True
        self._news.set()
        self._thread.join(patience)
        if self._problem is None:
            return None
        return (
            f"{self._problem.rstrip('.')}. The run folder is complete; `bench sync` sends it later."
        )

    def _follow(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            last = self._closing  # read before sending, so that the last call sends all parts
            try:
                sync(self._run, self._home)
                problem = None
            except BenchError as error:
                problem = str(error)
            except (
                Exception
            ) as error:  # the traceback of a thread would be lost; training continues
                problem = f"MLflow: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            if last:
                self._problem = problem
                return


class _Sender:
    """One upload of one run to a server."""

    def __init__(self, client: MlflowClient, uri: str, run: Path, home: Path) -> None:
        self._client, self._uri, self._run, self._home = client, uri, run, home
        self._manifest = read_manifest(run)
        self._state: dict[str, Any] = {"uri": uri, "run_id": None, "lines": 0, "status": None}
        path = run / STATE
        if path.is_file():
            known = json.loads(path.read_text())
            if known["uri"] == uri and "status" in known:
                self._state = known

    def send(self) -> bool:
        """Send the missing parts and record each; return whether any part was missing."""
        status, known = self._manifest.status, self._state["status"]
        if status == known and status != "running":
            return False
        if self._state["run_id"] is None:
            run_id = self._find() or self._create()
            self._log_settings(run_id)
            self._note(run_id=run_id)
        self._log_curves(self._state["run_id"])
        if known not in (None, "running"):  # an ended run continues
            self._client.update_run(self._state["run_id"], status="RUNNING")
            if known == "failed":
                self._client.delete_tag(self._state["run_id"], "error")
        if status == "interrupted":
            self._client.set_terminated(self._state["run_id"], status="KILLED")
        elif status != "running":
            self._log_outcome(self._state["run_id"])
        self._note(status=status)
        return True

    def _note(self, **changes: Any) -> None:
        self._state.update(changes)
        write_json(self._run / STATE, self._state)

    def _experiment(self) -> str:
        return experiment(self._client, self._uri, self._home, self._manifest.data.name)

    def _find(self) -> str | None:
        """Return the run with this tag: an earlier upload may have died before it was recorded."""
        runs = self._client.search_runs(
            [self._experiment()], filter_string=f"tags.`bench.id` = '{self._manifest.id}'"
        )
        return str(runs[0].info.run_id) if runs else None

    def _create(self) -> str:
        manifest = self._manifest
        tags = {**logged.tags(manifest), "mlflow.user": os.environ.get("USER", "unknown")}
        if "commit" in manifest.environment:
            tags["mlflow.source.git.commit"] = manifest.environment["commit"]
        if (study := manifest.study) is not None:
            parent = study_run(self._client, self._experiment(), study.name)
            tags |= {"mlflow.parentRunId": parent, "trial": str(study.trial)}
        run = self._client.create_run(
            self._experiment(),
            start_time=logged.milliseconds(manifest.created),
            tags=tags,
            run_name=logged.title(manifest),
        )
        return str(run.info.run_id)

    def _log_settings(self, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        manifest, data = self._manifest, self._manifest.data
        entries = [Param(name, value) for name, value in logged.setting_values(manifest).items()]
        for start in range(0, len(entries), 100):
            self._client.log_batch(run_id, params=entries[start : start + 100])
        dataset = Dataset(
            name=data.name,
            digest=data.fingerprint or manifest.scored.test,
            source_type="bench",
            source=json.dumps({"task": manifest.task.to_json(), "options": data.options}),
            profile=json.dumps({"rows": data.rows, **data.notes}),
        )
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags=[context])])

    def _log_curves(self, run_id: str) -> None:
        from mlflow.entities import Metric

        lines, _ = read_metrics(self._run / METRICS)
        points: list[Metric] = []
        for line in lines[self._state["lines"] :]:
            points += [
                Metric(name, value, line.time, line.step) for name, value in line.metrics.items()
            ]
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH])
        # A run that continues from a checkpoint repeats its last lines, which were sent already.
        self._note(lines=max(len(lines), self._state["lines"]))

    def _log_outcome(self, run_id: str) -> None:
        from mlflow.entities import Metric

        manifest = self._manifest
        time = logged.milliseconds(manifest.finished)
        # At step 0, so that MLflow draws bars to compare runs instead of curves with one point.
        points = [Metric(k, v, time, 0) for k, v in logged.outcome(manifest).items()]
        if (
            manifest.status != "finished"
        ):  # the run may continue, and would then have its metrics twice
            points = []
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH])
        for name in ("manifest.json", METRICS, PREDICTIONS, WEIGHTS):
            if (self._run / name).is_file():
                self._client.log_artifact(run_id, str(self._run / name))
        tags = {"error": manifest.error[:5000]} if manifest.error else {}
        if manifest.scored.test:
            tags |= Comparability.from_manifest(manifest).tags()
        for tag, value in tags.items():
            self._client.set_tag(run_id, tag, value)
        ends = {"finished": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
        status = ends[manifest.status]
        self._client.set_terminated(run_id, status=status, end_time=time)
