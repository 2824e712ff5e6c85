"""A worker: the loop that takes a trial, runs it and records its end, until none is left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import SuccessiveHalvingPruner
from optuna.study import Study
from optuna.trial import Trial, TrialState

from bench.config import spell
from bench.console import Console
from bench.errors import BenchError, PrunedError, argument, first_line
from bench.search_space import Choice
from bench.training.distributed import from_environment
from bench.training.signals import Stop
from bench.tuning import slots
from bench.tuning.definition import Params, Search
from bench.tuning.feasibility import Probe
from bench.tuning.heartbeat import Heartbeat
from bench.tuning.samplers import grid_point, sampler
from bench.tuning.shared_trials import share
from bench.tuning.study import STOPPED
from bench.tuning.summary import DEVICES
from bench.tuning.trial import InfeasibleError, LostError, job, run

_WAIT = 1.0  # seconds between two attempts to take a trial
_MAX_FILE_ERRORS = 3  # errors of the file system in a row, without a complete trial between
_REDUCTION = 3  # one trial in so many passes each rung of successive halving


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits after which a worker starts no more trials.

    Attributes:
        trials: Number of finished trials of the study, over all workers; None for no limit.
        deadline: Time of the monotonic clock, in seconds; None for no limit.
    """

    trials: int | None
    deadline: float | None

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() > self.deadline


def work(
    study: Study,
    search: Search,
    probe: Probe,
    budget: Budget,
    console: Console,
    *,
    tracked: bool,
    stop: Stop,
) -> None:
    """Run trials until all are finished or the deadline has passed.

    Raises:
        BenchError: Trials cannot run on this machine, or a bug stopped the study.
        KeyboardInterrupt: Ctrl-C was pressed; the running trial is given back.
    """
    worker = Worker(study, search, probe, console, tracked=tracked, stop=stop)
    with Heartbeat(study, search.beat) as beat:
        while (trial := worker.next(budget)) is not None:
            with beat.of(trial._trial_id):
                worker.attempt(trial)


