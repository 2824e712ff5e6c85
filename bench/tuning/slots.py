"""Who runs what: a study of N trials is N slots, and every slot counts once.

A slot is filled by one trial, or by several one after the other where the first were lost with
their workers. What a slot is worth follows from the list of trials alone, so nobody has to hand a
lost trial over: whoever comes next sees that a slot has only failed trials and adds another with
the same parameters. Two workers may do that at once; only the oldest of a slot that has not failed
counts, and the other never runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

SLOT = "slot"
END = "end"
"""User attribute that says how a failed trial came to its end."""
LOST, RETURNED, FAULTY, SURPLUS = "lost", "given back", "error", "surplus"
LOSSES = 3
"""Workers a trial may take with it before it is called infeasible."""


class Slots:
    """The slots of a study, as a list of its trials shows them.

    Args:
        trials: All trials, by number.
        wanted: How many slots there are to be; None for as many as one likes.

    Attributes:
        trials: The trial that counts, by slot, of those wanted; None where all have failed.
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
        """Say whether there are as many as wanted, and all are finished."""
        finished = [t for t in self.trials.values() if t is not None and t.state.is_finished()]
        return len(finished) == self._wanted

    @property
    def finished(self) -> list[FrozenTrial]:
        """List the trials that count and are over: complete, pruned or infeasible."""
        return [t for t in self.trials.values() if t is not None and t.state.is_finished()]

    def waiting(self) -> list[FrozenTrial]:
        """List the trials that anybody may start."""
        return [t for t in self.trials.values() if t is not None and t.state == TrialState.WAITING]

    def failed(self, slot: int) -> list[FrozenTrial]:
        """List the failed trials of a slot."""
        return [trial for trial in self._all[slot] if trial.state == TrialState.FAIL]

    def losses(self, slot: int) -> int:
        """Count the workers that were lost in a slot."""
        return sum(trial.user_attrs.get(END) == LOST for trial in self.failed(slot))

    def surplus(self) -> list[FrozenTrial]:
        """List the trials that wait and will never be wanted."""
        counted = {trial.number for trial in self.waiting()}
        return [
            trial
            for trials in self._all.values()
            for trial in trials
            if trial.state == TrialState.WAITING and trial.number not in counted
        ]


def slot_of(trial: FrozenTrial) -> int:
    """Return a trial's slot: its own number, or that of the lost trial it stands in for."""
    slot: int = trial.user_attrs.get(SLOT, trial.number)
    return slot


def add(study: Study, slot: int | None = None, params: Mapping[str, Any] | None = None) -> None:
    """Add a trial that waits for a worker, in a new slot or in one that was lost."""
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            user_attrs={} if slot is None else {SLOT: slot},
            system_attrs={"fixed_params": dict(params)} if params else {},
        )
    )


def claim(study: Study, wanted: int | None) -> int | None:
    """Take the next trial that waits, adding one where none does; nobody else gets the same.

    Returns:
        The trial's identity in the storage, or None where there is nothing to start now.
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
        except UpdateFinishedTrialError:  # somebody was faster, and is through with it
            continue
    return None


def end(
    study: Study, trial_id: int, how: str, reason: str, *, only: TrialState = TrialState.RUNNING
) -> bool:
    """Fail a trial, saying why; return False where it is no longer in the state ``only``."""
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
    """End a trial whose worker fell silent; the third time it is infeasible for good."""
    trials = study.get_trials(deepcopy=False)
    slot = next(slot_of(trial) for trial in trials if trial._trial_id == trial_id)
    reason = "its worker fell silent"
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
    """Finish a trial without a score; constraints above 0 say how far it was from having one.

    Raises:
        UpdateFinishedTrialError: It is finished already.
    """
    trial = Trial(study, trial_id)
    for name, excess in constraints.items():
        trial.set_constraint(name, excess)
    study._storage.set_trial_user_attr(trial_id, "reason", reason)
    # Complete with no score, not pruned: samplers that know no constraints see the worst of all,
    # and whoever looks for the best or the importances skips what is not finite.
    study._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [-float("inf")])


def is_infeasible(trial: FrozenTrial) -> bool:
    """Say whether a finished trial broke a constraint."""
    return any(excess > 0 for excess in trial.constraints.values())


def retire_surplus(study: Study, wanted: int | None) -> None:
    """Fail what waits and will never run, once a study is complete."""
    for trial in Slots(study.get_trials(deepcopy=False), wanted).surplus():
        end(study, trial._trial_id, SURPLUS, "not needed", only=TrialState.WAITING)
