"""Which earlier run a new one would repeat, and which it can go on with.

Two runs are the same when everything that decides their result is: the model and its source, its
configuration, the recipe, the data, the test rows and the seed. Devices, places and time are not.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.atomic import finite
from bench.errors import BenchError, argument
from bench.model import Model
from bench.results import run_folder
from bench.version import __version__

_FIELDS = ("model", "task", "data", "recipe", "plan", "seed", "max_seconds", "compiled", "tested")
_ELSEWHERE = {"data": ("test_folder", "notes"), "model": ("origin",)}  # say where, not what


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run folder of the same identity.

    Attributes:
        path: The folder.
        finished: Whether it needs no more training.
    """

    path: Path
    finished: bool


def identity(described: dict[str, Any], model: type[Model], test_rows: str) -> dict[str, str]:
    """Return a short hash of every field that decides a run's result.

    Args:
        described: A manifest's fields, as decided before training.
        model: Its source file counts: an edited model is another one.
        test_rows: Fingerprint of the test rows and their subsets.
    """
    parts = {
        name: {
            key: value
            for key, value in described[name].items()
            if key not in _ELSEWHERE.get(name, ())
        }
        if isinstance(described[name], dict)
        else described[name]
        for name in _FIELDS
    }
    parts |= {
        "test rows": test_rows,
        "precision": described["device"]["precision"],
        "source": Path(inspect.getfile(model)).read_text(encoding="utf-8"),
        "version": __version__,
    }
    return {
        name: hashlib.blake2b(
            json.dumps(finite(part), sort_keys=True).encode(), digest_size=6
        ).hexdigest()
        for name, part in parts.items()
    }


def find_earlier(home: Path, wanted: dict[str, str]) -> Earlier | None:
    """Return the same run as one that is wanted: a finished one, else the latest unfinished."""
    unfinished = None
    for path in run_folder.find_runs(home) if home.is_dir() else ():
        manifest = run_folder.read_manifest(path)
        if manifest.get("identity") == wanted:
            if manifest["status"] == "finished":
                return Earlier(path, finished=True)
            unfinished = Earlier(path, finished=False)
    return unfinished


def check_same(path: Path, wanted: dict[str, str]) -> Earlier:
    """Return a run that is to go on, if it is still the same.

    Raises:
        BenchError: It is finished, or something about it has changed.
    """
    manifest = run_folder.read_manifest(path)
    if manifest["status"] == "finished":
        raise BenchError(
            f"{argument('resume')} {path.name}: it is finished. `bench runs` shows its figures."
        )
    known = manifest.get("identity", {})
    changed = [name for name in wanted if wanted[name] != known.get(name)]
    if changed:
        raise BenchError(
            f"{argument('resume')} {path.name}: {' and '.join(changed)} differ from when it began. "
            f"Leave out {argument('resume')} to start anew."
        )
    return Earlier(path, finished=False)
