"""Sending of one run to MLflow: what the store lacks of its folder, and nothing twice.

The status of a run is sent last, and is RUNNING until then. A store that shows the status of the
manifest has all else, therefore, apart from curves that went on; these are compared.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.addresses import shown
from bench.results.metrics_file import read_metrics
from bench.results.run_folder import MANIFEST, METRICS, PREDICTIONS, WEIGHTS, read_manifest
from bench.tracking import logged, places
from bench.tracking.experiments import experiment, only_one, study_run
from bench.tracking.mlflow_store import is_default
from bench.tracking.notes import Note, read_note

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

_BATCH = 1000  # the most metrics that MLflow takes in one call
_PARAMS = 100  # the most settings
_ERROR = "error"
_ENDS = {"finished": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
_STATUS = {**_ENDS, "interrupted": "KILLED", "running": "RUNNING"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a store lacks of a run.

    Attributes:
        settings: Whether settings are missing.
        points: Missing points of curves, scores and costs.
        files: Names of missing files.
        tags: Missing tags.
        recovered: Whether the store has an error that the run no longer has.
        status: Whether the status differs.
    """

    settings: bool
    points: list[Metric]
    files: list[str]
    tags: dict[str, str]
    recovered: bool
    status: bool

    def __bool__(self) -> bool:
        """Return whether the store lacks anything."""
        found = (self.settings, self.points, self.files, self.tags, self.recovered, self.status)
        return any(found)


