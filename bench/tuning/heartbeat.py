"""Signs of life: every worker gives them for its trial, and looks after those of the others.

A worker is given up when its beat was the same at four looks in a row. Looks are counted, not
seconds: clocks of two machines need not agree, and a storage that was away for an hour makes nobody
silent. One way for a journal and for databases: Optuna's own heartbeat works for neither a journal
nor ``ask``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import TrialState

from bench.tuning.slots import give_up

LOOKS = 4
_BEAT = "beat"


class Heartbeat:
    """A thread that beats for this worker's trial and watches over the others'.

    Args:
        study: The study.
        seconds: Between two beats, and between two looks; the same for all workers.
    """

    def __init__(self, study: Study, seconds: float) -> None:
        self._study, self._seconds = study, seconds
        self._trial: int | None = None
        self._seen: dict[int, tuple[int | None, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()  # not joined: a storage that is away would keep us here

    @contextmanager
    def of(self, trial_id: int) -> Iterator[None]:
        """Beat for a trial as long as the block runs."""
        self._trial = trial_id
        try:
            yield
        finally:
            self._trial = None

    def look(self) -> None:
        """Give up every trial whose beat has not changed for ``LOOKS`` looks."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        seen = {}
        for trial in running:
            beat = trial.system_attrs.get(_BEAT)
            before, looks = self._seen.get(trial._trial_id, (beat, -1))
            seen[trial._trial_id] = (beat, looks + 1 if beat == before else 0)
        self._seen = seen
        for trial_id, (_, looks) in seen.items():
            if looks >= LOOKS and trial_id != self._trial:
                give_up(self._study, trial_id)

    def _run(self) -> None:
        count = 0
        while not self._ended.wait(self._seconds):
            trial_id, count = self._trial, count + 1
            try:
                if trial_id is not None:
                    self._study._storage.set_trial_system_attr(trial_id, _BEAT, count)
                self.look()
            except (
                UpdateFinishedTrialError
            ):  # ours just ended, or was given up: its report will say
                continue