class Worker:
    """The part of one process in a study.

    Args:
        study: Study to work on.
        search: Definition of the search.
        probe: Probe for the data of the search.
        console: Console for the outcome of every trial.
        tracked: Whether runs are sent to MLflow.
        stop: Request to end a training early.
    """

    def __init__(
        self,
        study: Study,
        search: Search,
        probe: Probe,
        console: Console,
        *,
        tracked: bool,
        stop: Stop,
    ) -> None:
        self._study, self._search, self._probe = study, search, probe
        self._console = console
        self._run = partial(run, console=console, tracked=tracked, stop=stop)
        self._file_errors = 0

    def next(self, budget: Budget) -> Trial | None:
        """Start the next trial and return it; None if the worker is to end."""
        study = self._study
        trial_id = take(study, budget)
        if trial_id is None:
            return None
        number = study._storage.get_trial(trial_id).number
        study._storage.set_trial_user_attr(trial_id, DEVICES, from_environment().size)
        self._lay_on_grid(trial_id)
        # A fresh view of the study: samplers read a list of trials that only `ask` updates.
        view = optuna.load_study(
            study_name=study.study_name,
            storage=study._storage,
            sampler=sampler(self._search.sampler, self._search.sampler_seed, number),
            pruner=SuccessiveHalvingPruner(min_resource=2, reduction_factor=_REDUCTION),
        )
        return Trial(view, trial_id)

    def _lay_on_grid(self, trial_id: int) -> None:
        if self._search.sampler != "grid":
            return
        study = self._study
        order = list(slots.Slots(study.get_trials(deepcopy=False), None).trials)
        index = order.index(slots.slot_of(study._storage.get_trial(trial_id)))
        point = dict(grid_point(self._search.space, index))
        study._storage.set_trial_system_attr(trial_id, "fixed_params", point)

    def attempt(self, trial: Trial) -> None:
        """Run a trial and record how it ended.

        Raises:
            BenchError: The trial cannot run on this machine, or a bug stopped the study.
            KeyboardInterrupt: Ctrl-C was pressed; the trial is given back.
        """
        study, trial_id = self._study, trial._trial_id
        try:
            params = suggest(trial, self._search)
            record = {"name": study.study_name, "trial": trial.number}
            task = job(self._search, self._probe, params, record)
            share(task)
            score, runs = self._run(task, trial)
            study._storage.set_trial_user_attr(trial_id, "runs", runs)
            self._tell(trial, TrialState.COMPLETE, score)
            self._file_errors = 0
        except PrunedError as error:
            self._tell(trial, TrialState.PRUNED, None, str(error))
        except InfeasibleError as error:
            self._tell_infeasible(trial, error)
        except (LostError, UpdateFinishedTrialError):
            self._console.say(f"trial {trial.number}: given to another worker in the meantime")
        except (BenchError, KeyboardInterrupt) as error:  # the trial itself is not at fault
            slots.end(study, trial_id, slots.RETURNED, first_line(error))
            raise
        except OSError as error:  # nor is it here: a full disk, a lost file server
            slots.end(study, trial_id, slots.RETURNED, first_line(error))  # waits for the storage
            self._file_errors += 1
            if self._file_errors > _MAX_FILE_ERRORS:
                raise
            self._console.warn(f"trial {trial.number} is given back: {first_line(error)}")
        except Exception as error:  # a bug in the model or the task, which every trial meets
            self._stop(trial, error)

    def _tell(self, trial: Trial, state: TrialState, score: float | None, reason: str = "") -> None:
        """Finish a trial; a pruned trial keeps its best score so far."""
        storage, trial_id = self._study._storage, trial._trial_id
        curve = storage.get_trial(trial_id).intermediate_values
        values = [score] if score is not None else [curve[max(curve)]]
        if reason:
            storage.set_trial_user_attr(trial_id, "reason", reason)
        storage.set_trial_state_values(trial_id, state, values)
        how = "pruned" if state == TrialState.PRUNED else "complete"
        self._say(trial, f"{values[0]:.4f} {how}")

    def _tell_infeasible(self, trial: Trial, error: InfeasibleError) -> None:
        limits = {error.limit: error.excess}
        slots.tell_infeasible(self._study, trial._trial_id, limits, str(error))
        self._say(trial, f"infeasible: {error}")

    def _stop(self, trial: Trial, error: Exception) -> NoReturn:
        """Stop the study because of a bug in the model or the task."""
        reason = f"trial {trial.number} raised {type(error).__name__}: {first_line(error)}"
        self._console.show(error)
        slots.end(self._study, trial._trial_id, slots.FAULTY, reason)
        self._study.set_user_attr(STOPPED, reason)
        raise BenchError(
            f"the study is stopped: {reason}. Correct the error, then continue with "
            f"{argument('resume')}."
        ) from None

    def _say(self, trial: Trial, outcome: str) -> None:
        params = self._study._storage.get_trial(trial._trial_id).params
        values = "  ".join(f"{name}={spell(value)}" for name, value in sorted(params.items()))
        self._console.say(f"trial {trial.number}: {outcome}  {values}")


def take(study: Study, budget: Budget) -> int | None:
    """Start a trial, after waiting while other workers may still give one back.

    Returns:
        The identifier of the trial in the storage; None if the study is complete or stopped, or
        the deadline has passed.
    """
    while not budget.is_over and not study.user_attrs.get(STOPPED):
        trial_id = slots.claim(study, budget.trials)
        if trial_id is not None:
            return trial_id
        if slots.Slots(study.get_trials(deepcopy=False), budget.trials).complete:
            slots.retire_surplus(study, budget.trials)
            return None
        time.sleep(_WAIT)
    return None


def suggest(trial: Trial, search: Search) -> Params:
    """Return the values of a trial: those it was added with, else those of the sampler."""
    values = {}
    for name in sorted(search.space):
        space = search.space[name]
        if isinstance(space, Choice):
            values[name] = trial.suggest_categorical(name, space.values)
        elif isinstance(space.low, int) and isinstance(space.high, int):
            values[name] = trial.suggest_int(name, space.low, space.high, log=space.log)
        else:
            values[name] = trial.suggest_float(name, space.low, space.high, log=space.log)
    return values