class Sender:
    """The sending of one run to one store.

    Args:
        client: MLflow's client.
        uri: Address of the store.
        run: The run's folder.
        home: Folder of all runs, which holds the default store.

    Attributes:
        manifest: The run's manifest.
        warning: Line about what is not sent; None if all is.

    Raises:
        BenchError: The folder has no manifest, or a damaged one.
    """

    def __init__(self, client: MlflowClient, uri: str, run: Path, home: Path) -> None:
        self._client, self._run, self._home = client, run, home
        self._uri, self._store = uri, shown(uri)
        self.manifest = read_manifest(run)
        self.warning: str | None = None
        note = read_note(run)
        self._note = note if note is not None and note.uri == self._store else None

    @property
    def goes_on(self) -> bool:
        """Whether the run was sent until now and still runs, so that only its curves grow."""
        return self._note is not None and self._note.status == self.manifest.status == "running"

    def send_news(self) -> bool:
        """Send the new points of a run that goes on, without a question to the store.

        Returns:
            Whether there were any.
        """
        assert self._note is not None, f"{self._run}: nothing was sent yet"
        lines = self._lines
        news = _joined(lines[self._note.lines :])
        self._log_points(self._note.run_id, news)
        # A run that continues from a checkpoint repeats its last lines, which were sent already.
        replace(self._note, lines=max(len(lines), self._note.lines)).write(self._run)
        return bool(news)

    def send(self, stored: Run | None) -> bool:
        """Send what the store lacks.

        Args:
            stored: What the store has of the run; None if it has nothing.

        Returns:
            Whether anything was missing.
        """
        if stored is not None and stored.info.lifecycle_stage == "deleted":
            return False  # the user has deleted it on MLflow's pages
        new = stored is None
        stored = stored or only_one(self._client, self._client.get_run(self._create()))
        run_id = str(stored.info.run_id)
        if self._note is None or self._note.run_id != run_id:
            self._note = Note(uri=self._store, run_id=run_id)
            self._note.write(self._run)
        rest = self._rest(stored)
        if rest:
            self._send(run_id, stored, rest)
        self._write_note(run_id)
        return new or bool(rest)

    def has_rest(self, stored: Run) -> bool:
        """Return whether the store lacks anything; if not, the note is made to say so."""
        if self._rest(stored):
            return True
        self._write_note(str(stored.info.run_id))
        return False

    def _rest(self, stored: Run) -> Rest:
        tags, there = self._tags(), stored.data.tags
        missing = {name: text for name, text in tags.items() if name not in there}
        if _ERROR in tags and there.get(_ERROR) != tags[_ERROR]:
            missing[_ERROR] = tags[_ERROR]
        return Rest(
            settings=bool(logged.setting_values(self.manifest).keys() - stored.data.params.keys()),
            points=self._missing_points(stored) + self._missing_results(stored),
            files=self._missing_files(stored),
            tags=missing,
            recovered=_ERROR in there and _ERROR not in tags,
            status=stored.info.status != _STATUS[self.manifest.status],
        )

    def _send(self, run_id: str, stored: Run, rest: Rest) -> None:
        if stored.info.status != "RUNNING":  # until all is there
            self._client.update_run(run_id, status="RUNNING")
        if rest.recovered:
            self._client.delete_tag(run_id, _ERROR)
        if rest.settings:
            self._log_settings(run_id)
        self._log_points(run_id, rest.points)
        for name in rest.files:
            self._client.log_artifact(run_id, str(self._run / name))
        for tag, value in rest.tags.items():
            self._client.set_tag(run_id, tag, value)
        if self.manifest.status != "running":
            ended = self.manifest.status in _ENDS
            time = logged.milliseconds(self.manifest.finished) if ended else None
            status = _STATUS[self.manifest.status]
            self._client.set_terminated(run_id, status=status, end_time=time)

    def _write_note(self, run_id: str) -> None:
        lines, status = len(self._lines), self.manifest.status
        done = Note(uri=self._store, run_id=run_id, lines=lines, status=status)
        if done != read_note(self._run):
            done.write(self._run)

    def _create(self) -> str:
        manifest = self.manifest
        filed = experiment(self._client, self._uri, self._home, manifest.data.name)
        tags = {**logged.tags(manifest), "mlflow.user": os.environ.get("USER", "unknown")}
        if "commit" in manifest.environment:
            tags["mlflow.source.git.commit"] = manifest.environment["commit"]
        if (study := manifest.study) is not None:
            parent = study_run(self._client, filed, study.name)
            tags |= {"mlflow.parentRunId": parent, "trial": str(study.trial)}
        run = self._client.create_run(
            filed,
            start_time=logged.milliseconds(manifest.created),
            tags=tags,
            run_name=logged.title(manifest),
        )
        return str(run.info.run_id)

    def _log_settings(self, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        manifest, data = self.manifest, self.manifest.data
        dataset = Dataset(
            name=data.name,
            digest=data.fingerprint or manifest.scored.test,
            source_type="bench",
            source=json.dumps({"task": manifest.task.to_json(), "options": data.options}),
            profile=json.dumps({"rows": data.rows, **data.notes}),
        )
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags=[context])])
        entries = [Param(name, value) for name, value in logged.setting_values(manifest).items()]
        for start in range(0, len(entries), _PARAMS):
            self._client.log_batch(run_id, params=entries[start : start + _PARAMS])

    def _log_points(self, run_id: str, points: list[Metric]) -> None:
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH])

    def _tags(self) -> dict[str, str]:
        """Return the tags of the run as it is now: of what it is, of its end and of its error."""
        manifest = self.manifest
        error = manifest.error if manifest.status in _ENDS else None
        return {**logged.tags(manifest), **({_ERROR: error[:5000]} if error else {})}

    @cached_property
    def _lines(self) -> list[list[Metric]]:
        """The points of every readable line of metrics.jsonl.

        They are read once: a line that is written while others are sent is not noted as sent.
        """
        from mlflow.entities import Metric

        lines, damaged = read_metrics(self._run / METRICS)
        if damaged and self.warning is None:
            self.warning = damaged[0]
        return [
            [Metric(name, value, line.time, line.step) for name, value in line.metrics.items()]
            for line in lines
        ]

    def _missing_points(self, stored: Run) -> list[Metric]:
        lines, there = self._lines, stored.data.metrics
        names = {point.key for line in lines for point in line}
        if not names & there.keys():
            return _joined(lines)
        note = self._note
        if note is not None and note.lines and note.run_id == stored.info.run_id:
            last = {point.key: point.value for point in _joined(lines[: note.lines])}
            if _agree(last, there):
                return _joined(lines[note.lines :])
        known = {
            (name, point.step)
            for name in sorted(names & there.keys())
            for point in self._client.get_metric_history(stored.info.run_id, name)
        }
        return [point for point in _joined(lines) if (point.key, point.step) not in known]

    def _missing_results(self, stored: Run) -> list[Metric]:
        """Return missing scores and costs of a finished run; any other may continue."""
        from mlflow.entities import Metric

        if self.manifest.status != "finished":
            return []
        time = logged.milliseconds(self.manifest.finished)
        # At step 0, so that MLflow draws bars to compare runs instead of curves with one point.
        return [
            Metric(name, value, time, 0)
            for name, value in logged.outcome(self.manifest).items()
            if not _agree({name: value}, stored.data.metrics)
        ]

    def _missing_files(self, stored: Run) -> list[str]:
        if self.manifest.status not in _ENDS:
            return []
        names = [n for n in (MANIFEST, METRICS, PREDICTIONS, WEIGHTS) if (self._run / n).is_file()]
        place, info = str(stored.info.artifact_uri), stored.info
        location = _location(self._client, info.experiment_id)
        home = self._home if is_default() else None
        if (reason := places.refusal(place, location, info.run_id, home)) is not None:
            self.warning = f"{reason}: they are not copied there"
            return []
        folder = places.local_folder(place)
        if folder is None:  # a server's: they are sent before the status
            return [] if info.status == _STATUS[self.manifest.status] else names
        return [name for name in names if not _same_size(self._run / name, folder / name)]


@lru_cache(maxsize=16)
def _location(client: MlflowClient, experiment: str) -> str:
    """Return the address of the files of an experiment, which never changes."""
    return str(client.get_experiment(experiment).artifact_location)


def _joined(lines: Iterable[list[Metric]]) -> list[Metric]:
    return [point for line in lines for point in line]


def _agree(values: Mapping[str, float], there: Mapping[str, float]) -> bool:
    """Return whether a store has these as the latest values; some databases round the last bit."""
    return all(
        name in there and math.isclose(value, there[name], rel_tol=1e-12)
        for name, value in values.items()
    )


def _same_size(first: Path, second: Path) -> bool:
    return second.is_file() and first.stat().st_size == second.stat().st_size
