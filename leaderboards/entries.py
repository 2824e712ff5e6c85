"""Reads the runs that a leaderboard ranks: what they are, and what they scored.

Run folders come first: they are what happened. MLflow, a file beside the runs or a server, adds the
runs that have no folder here, such as those of colleagues. Predictions are files, read one by one
and only for runs that rank; those of a server are kept in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import NDArray

from bench.atomic import scratch_folder
from bench.console import SILENT, Console
from bench.errors import BenchError, first_line
from bench.paths import cache_dir
from bench.results.manifest import Manifest
from bench.results.run_folder import MANIFEST, PREDICTIONS, read_manifest, read_runs
from bench.scoring.comparability import Comparability
from bench.tracking import logged
from bench.tracking.mlflow_store import connected, has_store
from bench.tracking.notes import logged_number

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_PAGE = 1000


@dataclass(frozen=True)
class Entry:
    """One run, from its folder or from MLflow.

    Attributes:
        run: MLflow's number of the run; empty for one that only its folder has.
        id: Name of the run folder.
        name: Name on MLflow's pages.
        status: State of the run: finished, failed, running, interrupted or pruned.
        created: Time of its beginning.
        tags, settings: Tags and settings, as MLflow keeps them.
        figures: Scores and costs, such as ``test/all/pearson`` and ``cost/parameters``.
        artifacts: Address of its files.
    """

    run: str
    id: str
    name: str
    status: str
    created: datetime
    tags: Mapping[str, str]
    settings: Mapping[str, str]
    figures: Mapping[str, float]
    artifacts: str

    @property
    def model(self) -> str:
        """The model's name, or what an external result is called."""
        return self.tags["model"]

    @property
    def seed(self) -> str:
        """The seed; empty where nobody knows it."""
        return self.settings.get("seed", "")

    @property
    def verified(self) -> bool:
        """Whether ``bench`` itself trained and predicted."""
        return self.tags.get("verified") == "true"

    @property
    def comparability(self) -> Comparability:
        """What has to agree between results that rank together."""
        return Comparability.from_tags(self.tags)

    @property
    def seconds(self) -> float:
        """Device-seconds of training and validation."""
        return self.figures.get("cost/device_hours", math.nan) * 3600


def read_entries(home: Path, experiment: str, console: Console = SILENT) -> list[Entry]:
    """List the runs on one data set, newest first, without studies and deleted ones.

    Args:
        home: Folder of all runs, where the default store lies.
        experiment: Name that results are filed under, such as "dream".
        console: Console for warnings of damaged run folders.

    Raises:
        BenchError: The store cannot be read, or there is no run on this data set.
    """
    found = _all_entries(home, experiment, console)
    if found or experiment in _experiments(home):
        return found
    known = sorted({entry.tags["data"] for entry in _all_entries(home, None, SILENT)})
    there = f"there are: {', '.join(known)}" if known else "there are none at all"
    raise BenchError(f"no results on '{experiment}' in {home}; {there}.")


def find_entries(references: tuple[str, ...], home: Path, console: Console = SILENT) -> list[Entry]:
    """Find runs, finished or not.

    Args:
        references: Names of runs: MLflow's number of a run, our name or its beginning, what
            MLflow's pages call it, or its folder.
        home: Folder of all runs, where the default store lies.
        console: Console for warnings of damaged run folders.

    Raises:
        BenchError: No run, or several, are called so; or the store cannot be read.
    """
    entries = _all_entries(home, None, console)
    return [_find(reference, entries, home) for reference in references]


def _all_entries(home: Path, experiment: str | None, console: Console) -> list[Entry]:
    """List the runs of folders and of MLflow on one data set, or on all, newest first."""
    readable, damaged = read_runs(home)
    for line in damaged.values():
        console.warn(line)
    here = {
        entry.id: entry
        for entry in (_entry_of_folder(path, found) for path, found in readable.items())
        if experiment in (None, entry.tags["data"])
    }
    if not here or has_store(home):
        here |= {e.id: e for e in _logged_entries(home, experiment) if e.id not in here}
    return sorted(here.values(), key=lambda entry: (entry.created, entry.id), reverse=True)


