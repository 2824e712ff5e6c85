"""The resumption of runs: the earlier run of an identity, its request, the command to resume it."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import paths
from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.registry import MODELS, TASKS, check_named
from bench.results import run_folder
from bench.results.command import local_words, resume_words
from bench.results.locks import HeldError, locked
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


_PATIENCE = 60.0  # seconds to wait for a process that looks for the same run


@contextmanager
def only_starter(identity: dict[str, str], home: Path) -> Iterator[None]:
    """Let no other process look for a run of the same identity, or create it, during the block.

    Two equal commands that start together then train once: the second finds the folder of the
    first. The block is short, and the lock's file is removed at its end.

    Raises:
        BenchError: Another process has been in this block for a minute.
    """
    text = json.dumps(identity, sort_keys=True).encode()
    file = home / f".{hashlib.blake2b(text, digest_size=8).hexdigest()}.lock"
    with ExitStack() as stack:
        try:
            home.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(file, patience=_PATIENCE, remove=True))
        except HeldError as error:
            raise BenchError(f"another process starts the same run. It is {error}.") from None
        except OSError:
            pass  # a finished run can be read here; to create a folder will fail, and say why
        yield


def earlier_run(
    request: Request, identity: dict[str, str], home: Path, console: Console = SILENT
) -> Earlier | None:
    """Return the earlier run of the same identity, to resume it or to use its result.

    Args:
        request: Request of the run.
        identity: Identity of the run, see :func:`bench.runner.identity.identity`.
        home: Folder of all runs.
        console: Console for warnings of damaged run folders.

    Returns:
        The run that the request names, else a finished run, else the latest unfinished run; None
        if there is none, or if the request forces a new run.

    Raises:
        BenchError: The run that the request names is finished, or has another identity.
    """
    if request.resume is not None:
        return _same_run(request.resume, identity)
    return None if request.force else _find(request, identity, home, console)


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
    manifest = run_folder.read_manifest(path)
    recorded = manifest.request
    if recorded is None:
        raise BenchError(
            f"{argument('resume')} {reference}: its manifest has no request, so it cannot resume."
        )
    origin = manifest.model.origin
    check_named(f"run {path.name}", manifest.model.name, None, [origin] * origin.endswith(".py"))
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


def _find(
    request: Request, identity: dict[str, str], home: Path, console: Console
) -> Earlier | None:
    """Return a finished run of an identity, else the latest unfinished run, else None."""
    runs, damaged = run_folder.read_runs(home)
    for path, line in damaged.items():
        same = path.name.startswith(f"{request.model}-")
        console.warn(f"{line} It may be an earlier run of this command." if same else line)
    earlier = None
    for path, manifest in runs.items():
        if manifest.identity == identity:
            earlier = Earlier(path, finished=manifest.status == "finished")
            if earlier.finished:
                break
    return earlier


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
