"""Inventory of the local data: downloaded, simulated and encoded files, and their checks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.paths import cache_dir
from bench.registry import TASKS
from bench.sources import download

Rows = list[dict[str, Any]]


def listed() -> Rows:
    """Return every task's published files, then simulated and encoded data, with sizes."""
    rows: Rows = []
    for name in TASKS.places():
        folder = cache_dir() / name
        rows += [
            {"task": name, "path": str(folder / state.name), **asdict(state)}
            for state in download.state(TASKS.get(name).files, folder)
        ]
    for path in sorted(cache_dir().glob("*-simulated/*")):
        rows.append(_folder(path, path.parent.name, "simulated"))
    for path in sorted(cache_dir().glob("encoded/*")):
        rows.append(_folder(path, "", "encoded"))
    return rows


def verified(task: str | None) -> Rows:
    """Return the checks of the downloaded files of one task or of all tasks, by their hashes.

    Raises:
        BenchError: There is no such task.
    """
    rows: Rows = []
    for name in TASKS.places() if task is None else [task]:
        files = TASKS.get(name).files
        checked = download.verify(files, cache_dir() / name)
        rows += [{"task": name, **asdict(file), "ok": file.ok} for file in checked]
    return rows


def _folder(path: Path, task: str, kind: str) -> dict[str, Any]:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {"task": task, "path": str(path), "name": path.name, "kind": kind, "size": size}
