"""Location and loading of data: given folders, BENCH_DATA, the cache, and simulated data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.atomic import whole_folder
from bench.config import as_dict
from bench.console import SILENT, Console
from bench.data.dataset import Dataset, TestSet
from bench.errors import BenchError, argument
from bench.paths import cache_dir, data_dirs
from bench.sources import download
from bench.task import Task

_MARK = "simulated.json"  # a simulator writes it last, so a folder that has it is complete


def find(task: type[Task], task_name: str, given: Path | None) -> Path:
    """Return the folder of a task's files: the given one, else in BENCH_DATA, else in the cache.

    Raises:
        BenchError: There is no such folder; the message says how to get one.
    """
    if given is not None:
        if not given.is_dir():
            raise BenchError(f"{argument('data')} {given}: no such folder.")
        return given
    if task.home is not None:
        return task.home
    candidates = data_dirs(task_name)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise BenchError(
        f"no data for task '{task_name}' in {' or '.join(map(str, candidates))}. "
        f"`bench data get {task_name}` fetches it (so does {argument('download', True)}), "
        f"{argument('data')} names a folder that has it, {argument('simulate_rows')} makes a "
        "simulated assay.",
        field="data",
    )


def fetch(
    task: type[Task],
    task_name: str,
    console: Console = SILENT,
    *,
    mirror: str | None = None,
    source: Path | None = None,
) -> Path:
    """Download a task's published files to the cache; see :func:`bench.sources.download.fetch_all`.

    Returns:
        Folder of the files.

    Raises:
        BenchError: The task has no published files, or they cannot be downloaded.
    """
    if not task.files:
        raise BenchError(
            f"task '{task_name}' names no files to fetch. Give a folder by {argument('data')}."
        )
    folder = cache_dir() / task_name
    download.fetch_all(task.files, folder, console, mirror=mirror, source=source)
    return folder


def simulated(task: type[Task], task_name: str, *, rows: int, seed: int) -> Path:
    """Return the cached folder of simulated raw files, which are written first if needed."""
    version = task.card.version
    folder = cache_dir() / f"{task_name}-simulated" / f"v{version}-{rows}-rows-seed-{seed}"
    if not (folder / _MARK).is_file():
        try:
            write_simulation(task, folder, rows=rows, seed=seed)
        except BenchError as error:
            raise error.wrapped(after=" Name another folder by BENCH_CACHE.") from None
    return folder


def write_simulation(task: type[Task], folder: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
    """Write simulated raw files into a new folder, which appears complete or not at all.

    Returns:
        Facts about the files, from the simulator.

    Raises:
        BenchError: The folder exists already or cannot be created.
    """
    if folder.exists():
        raise BenchError(f"{folder} exists. Name a new folder.")
    fresh = facts = None
    try:
        with whole_folder(folder) as fresh:
            facts = task.simulate(fresh, rows=rows, seed=seed)
    except OSError as error:
        if fresh is None:
            raise BenchError(f"cannot write to {folder.parent}: {error.strerror}.") from None
        if facts is None or not (folder / _MARK).is_file():  # else another process was faster
            raise
    assert facts is not None, folder
    return facts


def load_test(task: Task, task_name: str, directory: Path, console: Console = SILENT) -> TestSet:
    """Read only the test set, from raw files or from the output of ``bench data encode``.

    Raises:
        BenchError: Files are missing or wrong.
    """
    task.console = console
    if Dataset.is_saved(directory):
        return _open_saved(task, task_name, directory).test
    return task.read_test(directory)


def with_subset(task: Task, test: TestSet, name: str, path: Path) -> TestSet:
    """Return a test set with one subset read from another file.

    Raises:
        BenchError: The task has no such subset, or the file is missing or wrong.
    """
    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    subsets = {**test.subsets, name: task.read_subset(name, path, len(test))}
    missing = {subset: file for subset, file in test.missing.items() if subset != name}
    remarks = {subset: remark for subset, remark in test.remarks.items() if subset != name}
    if remark := task.subset_remark(name, path):
        remarks[name] = remark
    return replace(test, subsets=subsets, missing=missing, remarks=remarks)


def load(
    task: Task,
    task_name: str,
    directory: Path,
    test_directory: Path | None,
    console: Console = SILENT,
) -> Dataset:
    """Read a task's data from raw files, or open the output of ``bench data encode``.

    Raises:
        BenchError: Files are missing or wrong, or were encoded with other options.
    """
    task.console = console
    if not Dataset.is_saved(directory):
        if task.home not in (None, directory):
            raise BenchError(
                f"{argument('data')} {directory}: the task {task_name} has its own data. "
                f"Leave out {argument('data')}."
            )
        return task.read(directory, test_directory or directory)
    if test_directory is not None:
        raise BenchError(
            f"{argument('test_data')}: {directory} is encoded and holds its test rows already."
        )
    dataset = _open_saved(task, task_name, directory)
    wanted = as_dict(task.options)
    for name, value in wanted.items():
        if dataset.options.get(name) != value:
            before = dataset.options.get(name)
            raise BenchError(
                f"{directory} was encoded with task.{name}={before}, not {value}. "
                f"Encode it again, or {argument(f'task.{name}', str(before))}."
            )
    return dataset


def _open_saved(task: Task, task_name: str, directory: Path) -> Dataset:
    dataset = Dataset.open(directory)
    wanted = task.filed_as(task_name)
    if dataset.name.removesuffix("-simulated") != wanted:
        raise BenchError(f"{directory} holds data of '{dataset.name}', not of '{wanted}'.")
    if dataset.version != task.card.version:
        raise BenchError(
            f"{directory} was encoded for version {dataset.version} of the task; "
            f"this is version {task.card.version}. Encode it again."
        )
    return dataset
