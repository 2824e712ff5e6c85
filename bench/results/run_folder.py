"""The folder of a run, which can be read without torch and without MLflow.

manifest.json      settings, data and results of the run
metrics.jsonl      one line a validation, in the order of the steps
losses.npy         float32 training loss of every step
predictions.npy    one value a test row, in the target's unit; float64, in older runs float32
model.safetensors  weights of the best validation
checkpoints/       states to resume from; removed when the run is finished
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.atomic import write_json, write_text
from bench.errors import BenchError, argument
from bench.results.manifest import SCHEMA, Manifest

MANIFEST, METRICS, PREDICTIONS, WEIGHTS = (
    "manifest.json",
    "metrics.jsonl",
    "predictions.npy",
    "model.safetensors",
)
LOSSES, CHECKPOINTS = "losses.npy", "checkpoints"


class RunFolder:
    """The folder of a run that is being written.

    Attributes:
        path: Path of the folder.
        manifest: Content of its manifest.json.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def create(cls, directory: Path, title: str) -> RunFolder:
        """Make a new folder, named by a title and the time.

        Raises:
            BenchError: The folder cannot be written.
        """
        now = datetime.now(UTC)
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-")
        name = f"{slug}-{now:%y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        path = directory / name
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise BenchError(
                f"cannot write runs to {directory}: {error.strerror}. "
                f"Name another folder by {argument('runs_dir')} or BENCH_HOME."
            ) from None
        created = now.isoformat(timespec="seconds")
        run = cls(path, Manifest(schema=SCHEMA, id=name, status="running", created=created))
        run.save()
        return run

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Return an existing run folder, to resume its run."""
        return cls(path, read_manifest(path))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the run for the duration of a block, so that no other process resumes it.

        Raises:
            BenchError: Another process holds the lock.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BenchError(
                f"another process trains the same run in {self.path}. Wait for it, or give another "
                f"{argument('seed')}."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def rewind(self, step: int) -> dict[int, dict[str, float]]:
        """Remove the logged lines after a step; return the metrics of the other lines, by step."""
        path = self.path / METRICS
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        kept: dict[int, tuple[str, dict[str, float]]] = {}
        for line in lines:
            if line.endswith("\n") and (entry := json.loads(line))["step"] <= step:
                kept[entry["step"]] = (line, entry["metrics"])
        write_text(path, "".join(line for line, _ in kept.values()))
        return {step: metrics for step, (_, metrics) in kept.items()}

    def restart(self, decided: Manifest) -> None:
        """Write the manifest of a run that starts or resumes, without the fields of an end."""
        self.manifest = self.manifest.without("finished", "error").changed(status="running")
        self.save(decided)

    def save(self, part: Manifest | None = None) -> None:
        """Merge a part into the manifest, and write the manifest."""
        if part is not None:
            self.manifest = self.manifest.merged(part)
        write_json(self.path / MANIFEST, self.manifest.to_json())

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the finite metrics of a step to metrics.jsonl."""
        line = {
            "step": step,
            "time": round(datetime.now(UTC).timestamp() * 1000),
            "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
        }
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def finish(self, status: str, outcome: Manifest) -> None:
        """Write the manifest of a run that has ended, with its results and the time."""
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self.save(Manifest(status=status, finished=finished).merged(outcome))


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a run folder.

    Raises:
        BenchError: The folder has no manifest, or the manifest is not valid.
    """
    try:
        found = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not a run folder: {error}") from None
    if not isinstance(found, dict) or not {"id", "status", "created"} <= set(found):
        raise BenchError(f"{path / MANIFEST} is not a run's manifest.")
    try:
        return Manifest.from_json(found)
    except BenchError as error:
        raise error.wrapped(f"{path / MANIFEST} is not a run's manifest: ") from None


def read_runs(directory: Path) -> dict[Path, Manifest]:
    """Return the manifest of every run folder by the folder's path, oldest first.

    Raises:
        BenchError: A manifest is damaged; the message names its file.
    """
    found = {path.parent: read_manifest(path.parent) for path in directory.glob(f"*/{MANIFEST}")}
    return dict(sorted(found.items(), key=lambda run: (run[1].created, run[0].name)))


def find_run(reference: str, directory: Path, option: str = "run") -> Path:
    """Return the run folder of a path, a name, or the beginning of a name.

    Args:
        reference: Path, name or beginning of a name, as the user typed it.
        directory: Folder of all runs.
        option: Argument that the user gave the reference for.

    Raises:
        BenchError: No run or several runs match the reference.
    """
    if (Path(reference) / MANIFEST).is_file():
        return Path(reference)
    reference = reference.rstrip("/")
    names = [path.parent.name for path in directory.glob(f"*/{MANIFEST}")]
    found = [name for name in names if name == reference] or [
        name for name in names if reference and name.startswith(reference)
    ]
    if len(found) != 1:
        known = (
            f"the names of {len(found)} runs in {directory} begin so" if found else "no such run"
        )
        named = argument(option.removeprefix("--"))  # the command line's --resume comes with dashes
        raise BenchError(f"{named} {reference}: {known}. `bench runs` lists them.")
    return directory / found[0]