def _entry_of_folder(path: Path, manifest: Manifest) -> Entry:
    return Entry(
        run=logged_number(path),
        id=manifest.id,
        name=logged.title(manifest),
        status=manifest.status,
        created=datetime.fromisoformat(manifest.created),
        tags=logged.tags(manifest),
        settings=logged.setting_values(manifest),
        figures=logged.outcome(manifest) if manifest.status == "finished" else {},
        artifacts=path.absolute().as_uri(),
    )


def _experiments(home: Path) -> list[str]:
    """List the names that MLflow files results under; none where there is no store."""
    if not has_store(home):
        return []
    with connected(home, reading=True) as (client, _):
        return [found.name for found in client.search_experiments() if found.name != "Default"]


def _logged_entries(home: Path, experiment: str | None) -> Iterator[Entry]:
    """Yield the runs that MLflow has, on one data set or on all."""
    with connected(home, reading=True) as (client, _):
        for found in client.search_experiments():
            if found.name != "Default" and experiment in (None, found.name):
                for run in _pages(client, found.experiment_id):
                    if (entry := _entry(run)) is not None:
                        yield entry


def stored_predictions(entry: Entry) -> NDArray[np.floating[Any]]:
    """Read a run's predictions of the test rows, ``(N,)``.

    Raises:
        BenchError: They are not there, or no numbers.
    """
    path = artifact(entry, PREDICTIONS)
    try:
        values: NDArray[np.floating[Any]] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BenchError(f"{path}: no predictions: {first_line(error)}.") from None
    return values


def artifact(entry: Entry, name: str) -> Path:
    """Return where a run's file is, fetched if it is a server's; a local one may be missing.

    Raises:
        BenchError: The server does not give it.
    """
    place = urlparse(entry.artifacts)
    if place.scheme in ("", "file"):
        return Path(unquote(place.path)) / name
    return _fetched(entry, name)


def _find(reference: str, entries: list[Entry], home: Path) -> Entry:
    wanted = reference
    for folder in (Path(reference), home / reference):
        if reference and (folder / MANIFEST).exists():
            wanted = read_manifest(folder).id
            break
    found = [entry for entry in entries if wanted in (entry.run, entry.id)]
    found = found or [entry for entry in entries if entry.name == wanted]
    found = found or [entry for entry in entries if wanted and entry.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise BenchError(
            f"{reference}: no such run, neither as a folder nor in MLflow. `bench runs` lists runs."
        )
    ids = ", ".join(entry.id for entry in found[:5])
    raise BenchError(f"{reference}: {len(found)} runs are called so: {ids}. Name one of them.")


def _pages(client: MlflowClient, experiment: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment], max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _entry(run: Run) -> Entry | None:
    """Return what is ours; None for a study, or a run of another program."""
    info, data = run.info, run.data
    if "bench.id" not in data.tags or "model" not in data.tags:
        return None
    status = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}
    return Entry(
        run=info.run_id,
        id=data.tags["bench.id"],
        name=info.run_name or info.run_id,
        status=status.get(info.status, "running"),
        created=datetime.fromtimestamp(info.start_time / 1000, UTC),
        tags=data.tags,
        settings=data.params,
        figures=data.metrics,
        artifacts=info.artifact_uri or "",
    )


def _fetched(entry: Entry, name: str) -> Path:
    """Fetch a server's file once."""
    path = cache_dir() / "artifacts" / entry.run / name
    if path.is_file():
        return path
    from mlflow import MlflowException
    from mlflow.artifacts import download_artifacts

    address = f"{entry.artifacts}/{name}"
    try:
        with scratch_folder(path.parent) as fresh:
            Path(download_artifacts(artifact_uri=address, dst_path=str(fresh))).replace(path)
    except (MlflowException, OSError) as error:
        raise BenchError(f"{address} cannot be fetched: {first_line(error)}.") from None
    return path
