"""Run folders made by hand, what a store has of them by plain SQL, and processes that die."""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import mlflow

from bench.results.manifest import CostRecord, Manifest
from bench.results.run_folder import RunFolder

_FORK = multiprocessing.get_context("fork")
CALLS = (
    *("create_experiment", "create_run", "log_inputs", "log_batch", "log_artifact", "set_tag"),
    *("update_run", "delete_tag", "set_terminated"),
)


def running(home: Path, name: str = "toy", **more: Any) -> RunFolder:
    """A run whose manifest has no more than what tracking reads."""
    run = RunFolder.create(home, name)
    data = {"name": "dream", "fingerprint": "f00d", "options": {}, "rows": {}, "notes": {}}
    described = {
        "model": {"name": "toy", "config": {"width": 8}, "parameters": 72},
        "task": {"name": "dream", "version": 1},
        "data": data,
        "recipe": {"name": "standard", "lr": 0.1},
        "plan": None,
        "preset": "full",
        "seed": 0,
        "device": {"kind": "cpu"},
        "environment": {},
        **more,
    }
    run.save(Manifest.from_json(described))
    return run


def finished(home: Path, name: str = "toy", **more: Any) -> RunFolder:
    """A finished run with curves of three points, files and scores."""
    run = running(home, name, **more)
    for step in (10, 20, 30):
        run.log(step, {"train/loss": 1 / step, "validation/pearson": step / 64})
    (run.path / "predictions.npy").write_bytes(b"numbers")
    outcome = {"validation/pearson": 0.46875, "test/all/pearson": 0.25}
    run.finish("finished", Manifest(metrics=outcome, cost=CostRecord(updates=30)))
    return run


CURVES = sorted(
    (name, step, value)
    for step in (10, 20, 30)
    for name, value in (("train/loss", 1 / step), ("validation/pearson", step / 64))
)
SCORES = [
    ("best/validation/pearson", 0, 0.46875),
    ("cost/parameters", 0, 72),
    ("cost/updates", 0, 30),
    ("test/all/pearson", 0, 0.25),
]
FINISHED = sorted(CURVES + SCORES)


def content(database: Path) -> dict[str, tuple[str, list[tuple[str, int, float]], list[str]]]:
    """Return status, points and names of files of every run that is not deleted, by its number."""
    found = {}
    with closing(sqlite3.connect(database)) as store:
        rows = store.execute(
            "SELECT r.run_uuid, r.status, r.artifact_uri, t.value FROM runs r JOIN tags t"
            " ON t.run_uuid = r.run_uuid AND t.key = 'bench.id' WHERE lifecycle_stage = 'active'"
        ).fetchall()
        for run, status, place, number in rows:
            points = store.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", [run])
            files = Path(unquote(urlparse(place).path))
            names = sorted(path.name for path in files.iterdir()) if files.is_dir() else []
            assert number not in found, "a run is there twice"
            found[number] = (status, sorted(points.fetchall()), names)
    return found


def execute(database: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as store, store:
        return store.execute(statement, values).fetchall()


def in_process(function: Callable[..., object], *arguments: object) -> Any:
    """Start a function in a process of its own."""
    process = _FORK.Process(target=function, args=arguments)
    process.start()
    return process


def die_at(
    call: int, *, after: bool, function: Callable[..., object], where: tuple[Any, ...]
) -> bool:
    """Run a function, killed at its n-th call that writes to MLflow; return whether it was."""

    def run() -> None:
        left = call

        def counted(method: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0 and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                value = method(*arguments, **options)
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return value

            return called

        for name in CALLS:
            setattr(mlflow.MlflowClient, name, counted(getattr(mlflow.MlflowClient, name)))
        function(*where)

    process = in_process(run)
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return bool(process.exitcode)
