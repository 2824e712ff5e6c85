"""What must hold after every round, whatever was done to the runs before.

Nothing here uses the package under test: folders are read as JSON and arrays, the store as SQLite.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

Manifest = dict[str, Any]


def runs_of(home: Path) -> dict[Path, Manifest]:
    """Return the manifest of every run folder below a folder of runs, those of studies, too."""
    found = {}
    for pattern in ("*/manifest.json", "studies/*/*/manifest.json"):
        for path in sorted(home.glob(pattern)):
            try:
                found[path.parent] = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
    return found


def finished_in(home: Path) -> dict[Path, Manifest]:
    """Return the manifest of every finished run below a folder of runs."""
    return {path: told for path, told in runs_of(home).items() if told.get("status") == "finished"}


def outcome(run: Path) -> dict[str, Any]:
    """Return all that a finished run has come to, for a comparison bit by bit."""
    told = json.loads((run / "manifest.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = run / "losses.npy"
    return {
        "status": told["status"],
        "best step": told.get("best_step"),
        "test scores": {k: v for k, v in told["metrics"].items() if k.startswith("test/")},
        "fingerprint": told["data"]["fingerprint"],
        "curves": [(line["step"], line["metrics"]) for line in lines],
        "losses": np.load(losses).tobytes() if losses.exists() else b"",
        "predictions": np.load(run / "predictions.npy").tobytes(),
        "weights": (run / "model.safetensors").read_bytes(),
    }


def differences(found: dict[str, Any], reference: dict[str, Any]) -> Iterator[str]:
    """Yield what differs from an undisturbed run."""
    for name, value in reference.items():
        if found.get(name) != value:
            yield f"{name} differ from those of an undisturbed run"


def leftovers(*folders: Path) -> Iterator[str]:
    """Yield the temporary files that lie in folders."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.name.endswith((".new", ".tmp", ".part")):
                yield f"{path.relative_to(folder)} is left in {folder.name}"


def store(home: Path, database: Path | None = None) -> Iterator[str]:
    """Yield what is wrong with the store of a folder of runs, in which all runs must be.

    Args:
        home: Folder of all runs.
        database: Path of the store, if it is not the default one.
    """
    database = database or home / "mlflow.db"
    if not database.is_file():
        yield "there is no store"
        return
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        try:
            intact = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if intact != "ok":
                yield f"the store is damaged: {str(intact)[:100]}"
            yield from _runs_in_store(connection, home)
        except sqlite3.DatabaseError as error:
            yield f"the store cannot be read: {error}"


def _runs_in_store(connection: sqlite3.Connection, home: Path) -> Iterator[str]:
    query = (
        "SELECT tags.value, runs.run_uuid, runs.status, runs.artifact_uri FROM runs JOIN tags "
        "ON tags.run_uuid = runs.run_uuid AND tags.key = 'bench.id' "
        "WHERE runs.lifecycle_stage = 'active'"
    )
    known: dict[str, list[tuple[str, str, str]]] = {}
    for number, *rest in connection.execute(query):
        known.setdefault(number, []).append((rest[0], rest[1], rest[2]))
    for number, entries in known.items():
        if len(entries) > 1:
            yield f"{number} is {len(entries)} times in the store"
    for path, told in finished_in(home).items():
        if told["id"] not in known:
            yield f"{told['id']} is finished and not in the store"
            continue
        run, status, artifacts = known[told["id"]][0]
        if status != "FINISHED":
            yield f"{told['id']} is finished, and {status} in the store"
        yield from _points(connection, run, path, told)
        yield from _artifacts(artifacts, home, path)
    doubled = (  # the run of a study, which has no bench.id, has its summary once a command
        "SELECT metrics.run_uuid, metrics.key, step, count(*) FROM metrics JOIN tags "
        "ON tags.run_uuid = metrics.run_uuid AND tags.key = 'bench.id' "
        "GROUP BY metrics.run_uuid, metrics.key, step HAVING count(*) > 1 LIMIT 3"
    )
    studies = (
        "SELECT tags.value, count(*) FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
        "AND tags.key = 'bench.study' WHERE runs.lifecycle_stage = 'active' "
        "GROUP BY tags.value HAVING count(*) > 1"
    )
    for name, count in connection.execute(studies):
        yield f"study {name} is {count} times in the store"
    for run, key, step, count in connection.execute(doubled):
        yield f"{key} of step {step} is {count} times in the store (run {run})"


def _points(connection: sqlite3.Connection, run: str, path: Path, told: Manifest) -> Iterator[str]:
    """Yield the points of a run's folder that the store lacks or has with another value."""
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    wanted = {(k, line["step"]): v for line in lines for k, v in line["metrics"].items()}
    wanted |= {(k, 0): v for k, v in told["metrics"].items() if k.startswith("test/") and v}
    query = "SELECT key, step, value FROM metrics WHERE run_uuid = ?"
    stored = {(key, step): value for key, step, value in connection.execute(query, (run,))}
    wrong = [point for point, value in wanted.items() if stored.get(point) != value]
    if wrong:
        yield f"{len(wrong)} of {len(wanted)} points of {path.name} are not in the store"


def _artifacts(uri: str, home: Path, path: Path) -> Iterator[str]:
    """Yield the artifacts that are not the files of the run's folder."""
    folder = home / "mlartifacts"
    found = folder / "/".join(uri.rstrip("/").split("/")[-3:])  # DATA/RUN/artifacts
    for name in ("predictions.npy", "model.safetensors"):
        if (path / name).is_file() and (
            not (found / name).is_file()
            or (found / name).read_bytes() != (path / name).read_bytes()
        ):
            yield f"{name} of {path.name} is not in the store as it is"


def ranked(output: str) -> set[str]:
    """Return the names of the runs that a leaderboard in JSON lists."""
    return {name for row in json.loads(output)["rows"] for name in row["runs"].split()}
