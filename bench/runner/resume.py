"""The resumption of runs: the earlier run of an identity, its request, the command to resume it."""

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
    """An earlier run of the same identity.

    Attributes:
        path: Folder of the run.
        finished: Whether the run needs no more training.
    """

    path: Path
    finished: bool


def earlier_run(request: Request, identity: dict[str, str], home: Path) -> Earlier | None:
    """Return the earlier run of the same identity, to resume it or to use its result.

    Args:
        request: Request of the run.
        identity: Identity of the run, see :func:`bench.runner.identity.identity`.
        home: Folder of all runs.

    Returns:
        The run that the request names, else a finished run, else the latest unfinished run; None
        if there is none, or if the request forces a new run.

    Raises:
        BenchError: The run that the request names is finished, or has another identity.
    """
    if request.resume is not None:
        return _same_run(request.resume, identity)
    return None if request.force else _find(identity, home)


def resumed_request(reference: str, home: Path, **here: Any) -> Request:
    """Return the recorded request of an earlier run, to resume that run.

    Args:
        reference: Folder of the run, its name, or the beginning of its name.
        home: Folder of all runs.
        here: Options that do not decide the result, such as the device.

    Raises:
        BenchError: There is no such run, or its manifest has no request.
    """
    path = run_folder.find_run(reference, home, option="resume")
    recorded = run_folder.read_manifest(path).request
    if recorded is None:
        raise BenchError(
            f"{argument('resume')} {reference}: its manifest has no request, so it cannot resume."
        )
    here |= {"resume": path, "runs_dir": path.parent}
    return Request.from_json(recorded, **here)


def resume_line(request: Request, path: Path, *, tracked: bool) -> str:
    """Return the command line that resumes a run on the same kind of device.

    Args:
        request: Request of the interrupted run.
        path: Folder of the run.
        tracked: Whether the run is sent to MLflow.
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
    """Return a finished run of an identity, else the latest unfinished run, else None."""
    unfinished = None
    for path, manifest in run_folder.read_runs(home).items() if home.is_dir() else ():
        if manifest.identity == identity:
            if manifest.status == "finished":
                return Earlier(path, finished=True)
            unfinished = Earlier(path, finished=False)
    return unfinished


def _same_run(path: Path, identity: dict[str, str]) -> Earlier:
    """Return the run in a folder, after a check that it is unfinished and has the identity."""
    manifest = run_folder.read_manifest(path)
    if manifest.status == "finished":
        raise BenchError(
            f"{argument('resume')} {path.name}: it is finished. `bench runs` shows its scores."
        )
    changed = [name for name in identity if identity[name] != manifest.identity.get(name)]
    if changed:
        raise BenchError(
            f"{argument('resume')} {path.name}: {' and '.join(changed)} differ from when it began. "
            f"Leave out {argument('resume')} to start anew."
        )
    return Earlier(path, finished=False)
