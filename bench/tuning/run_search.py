"""The work of ``bench search``: makes or opens a study, runs its trials, then the refits."""

from __future__ import annotations

import time

from optuna.study import Study

from bench.addresses import shown
from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.tracking.mlflow_store import check_address
from bench.training.device import choose_device
from bench.training.distributed import from_environment, joined
from bench.tuning import open_study, processes, samplers, study, study_log
from bench.tuning.open_study import OpenStudy
from bench.tuning.refit import refit
from bench.tuning.search_options import SearchOptions
from bench.tuning.shared_trials import follow, share
from bench.tuning.storage import check_writable
from bench.tuning.worker import Budget, work

_TRIALS = 100


def search(options: SearchOptions, console: Console = SILENT) -> Study | None:
    """Work on a study until it is complete, in this process or in several worker processes.

    Returns:
        The study; None on ranks that do not lead.

    Raises:
        BenchError: An option is wrong, or a bug stopped the study.
        KeyboardInterrupt: Ctrl-C was pressed; the running trials are given back.
    """
    ranks = from_environment()
    device = choose_device(options.device, ranks.local if ranks.size > 1 else None)
    with joined(ranks, device):
        if ranks.leads:
            return _lead(options, console)
        follow(options.stop)
    return None


def _lead(options: SearchOptions, console: Console) -> Study:
    deadline = None if options.minutes is None else time.monotonic() + options.minutes * 60
    if options.tracked:
        check_address(options.home)
    opened = _open(options, console)
    found = opened.study
    check_writable(opened.place)
    budget = Budget(_trials(options, opened), deadline)
    if options.child:
        _work(options, opened, budget, console)
        return found
    found.set_user_attr(study.WANTED, budget.trials)
    found.set_user_attr(study.STOPPED, "")
    console.say(f"study {found.study_name} in {shown(opened.place)}")
    if options.tracked:
        console.warn(study_log.begin(found, opened.probe.name, options.home))
    try:
        if options.workers > 1:
            processes.work(options, opened, budget, console)
        else:
            _work(options, opened, budget, console)
    finally:
        if options.tracked:
            console.warn(study_log.end(found, options.home))
    if stopped := found.user_attrs[study.STOPPED]:
        raise BenchError(
            f"the study is stopped: {stopped}. Correct the error, then continue with "
            f"{argument('resume')}."
        )
    return found


def _open(options: SearchOptions, console: Console) -> OpenStudy:
    if options.settings is None:
        return open_study.resume(
            options.storage,
            options.name,
            options.home,
            device=options.device,
            data=options.data,
            wait=options.child,
            console=console,
        )
    return open_study.begin(
        options.settings,
        options.storage,
        options.name,
        options.home,
        device=options.device,
        exists=options.resume,
        console=console,
    )


def _trials(options: SearchOptions, opened: OpenStudy) -> int | None:
    """Return the wanted number of trials: as asked, as last time, a whole grid, or 100."""
    before: int | None = opened.study.user_attrs.get(study.WANTED)
    wanted = options.trials or before
    if opened.search.sampler == "grid":
        size = samplers.grid_size(opened.search.space)
        return size if wanted is None else min(wanted, size)
    if wanted is None and options.minutes is None:
        return _TRIALS
    return wanted


def _work(options: SearchOptions, opened: OpenStudy, budget: Budget, console: Console) -> None:
    found, definition = opened.study, opened.search
    work(
        found, definition, opened.probe, budget, console, tracked=options.tracked, stop=options.stop
    )
    if options.refit is not None and not budget.is_over and not found.user_attrs[study.STOPPED]:
        refit(
            opened, options.refit, options.home, console, tracked=options.tracked, stop=options.stop
        )
    share(None)
