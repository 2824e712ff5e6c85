"""Reads the runs that a leaderboard ranks: what they are, and what they scored.

Run folders come first: they are what happened. MLflow, a file beside the runs or a server, adds the
runs that have no folder here, such as those of colleagues. A run whose values make no sense is left
out with a warning. The files of runs are read by :mod:`bench.leaderboards.artifacts`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from bench.console import SILENT, Console
from bench.errors import BenchError, first_line
from bench.inert import for_terminal
from bench.results.manifest import Manifest, as_time, in_range
from bench.results.run_folder import MANIFEST, read_manifest, read_runs
from bench.scoring.comparability import Comparability
from bench.tracking import logged
from bench.tracking.mlflow_store import connected, has_store
from bench.tracking.notes import logged_number
from bench.tracking.places import is_own

if TYPE_CHECKING:
    from mlflow.entities import Run, RunInfo
    from mlflow.tracking import MlflowClient

_PAGE = 1000
_LONGEST = 200  # characters of a name or a value that are shown
_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLACES = (
    "",
    "file",
    "mlflow-artifacts",
    "s3",
    "gs",
    "wasbs",
    "abfss",
    "hdfs",
)  # not http: any server is one
_PATHS = ("task", "test_folder")


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
    def unverified(self) -> str:
        """Remark for tables on a run that ``bench`` did not train; empty for other runs."""
        if self.verified:
            return ""
        weights = self.tags.get("weights")
        return f"unverified: weights of {weights}" if weights else "unverified"

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
        console: Console for warnings that name the runs that cannot be read.

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
        console: Console for warnings that name the runs that cannot be read.

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
        for path, manifest in readable.items()
        if (entry := _readable(path.name, console, partial(_entry_of_folder, path, manifest)))
        and experiment in (None, entry.tags["data"])
    }
    if not here or has_store(home):
        try:
            logged_runs = list(_logged_entries(home, experiment, console))
        except BenchError as error:
            if not here:
                raise
            console.warn(f"{first_line(error)} Only runs that have a folder here are read.")
            logged_runs = []
        here |= {e.id: e for e in logged_runs if e.id not in here}
    return sorted(here.values(), key=lambda entry: (entry.created, entry.id), reverse=True)


def _readable(run: str, console: Console, read: Callable[[], Entry | None]) -> Entry | None:
    """Return a run; None, with a warning that names it, for one whose values make no sense."""
    try:
        return read()
    except (BenchError, ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        reason = first_line(error).rstrip(".")[:_LONGEST]
        console.warn(f"run {run} is left out: {reason}.")
        return None


def _entry_of_folder(path: Path, manifest: Manifest) -> Entry:
    return Entry(
        run=logged_number(path),
        id=_shown(manifest.id),
        name=_shown(logged.title(manifest)),
        status=_shown(manifest.status),
        created=as_time(manifest.created, "created"),
        tags=_texts(logged.tags(manifest)),
        settings=_texts(logged.setting_values(manifest)),
        figures=logged.outcome(manifest) if manifest.status == "finished" else {},
        artifacts=path.absolute().as_uri(),
    )


def _experiments(home: Path) -> list[str]:
    """List the names that MLflow files results under; none where there is no store."""
    if not has_store(home):
        return []
    with connected(home, reading=True) as (client, _):
        return [found.name for found in client.search_experiments() if found.name != "Default"]


def _logged_entries(home: Path, experiment: str | None, console: Console) -> Iterator[Entry]:
    """Yield the runs that MLflow has, on one data set or on all."""
    with connected(home, reading=True) as (client, _):
        for found in client.search_experiments():
            if found.name != "Default" and experiment in (None, found.name):
                root = str(found.artifact_location or "")
                for run in _pages(client, found.experiment_id):
                    name = str(run.data.tags.get("bench.id", run.info.run_id))
                    entry = _readable(name, console, partial(_entry, run, root))
                    if entry is not None:
                        yield entry


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


def _entry(run: Run, root: str) -> Entry | None:
    """Return what is ours; None for a study, or a run of another program.

    Args:
        run: MLflow's run.
        root: Address of the files of its experiment.
    """
    info, data = run.info, run.data
    if "bench.id" not in data.tags or "model" not in data.tags:
        return None
    if not _RUN.fullmatch(info.run_id):  # it becomes a part of a path
        raise BenchError(f"its number in MLflow is {info.run_id[:80]!r}")
    status = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}
    return Entry(
        run=info.run_id,
        id=_shown(data.tags["bench.id"]),
        name=_shown(info.run_name or info.run_id),
        status=status.get(info.status, "running"),
        created=in_range(datetime.fromtimestamp(info.start_time / 1000, UTC), "start time"),
        tags=_texts(data.tags),
        settings=_texts(data.params),
        figures={_shown(name): float(value) for name, value in data.metrics.items()},
        artifacts=str(info.artifact_uri) if _in_own_place(info, root) else "",
    )


def _in_own_place(info: RunInfo, root: str) -> bool:
    """Return whether a run's files are among those of its experiment, in a place that is read."""
    known = urlparse(root).scheme in _PLACES
    return known and is_own(info.artifact_uri or "", root, info.run_id)


def _shown(text: str) -> str:
    """Return a name of the length and the letters that a table can show."""
    text = for_terminal(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _texts(values: Mapping[str, str]) -> dict[str, str]:
    """Return tags or settings as a table can show them; paths stay as they are."""
    return {
        _shown(name): value if name in _PATHS else _shown(value) for name, value in values.items()
    }
