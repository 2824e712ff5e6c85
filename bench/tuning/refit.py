"""Refits: the best trials run again at full budget, on all of the data, with test scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import TrialState

from bench.console import Console
from bench.errors import BenchError, DivergedError, first_line
from bench.results.manifest import Manifest
from bench.runner.run import execute
from bench.training.signals import Stop
from bench.tuning import slots, summary
from bench.tuning.heartbeat import Heartbeat
from bench.tuning.open_study import OpenStudy
from bench.tuning.shared_trials import share
from bench.tuning.trial import TrialJob
from bench.tuning.worker import Budget, take


def refit(
    opened: OpenStudy, count: int, home: Path, console: Console, *, tracked: bool, stop: Stop
) -> None:
    """Run the ``count`` best trials as ordinary runs; several workers share them.

    The refits are the trials of a second study in the same storage, so that no refit is lost when a
    worker dies.

    Raises:
        BenchError: No trial has a score, or a run fails.
    """
    best = summary.ranked(opened.study)[:count]
    if not best:
        raise BenchError("no trial has a score: there is nothing to refit.")
    queue = _queue(opened.study, [trial.number for trial in best])
    search, go = opened.search, partial(execute, console=console, tracked=tracked, stop=stop)
    with Heartbeat(queue, search.beat) as beat:
        while (trial_id := take(queue, Budget(len(best), None))) is not None:
            rank = slots.slot_of(queue._storage.get_trial(trial_id))
            trial = best[rank]
            tuned = {**_cost(opened.study), "trial": trial.number}
            request = search.refit(trial.params, tuned=tuned)
            request = dataclasses.replace(request, runs_dir=home, force=not _was_begun(queue, rank))
            console.say(f"refit {rank + 1} of {len(best)}: trial {trial.number} at full budget")
            with beat.of(trial_id):
                share(TrialJob((request,)))
                _run(queue, trial_id, partial(go, request), console)


def _queue(study: Study, numbers: list[int]) -> Study:
    """Return the study whose trials are the refits; it is created if it does not exist."""
    name = f"{study.study_name}-refit-{'-'.join(map(str, numbers))}"
    try:
        queue = optuna.create_study(storage=study._storage, study_name=name, direction="maximize")
    except DuplicatedStudyError:
        queue = optuna.load_study(storage=study._storage, study_name=name)
    known = {slots.slot_of(trial) for trial in queue.get_trials(deepcopy=False)}
    for rank in range(len(numbers)):
        if rank not in known:
            slots.add(queue, rank)
    return queue


def _was_begun(queue: Study, rank: int) -> bool:
    """Return whether an earlier worker began this refit and left checkpoints to continue from."""
    return bool(slots.Slots(queue.get_trials(deepcopy=False), None).failed(rank))


def _cost(study: Study) -> dict[str, Any]:
    """Return the cost of the search, which every refit records."""
    found = summary.summarize(study)
    return {"study": found.name, "trials": found.finished, "device_hours": found.device_hours}


def _run(queue: Study, trial_id: int, go: Callable[[], Manifest | None], console: Console) -> None:
    """Run one refit and record its run; an interrupted refit is given back."""
    storage = queue._storage
    try:
        manifest = go()
        assert manifest is not None  # only rank 0 runs refits
        storage.set_trial_user_attr(trial_id, "runs", [manifest.id])
        score = manifest.metrics["validation/pearson"]
        assert score is not None, f"{manifest.id} is finished without a validation correlation"
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [score])
    except UpdateFinishedTrialError:
        console.say("this refit was given to another worker in the meantime")
    except DivergedError as error:
        slots.tell_infeasible(queue, trial_id, {"diverged": 1.0}, str(error))
        console.warn(str(error))
    except (BenchError, KeyboardInterrupt) as error:
        slots.end(queue, trial_id, slots.RETURNED, first_line(error))
        raise
