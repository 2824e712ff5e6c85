"""Finds runs in MLflow by what a user calls them, and the test rows they were scored on."""

from __future__ import annotations

from pathlib import Path

from bench.config import override
from bench.console import SILENT, Screen
from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.leaderboards.entries import Entry, read_entries
from bench.leaderboards.selection import WORDS
from bench.registry import get_task
from bench.results.run_folder import MANIFEST, read_manifest
from bench.scoring.scorer import VERSION
from bench.sources.locate import find, load_test
from bench.task import Task
from bench.tracking.mlflow_store import connected


def find_entries(references: tuple[str, ...], home: Path) -> list[Entry]:
    """Find runs, finished or not.

    Args:
        references: For each, MLflow's number of it, our name or its beginning, what MLflow's pages
            call it, or its folder.
        home: Folder of all runs, where the default store lies.

    Raises:
        BenchError: No run, or several, are called so; or the store cannot be read.
    """
    with connected(home, reading=True) as (client, _):
        names = [found.name for found in client.search_experiments() if found.name != "Default"]
    entries = [entry for name in names for entry in read_entries(home, name)]
    return [_find(reference, entries, home) for reference in references]


def check_comparable(a: Entry, b: Entry) -> None:
    """Raise a :class:`BenchError` if two runs cannot be compared; name what differs."""
    if a.run == b.run:
        raise BenchError(f"{a.id} is both runs. Name two.")
    for entry in (a, b):
        if entry.status != "finished" or "scored.test" not in entry.tags:
            raise BenchError(f"{entry.id} is {entry.status} and has no scores to compare.")
    words = {"data": "other data", **WORDS}
    of_a, of_b = ({"data": entry.tags["data"], **entry.lock} for entry in (a, b))
    for name in of_a:
        if name in of_b and of_a[name] != of_b[name]:
            raise BenchError(
                f"{a.id} and {b.id} cannot be compared: {words[name]} "
                f"({name}: {of_a[name]} and {of_b[name]})."
            )


def open_test(
    entry: Entry, task_name: str, data: Path | None, screen: Screen = SILENT
) -> tuple[Task, TestSet, Path]:
    """Return the task, the test rows that a run was scored on, and their folder.

    Args:
        entry: The run.
        task_name: Its task, or where its table is now.
        data: Folder of the test rows; where the run had them, or as for ``bench run``, if None.
        screen: Where to tell of what reading them takes.

    Raises:
        BenchError: There are none, or others; the field that differs is named.
    """
    task_class = get_task(task_name)
    given = {
        name.removeprefix("task."): value
        for name, value in entry.settings.items()
        if name.startswith("task.")
    }
    task = task_class(override(task_class.Options(), given, section="task"))
    if data is None and (recorded := entry.tags.get("test_folder")) and Path(recorded).is_dir():
        data = Path(recorded)
    folder = find(task_class, task_name, data)
    test = load_test(task, task_name, folder, screen)
    here = {
        "task.version": str(task.card.version),
        "scored.version": str(VERSION),
        "scored.test": test.fingerprint,
        "scored.subsets": test.subsets_fingerprint,
    }
    for name, value in here.items():
        if entry.lock[name] != value:
            raise BenchError(
                f"{entry.id} was scored by {WORDS[name]} than here ({name}: {entry.lock[name]}, "
                f"here {value} of {folder}). {argument('data')} names another folder."
            )
    return task, test, folder


def _find(reference: str, entries: list[Entry], home: Path) -> Entry:
    wanted = reference
    for folder in (Path(reference), home / reference):
        if reference and (folder / MANIFEST).is_file():
            wanted = read_manifest(folder).id
            break
    found = [entry for entry in entries if wanted in (entry.run, entry.id)]
    found = found or [entry for entry in entries if entry.name == wanted]
    found = found or [entry for entry in entries if wanted and entry.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise BenchError(
            f"{reference}: no such run in MLflow. `bench runs` lists runs, `bench sync` sends them."
        )
    ids = ", ".join(entry.id for entry in found[:5])
    raise BenchError(f"{reference}: {len(found)} runs are called so: {ids}. Name one of them.")
