"""What a run leaves behind: a folder that needs neither torch nor MLflow to be read.

manifest.json      everything that was decided and everything that came out
metrics.jsonl      one line a report, in order
losses.npy         float32 training loss of every update
predictions.npy    one value a test row, in the target's unit; float32 where a run made them
model.safetensors  weights of the best validation
checkpoints/       while it is not finished: states to go on from
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
from typing import Any

from bench.atomic import write_json, write_text
from bench.errors import BenchError, argument

MANIFEST, METRICS, PREDICTIONS, WEIGHTS = (
    "manifest.json",
    "metrics.jsonl",
    "predictions.npy",
    "model.safetensors",
)
LOSSES, CHECKPOINTS = "losses.npy", "checkpoints"


class RunFolder:
    """One run's folder, being written.

    Attributes:
        path: The folder.
        manifest: What :meth:`save` writes; ``manifest["status"]`` is running, interrupted,
            finished or failed.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def create(cls, directory: Path, title: str) -> RunFolder:
        """Make a new folder named after what runs and when.

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
        run = cls(path, {"schema": 1, "id": name, "status": "running", "created": created})
        run.save()
        return run

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Take a run folder up again."""
        return cls(path, read_manifest(path))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a run for the length of a block, so that no other process goes on with it.

        Raises:
            BenchError: Another process does.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BenchError(
                f"the same run is going on in {self.path}. Wait for it, or give another "
                f"{argument('seed')}."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def rewind(self, step: int) -> dict[int, dict[str, float]]:
        """Forget what was logged after ``step`` updates; return the figures that stay, by step."""
        path = self.path / METRICS
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        kept: dict[int, tuple[str, dict[str, float]]] = {}
        for line in lines:
            if line.endswith("\n") and (entry := json.loads(line))["step"] <= step:
                kept[entry["step"]] = (line, entry["metrics"])
        write_text(path, "".join(line for line, _ in kept.values()))
        return {step: figures for step, (_, figures) in kept.items()}

    def restart(self, **fields: Any) -> None:
        """Write the manifest of a run that begins, or goes on: without what an end left in it."""
        for name in ("finished", "error"):
            self.manifest.pop(name, None)
        self.save(status="running", **fields)

    def save(self, **fields: Any) -> None:
        """Update the manifest and write it in one piece."""
        self.manifest.update(fields)
        write_json(self.path / MANIFEST, self.manifest)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Append figures to metrics.jsonl; a figure that is not finite is left out."""
        line = {
            "step": step,
            "time": round(datetime.now(UTC).timestamp() * 1000),
            "metrics": {name: value for name, value in figures.items() if math.isfinite(value)},
        }
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def finish(self, status: str, **fields: Any) -> None:
        """Write the last manifest, with the time."""
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self.save(status=status, finished=finished, **fields)


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a run folder's manifest.

    Raises:
        BenchError: The folder holds none, or not one of ours.
    """
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not a run folder: {error}") from None
    if not isinstance(manifest, dict) or not {"id", "status", "created"} <= set(manifest):
        raise BenchError(f"{path / MANIFEST} is not a run's manifest.")
    return manifest


def find_runs(directory: Path) -> list[Path]:
    """List run folders, oldest first."""
    found = [path.parent for path in directory.glob(f"*/{MANIFEST}")]
    return sorted(found, key=lambda path: (read_manifest(path)["created"], path.name))


def find_run(reference: str, directory: Path, option: str = "run") -> Path:
    """Find one run folder by its path, or by its name or the beginning of it.

    Args:
        reference: What the user typed.
        directory: Of all runs.
        option: Argument that it was given for.

    Raises:
        BenchError: No run, or several, are called so.
    """
    if (Path(reference) / MANIFEST).is_file():
        return Path(reference)
    reference = reference.rstrip("/")
    names = [path.parent.name for path in directory.glob(f"*/{MANIFEST}")]
    found = [name for name in names if name == reference] or [
        name for name in names if reference and name.startswith(reference)
    ]
    if len(found) != 1:
        known = f"{len(found)} runs in {directory} are called so" if found else "no such run"
        named = argument(option.removeprefix("--"))  # the command line's --resume comes with dashes
        raise BenchError(f"{named} {reference}: {known}. `bench runs` lists them.")
    return directory / found[0]
