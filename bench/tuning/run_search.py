"""What ``bench search`` does: makes or joins a study, works on it, and ends with what came out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from optuna.study import Study

from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.training.device import choose_device
from bench.training.distributed import from_environment, joined
from bench.training.signals import NEVER, Stop
from bench.tuning import open_study, processes, samplers, study, study_log
from bench.tuning.open_study import OpenStudy
from bench.tuning.refit import refit
from bench.tuning.shared_trials import follow, share
from bench.tuning.storage import shown
from bench.tuning.worker import Budget, work

_TRIALS = 100


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How a study is to be worked on.

    Attributes:
        settings: What a study keeps, as typed; None to take it from the study.
        name, storage: Which study, and where; None for the usual.
        resume: Only go on with a study that exists.
        trials: How many of them finished, of all workers; None for the usual.
        minutes: Start no trial after so long.
        refit: How many of the best to run in full afterwards.
        workers: Processes.
        child: This is one of them.
        device: As for a run.
        tracked: Whether runs go to MLflow.
        home: Folder of all runs.
        data: Where the data lies on this machine, if the study says another place.
        stop: Request to end a training early.
    """

    settings: open_study.SearchSpec | None
    name: str | None
    storage: str | None
    resume: bool
    trials: int | None
    minutes: float | None
    refit: int | None
    workers: int
    child: bool
    device: str
    tracked: bool
    home: Path
    data: Path | None
    stop: Stop = NEVER


def search(asked: SearchOptions, console: Console = SILENT) -> Study | None:
    """Work on a study until it is complete, in this process or in several of its own.

    Returns:
        The study; None on ranks that do not lead.

    Raises:
        BenchError: What is asked is wrong, or a bug stopped the study.
        KeyboardInterrupt: Ctrl-C; what ran is given back.
    """
    ranks = from_environment()
    device = choose_device(asked.device, ranks.local if ranks.size > 1 else None)
    with joined(ranks, device):
        if ranks.leads:
            return _lead(asked, console)
        follow(asked.stop)
    return None


def _lead(asked: SearchOptions, console: Console) -> Study:
    deadline = None if asked.minutes is None else time.monotonic() + asked.minutes * 60
    opened = _open(asked, console)
    found = opened.study
    budget = Budget(_trials(asked, opened), deadline)
    if asked.child:
        _work(asked, opened, budget, console)
        return found
    found.set_user_attr(study.WANTED, budget.trials)
    found.set_user_attr(study.STOPPED, "")
    console.say(f"study {found.study_name} in {shown(opened.place)}")
    if asked.tracked:
        console.warn(study_log.begin(found, opened.probe.name, asked.home))
    try:
        if asked.workers > 1:
            processes.work(asked, opened, budget, console)
        else:
            _work(asked, opened, budget, console)
    finally:
        if asked.tracked:
            console.warn(study_log.end(found, asked.home))
    if stopped := found.user_attrs[study.STOPPED]:
        raise BenchError(f"the study is stopped: {stopped}. Mend it, then {argument('resume')}.")
    return found


def _open(asked: SearchOptions, console: Console) -> OpenStudy:
    if asked.settings is None:
        return open_study.resume(
            asked.storage,
            asked.name,
            asked.home,
            device=asked.device,
            data=asked.data,
            wait=asked.child,
            console=console,
        )
    return open_study.begin(
        asked.settings,
        asked.storage,
        asked.name,
        asked.home,
        device=asked.device,
        exists=asked.resume,
        console=console,
    )


def _trials(asked: SearchOptions, opened: OpenStudy) -> int | None:
    """Say how many trials there are to be: as asked, as last time, all of a grid, or 100."""
    before: int | None = opened.study.user_attrs.get(study.WANTED)
    wanted = asked.trials or before
    if opened.search.sampler == "grid":
        size = samplers.grid_size(opened.search.space)
        return size if wanted is None else min(wanted, size)
    if wanted is None and asked.minutes is None:
        return _TRIALS
    return wanted


def _work(asked: SearchOptions, opened: OpenStudy, budget: Budget, console: Console) -> None:
    found, what = opened.study, opened.search
    work(found, what, opened.probe, budget, console, tracked=asked.tracked, stop=asked.stop)
    if asked.refit is not None and not budget.is_over and not found.user_attrs[study.STOPPED]:
        refit(opened, asked.refit, asked.home, console, tracked=asked.tracked, stop=asked.stop)
    share(None)
