"""Heartbeats: every worker writes one for its trial, and checks those of the other workers.

A trial is given up when its heartbeat is unchanged at four checks in a row. Checks are counted, not
seconds: the clocks of two machines may differ, and no worker is given up because the storage could
not be reached for an hour. Optuna's own heartbeat works neither with a journal nor with ``ask``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import TrialState

from bench.errors import BenchError
from bench.tuning.slots import give_up

CHECKS = 4
"""Number of checks in a row with an unchanged heartbeat after which a trial is given up."""
_BEAT = "beat"


class Heartbeat:
    """A thread that writes the heartbeat of this worker's trial and checks those of the others.

    Args:
        study: Study of the trials.
        seconds: Seconds between two heartbeats and between two checks; the same for all workers.
    """

    def __init__(self, study: Study, seconds: float) -> None:
        self._study, self._seconds = study, seconds
        self._trial: int | None = None
        self._seen: dict[int, tuple[int | None, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()  # not joined: the thread may wait for a storage that cannot be reached

    @contextmanager
    def of(self, trial_id: int) -> Iterator[None]:
        """Write the heartbeat of a trial for the length of a block."""
        self._trial = trial_id
        try:
            yield
        finally:
            self._trial = None

    def check(self) -> None:
        """Give up every trial whose heartbeat is unchanged for ``CHECKS`` checks."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        seen = {}
        for trial in running:
            beat = trial.system_attrs.get(_BEAT)
            before, checks = self._seen.get(trial._trial_id, (beat, -1))
            seen[trial._trial_id] = (beat, checks + 1 if beat == before else 0)
        self._seen = seen
        for trial_id, (_, checks) in seen.items():
            if checks >= CHECKS and trial_id != self._trial:
                give_up(self._study, trial_id)

    def _run(self) -> None:
        count = 0
        while not self._ended.wait(self._seconds):
            trial_id, count = self._trial, count + 1
            try:
                if trial_id is not None:
                    self._study._storage.set_trial_system_attr(trial_id, _BEAT, count)
                self.check()
            except UpdateFinishedTrialError:  # this worker's trial has ended, or was given up
                continue
            except BenchError:  # the worker's own next call raises it, too, and tells the user
                return
