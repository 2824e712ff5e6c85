"""Going on with a run: which earlier run is the same, what it was asked for, how to go on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import paths
from bench.errors import BenchError, argument
from bench.registry import MODELS, TASKS
from bench.results import run_folder
from bench.results.command import local_words, resume_words
from bench.results.options import Request


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run folder of the same identity.

    Attributes:
        path: The folder.
        finished: Whether it needs no more training.
    """

    path: Path
    finished: bool


def earlier_run(request: Request, identity: dict[str, str], home: Path) -> Earlier | None:
    """Return the run to go on with, or the finished one that need not be repeated.

    Args:
        request: Run that is wanted.
        identity: Its identity, see :func:`bench.runner.identity.identity`.
        home: Folder of all runs.

    Raises:
        BenchError: The run to go on with is finished, or is another one by now.
    """
    if request.resume is not None:
        return _same_run(request.resume, identity)
    return None if request.force else _find(identity, home)


def resumed_request(reference: str, home: Path, **here: Any) -> Request:
    """Return the request that an earlier run has recorded, to go on with that run.

    Args:
        reference: Folder of the run, its name, or the beginning of its name.
        home: Folder of all runs.
        here: Options that do not decide the result, such as the device.

    Raises:
        BenchError: There is no such run, or it has recorded no request.
    """
    path = run_folder.find_run(reference, home, option="resume")
    recorded = run_folder.read_manifest(path).request
    if recorded is None:
        raise BenchError(
            f"{argument('resume')} {reference}: it has no record of what was asked for."
        )
    here |= {"resume": path, "runs_dir": path.parent}
    return Request.from_json(recorded, **here)


def resume_line(request: Request, path: Path, *, tracked: bool) -> str:
    """Return the command line that goes on with a run, on the same kind of device.

    Args:
        request: Run that was interrupted.
        path: Its folder.
        tracked: Whether it is sent to MLflow.
    """
    usual = path.parent == paths.runs_dir()
    named = [(MODELS.places(), request.model), (TASKS.places(), request.task)]
    origins = dict.fromkeys(places[name].origin for places, name in named if name in places)
    words = resume_words(
        path.name if usual else str(path), [origin for origin in origins if Path(origin).is_file()]
    )
    here = Request(
        model="", task="", device=request.device, batch_per_device=request.batch_per_device
    )
    words += local_words(here)
    return shlex.join(["bench", *words, *([] if tracked else ["--no-tracking"])])


def _find(identity: dict[str, str], home: Path) -> Earlier | None:
    """Return the same run as one that is wanted: a finished one, else the latest unfinished."""
    unfinished = None
    for path, manifest in run_folder.read_runs(home).items() if home.is_dir() else ():
        if manifest.identity == identity:
            if manifest.status == "finished":
                return Earlier(path, finished=True)
            unfinished = Earlier(path, finished=False)
    return unfinished


def _same_run(path: Path, identity: dict[str, str]) -> Earlier:
    """Return a run that is to go on, if it is still the same."""
    manifest = run_folder.read_manifest(path)
    if manifest.status == "finished":
        raise BenchError(
            f"{argument('resume')} {path.name}: it is finished. `bench runs` shows its figures."
        )
    changed = [name for name in identity if identity[name] != manifest.identity.get(name)]
    if changed:
        raise BenchError(
            f"{argument('resume')} {path.name}: {' and '.join(changed)} differ from when it began. "
            f"Leave out {argument('resume')} to start anew."
        )
    return Earlier(path, finished=False)
