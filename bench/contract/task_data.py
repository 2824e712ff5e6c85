"""The task under check, and its rows: those of a folder, or simulated ones."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.children import own_command
from bench.contract.report import fail, skip
from bench.contract.targets import Target
from bench.data.dataset import Dataset, TestSet
from bench.errors import BenchError
from bench.sources import locate
from bench.task import Task

_SMALL, _LARGE = 1_000, 40_000  # simulated training rows


@dataclass(frozen=True, slots=True)
class Reading:
    """What another process found when it read the task's rows.

    Attributes:
        peak: Peak memory of that process in bytes.
    """

    fingerprint: str
    peak: int


class TaskData:
    """A task under check.

    Args:
        target: Task.
        folder: Folder of its files; None for simulated ones, or those at hand.
        scratch: Empty folder for what is simulated.

    Attributes:
        task: The task with its default options.
    """

    def __init__(self, target: Target, folder: Path | None, scratch: Path) -> None:
        self.target, self.given, self._scratch = target, folder, scratch
        self.kind: type[Task] = target.plugin
        self.task: Task = self.kind(self.kind.Options())

    @cached_property
    def folder(self) -> Path:
        """The folder that is read: the given one, a simulation, or the data at hand.

        Raises:
            BenchError: There is none.
        """
        if self.given is None and self.target.simulates:
            return self.simulated()
        return locate.find(self.kind, self.target.name, self.given)

    def simulated(self, *, large: bool = False, again: bool = False) -> Path:
        """Return a folder of simulated files, which are written first if needed."""
        if not self.target.simulates:
            skip("the task has no simulation")
        folder = self._scratch / f"{'large' if large else 'small'}{'-again' * again}"
        if not folder.exists():
            rows = _LARGE if large else _SMALL
            locate.write_simulation(self.kind, folder, rows=rows, seed=0)
        return folder

    def read(self, folder: Path) -> Dataset:
        """Read the rows of a folder with a new task object."""
        return locate.load(self.kind(self.kind.Options()), self.target.name, folder, None)

    @cached_property
    def dataset(self) -> Dataset:
        """The rows."""
        return self.read(self.folder)

    @property
    def test(self) -> TestSet:
        """The test rows."""
        return self.dataset.test

    @cached_property
    def rows(self) -> str:
        """The part of the test rows that ranks, or the first one for which no file is missing."""
        known = [r for r in self.kind.row_sets if not self.task.missing_file(self.test, r)]
        if not known:
            fail(f"files are missing for all of {', '.join(self.kind.row_sets)}")
        return known[0]

    def read_elsewhere(self, folder: Path) -> Reading:
        """Read a folder in a new process, where Python hashes texts in another way.

        Raises:
            BenchError: The process failed.
        """
        assert self.target.what is not None
        cache = self._scratch / f"cache-{folder.name}"
        cache.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "12",
            "BENCH_CACHE": str(cache),  # an empty one: what it reads is not encoded already
        }
        command = own_command("bench.contract.reading:main", self.target.what, str(folder))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise BenchError(f"reading in a new process fails: {lines[-1]}")
        return Reading(**json.loads(done.stdout.splitlines()[-1]))
