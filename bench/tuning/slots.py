"""The slots of a study: a study of N trials has N slots, and each slot counts as one result.

A slot holds one trial, or several in a row where workers died while they ran the first ones. The
state of a slot follows from the list of trials alone, so that no worker has to hand over a trial:
the next worker sees a slot with only failed trials and adds a trial with the same values to it. If
two workers do so at the same time, only the older of the two trials runs and counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

SLOT = "slot"
END = "end"
"""User attribute of a failed trial: the kind of its end."""
LOST, RETURNED, FAULTY, SURPLUS = "lost", "given back", "error", "surplus"
LOSSES = 3
"""Number of workers that may die on a trial before the trial counts as infeasible."""


class Slots:
    """The slots of a study, computed from the list of its trials.

    Args:
        trials: All trials of the study, in the order of their numbers.
        wanted: Number of slots that the study shall have; None for no limit.

    Attributes:
        trials: Trial that counts, by slot, for the wanted slots; None where all trials failed.
    """

    def __init__(self, trials: Iterable[FrozenTrial], wanted: int | None) -> None:
        self._wanted = wanted
        self._all: dict[int, list[FrozenTrial]] = {}
        for trial in trials:
            if trial.user_attrs.get(END) != SURPLUS:
                self._all.setdefault(slot_of(trial), []).append(trial)
        self.trials = {
            slot: next((t for t in self._all[slot] if t.state != TrialState.FAIL), None)
            for slot in sorted(self._all)[:wanted]
        }

    @property
    def complete(self) -> bool:
        """Whether all wanted slots exist and are finished."""
        finished = [t for t in self.trials.values() if t is not None and t.state.is_finished()]
        return len(finished) == self._wanted

    @property
    def finished(self) -> list[FrozenTrial]:
        """Finished trials that count: complete, pruned or infeasible."""
        return [t for t in self.trials.values() if t is not None and t.state.is_finished()]

    def waiting(self) -> list[FrozenTrial]:
        """Return the trials that a worker may start."""
        return [t for t in self.trials.values() if t is not None and t.state == TrialState.WAITING]

    def failed(self, slot: int) -> list[FrozenTrial]:
        """Return the failed trials of a slot."""
        return [trial for trial in self._all[slot] if trial.state == TrialState.FAIL]

    def losses(self, slot: int) -> int:
        """Return the number of workers that died on the trials of a slot."""
        return sum(trial.user_attrs.get(END) == LOST for trial in self.failed(slot))

    def surplus(self) -> list[FrozenTrial]:
        """Return the waiting trials that no worker will ever start."""
        counted = {trial.number for trial in self.waiting()}
        return [
            trial
            for trials in self._all.values()
            for trial in trials
            if trial.state == TrialState.WAITING and trial.number not in counted
        ]


def slot_of(trial: FrozenTrial) -> int:
    """Return the slot of a trial: its own number, or the slot of the lost trial it replaces."""
    slot: int = trial.user_attrs.get(SLOT, trial.number)
    return slot


def add(study: Study, slot: int | None = None, params: Mapping[str, Any] | None = None) -> None:
    """Add a waiting trial to a study, in a new slot or in a slot whose trials failed."""
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            user_attrs={} if slot is None else {SLOT: slot},
            system_attrs={"fixed_params": dict(params)} if params else {},
        )
    )


def claim(study: Study, wanted: int | None) -> int | None:
    """Start the next waiting trial, which is added if there is none; no other worker gets it.

    Returns:
        The identifier of the trial in the storage; None if no trial can start now.
    """
    slots = Slots(study.get_trials(deepcopy=False), wanted)
    lost = [slot for slot, trial in slots.trials.items() if trial is None]
    for slot in lost:
        last = slots.failed(slot)[-1]
        add(study, slot, last.params or last.system_attrs.get("fixed_params"))
    if not lost and not slots.waiting() and (wanted is None or len(slots.trials) < wanted):
        add(study)
    for trial in Slots(study.get_trials(deepcopy=False), wanted).waiting():
        try:
            if study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                return trial._trial_id
        except UpdateFinishedTrialError:  # another worker was faster, and has finished it
            continue
    return None


def end(
    study: Study, trial_id: int, how: str, reason: str, *, only: TrialState = TrialState.RUNNING
) -> bool:
    """Mark a trial as failed, if it still is in a given state.

    Args:
        study: Study of the trial.
        trial_id: Identifier of the trial in the storage.
        how: Kind of the end, such as ``LOST``.
        reason: Text for the user.
        only: State that the trial must still have.

    Returns:
        Whether the trial was in that state and is failed now.
    """
    storage = study._storage
    try:
        if storage.get_trial(trial_id).state != only:
            return False
        storage.set_trial_user_attr(trial_id, "reason", reason)
        storage.set_trial_user_attr(trial_id, END, how)
        return storage.set_trial_state_values(trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return False


def give_up(study: Study, trial_id: int) -> None:
    """End a trial whose worker stopped its heartbeat; the third time, as infeasible."""
    trials = study.get_trials(deepcopy=False)
    slot = next(slot_of(trial) for trial in trials if trial._trial_id == trial_id)
    reason = "the heartbeat of its worker stopped"
    if Slots(trials, None).losses(slot) + 1 < LOSSES:
        end(study, trial_id, LOST, reason)
        return
    try:
        tell_infeasible(study, trial_id, {"lost": 1.0}, f"{reason}, {LOSSES} times")
    except UpdateFinishedTrialError:
        return


def tell_infeasible(
    study: Study, trial_id: int, constraints: Mapping[str, float], reason: str
) -> None:
    """Finish a trial as infeasible: without a score, and with the limits that it exceeds.

    Raises:
        UpdateFinishedTrialError: The trial is finished already.
    """
    trial = Trial(study, trial_id)
    for name, excess in constraints.items():
        trial.set_constraint(name, excess)
    study._storage.set_trial_user_attr(trial_id, "reason", reason)
    # Complete with the score minus infinity, not pruned: a sampler that ignores constraints sees
    # the worst score of all, and the search for the best trial or for importances skips it.
    study._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [-float("inf")])


def is_infeasible(trial: FrozenTrial) -> bool:
    """Return whether a finished trial exceeds a limit."""
    return any(excess > 0 for excess in trial.constraints.values())


def retire_surplus(study: Study, wanted: int | None) -> None:
    """Mark the waiting trials of a complete study as failed: they will never run."""
    for trial in Slots(study.get_trials(deepcopy=False), wanted).surplus():
        end(study, trial._trial_id, SURPLUS, "not needed", only=TrialState.WAITING)
