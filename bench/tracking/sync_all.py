"""``bench sync``: the run folders are the truth, and the store is made to agree with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.addresses import shown
from bench.console import SILENT, Console
from bench.errors import BenchError, first_line
from bench.paths import studies_dir
from bench.results.manifest import Manifest
from bench.results.run_folder import read_runs
from bench.tracking.experiments import bare_studies, chosen, stored_runs
from bench.tracking.mlflow_store import (
    check_address,
    connected,
    has_store,
    is_default,
    mended,
    tracking_uri,
)
from bench.tracking.notes import damage
from bench.tracking.sender import Sender
from bench.tracking.uploader import send

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_IN_A_ROW = 3  # failures, after which the store counts as lost


@dataclass(slots=True)
class Synced:
    """What ``bench sync`` found and did.

    Attributes:
        store: Address of the store, without secrets.
        sent: Folders of the runs of which the store lacked anything.
        there: Number of runs that it had whole.
        deleted: Number of runs that were deleted on MLflow's pages, and stay so.
        alone: Number of runs in the store that have no folder here.
        failed: Folders of runs that could not be sent.
        untried: Number of runs after too many failures.
        bare: Names of studies of which the store has the trials only.
    """

    store: str
    sent: list[Path] = field(default_factory=list)
    there: int = 0
    deleted: int = 0
    alone: int = 0
    failed: list[Path] = field(default_factory=list)
    untried: int = 0
    bare: list[str] = field(default_factory=list)


def sync_all(home: Path, console: Console = SILENT) -> Synced:
    """Mend the default store, and send what the store lacks of all runs and trials.

    Args:
        home: Folder of all runs, which holds the default store.
        console: Console for warnings of what was mended, skipped or refused.

    Raises:
        BenchError: The store cannot be reached, or cannot be mended.
    """
    check_address(home)
    console.warn(mended(home))
    done = Synced(shown(tracking_uri(home)))
    runs = _readable(home, console)
    left = _lacking(runs, home, done, console)
    in_a_row = 0
    while left and in_a_row < _IN_A_ROW:
        path = left.pop(0)
        try:
            missing, warning = send(path, home)
            console.warn(warning)
            done.sent += [path] if missing else []
            in_a_row = 0
        except BenchError as error:
            console.warn(f"{path} is not sent: {first_line(error)}")
            done.failed.append(path)
            in_a_row += 1
    done.untried = len(left)
    searched = {manifest.data.name for manifest in runs.values() if manifest.study is not None}
    if searched and has_store(home):
        with connected(home, reading=True) as (client, _):
            done.bare = bare_studies(client, sorted(searched))
    return done


def _readable(home: Path, console: Console) -> dict[Path, Manifest]:
    """Return the manifests of runs and trials; a folder that cannot be read is named."""
    found: dict[Path, Manifest] = {}
    for folder in (home, *sorted(studies_dir(home).glob("*"))):
        readable, damaged = read_runs(folder)
        for line in damaged.values():
            console.warn(line)
        found |= readable
    return dict(sorted(found.items(), key=lambda run: (run[1].created, run[0])))


def _lacking(
    runs: Mapping[Path, Manifest], home: Path, done: Synced, console: Console
) -> list[Path]:
    """Return the runs of which the store lacks anything; count the others."""
    if not has_store(home):
        return list(runs)
    with connected(home, reading=True) as (client, uri):
        names = {manifest.data.name for manifest in runs.values()}
        if is_default():
            names = {found.name for found in client.search_experiments()}
        stored = stored_runs(client, sorted(names))
        known = {manifest.id for manifest in runs.values()}
        done.alone = sum(
            any(run.info.lifecycle_stage != "deleted" for run in found)
            for number, found in stored.items()
            if number not in known
        )
        lacking = []
        for path, manifest in runs.items():
            console.warn(damage(path))
            there = chosen(stored.get(manifest.id, []), path)
            if there is not None and there.info.lifecycle_stage == "deleted":
                done.deleted += 1
            elif there is None or _has_rest(client, uri, path, home, there):
                lacking.append(path)
            else:
                done.there += 1
    return lacking


def _has_rest(client: MlflowClient, uri: str, run: Path, home: Path, there: Run) -> bool:
    try:
        return Sender(client, uri, run, home).has_rest(there)
    except BenchError:
        return True  # the attempt to send it tells the reason
