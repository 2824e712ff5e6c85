"""Slots, with Optuna's own storages: what counts, who runs, what is lost and comes back."""

import itertools
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.study import Study
from optuna.trial import TrialState

from bench.tuning import slots
from bench.tuning.heartbeat import CHECKS, Heartbeat
from bench.tuning.storage import open_storage


@pytest.fixture(autouse=True)
def silence() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study in a journal."""
    storage = open_storage(str(tmp_path / "study.log"), create=True, wait=False)
    return optuna.create_study(storage=storage, study_name="s", direction="maximize")


def another(study: Study, tmp_path: Path) -> Study:
    """The same study as another worker sees it."""
    storage = open_storage(str(tmp_path / "study.log"), create=False, wait=False)
    return optuna.load_study(storage=storage, study_name="s")


def finish(study: Study, trial_id: int, value: float = 1.0) -> None:
    study._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [value])


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


def test_as_many_are_claimed_as_wanted_and_none_twice(study: Study, tmp_path: Path) -> None:
    claimed: list[int] = []

    def work() -> None:
        mine = another(study, tmp_path)
        while (trial := slots.claim(mine, 40)) is not None:
            claimed.append(trial)
            finish(mine, trial)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(claimed) == len(set(claimed)) == 40
    slots.retire_surplus(study, 40)
    assert states(study).count("COMPLETE") == 40
    assert not {"RUNNING", "WAITING"} & set(states(study))


def test_what_is_added_too_much_never_runs_and_is_retired(study: Study) -> None:
    for _ in range(4):  # as by workers that start at one moment
        slots.add(study)
    for _ in range(2):
        trial = slots.claim(study, 2)
        assert trial is not None
        finish(study, trial)
    assert slots.claim(study, 2) is None
    assert slots.Slots(study.get_trials(), 2).complete
    slots.retire_surplus(study, 2)
    assert states(study) == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]
    assert slots.claim(study, 3) is not None
    assert states(study)[4:] == ["RUNNING"]


def test_a_lost_trial_is_run_again_in_its_slot_with_its_values(study: Study) -> None:
    first = slots.claim(study, 2)
    assert first is not None
    optuna.trial.Trial(study, first).suggest_float("x", 0, 1)
    lost = study.trials[0].params
    slots.give_up(study, first)
    again = slots.claim(study, 2)
    assert again is not None
    assert optuna.trial.Trial(study, again).suggest_float("x", 0, 1) == lost["x"]
    assert slots.slot_of(study.trials[1]) == 0
    finish(study, again)
    second = slots.claim(study, 2)
    assert second is not None
    finish(study, second)
    assert slots.claim(study, 2) is None
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert slots.Slots(study.get_trials(), 2).complete


def test_several_reapers_at_once_give_one_retry(study: Study, tmp_path: Path) -> None:
    trial = slots.claim(study, 3)
    assert trial is not None
    together = threading.Barrier(6)
    ran: list[int] = []

    def reap() -> None:
        mine = another(study, tmp_path)
        together.wait()
        slots.give_up(mine, trial)
        while (claimed := slots.claim(mine, 3)) is not None:
            ran.append(claimed)
            finish(mine, claimed)

    reapers = [threading.Thread(target=reap) for _ in range(6)]
    for reaper in reapers:
        reaper.start()
    for reaper in reapers:
        reaper.join()
    found = study.get_trials()
    complete = [t for t in found if t.state == TrialState.COMPLETE]
    assert sorted(slots.slot_of(t) for t in complete)[0] == 0
    assert len({slots.slot_of(t) for t in complete}) == len(complete) == 3


def test_who_comes_back_from_the_dead_is_not_heard(study: Study) -> None:
    trial = slots.claim(study, 1)
    assert trial is not None
    slots.give_up(study, trial)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        finish(study, trial)


def test_a_trial_that_takes_three_workers_with_it_is_infeasible(study: Study) -> None:
    for _ in range(slots.LOSSES):
        trial = slots.claim(study, 1)
        assert trial is not None
        slots.give_up(study, trial)
    assert slots.claim(study, 1) is None
    last = study.trials[-1]
    assert last.state == TrialState.COMPLETE
    assert last.constraints == {"lost": 1.0}
    assert slots.is_infeasible(last)


def test_a_trial_that_was_given_back_has_lost_nobody(study: Study) -> None:
    for _ in range(2 * slots.LOSSES):
        trial = slots.claim(study, 1)
        assert trial is not None
        assert slots.end(study, trial, slots.RETURNED, "Ctrl-C")
    assert slots.Slots(study.get_trials(), 1).losses(0) == 0
    assert slots.claim(study, 1) is not None


@pytest.mark.parametrize("jump", [0, -7200, 7200], ids=["", "clock back", "clock ahead"])
def test_a_silent_worker_is_given_up_after_so_many_checks_and_a_live_one_never(
    study: Study, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, calls = time.time, itertools.count()
    monkeypatch.setattr("time.time", lambda: clock() + jump * next(calls))
    silent, alive = slots.claim(study, 2), slots.claim(study, 2)
    assert silent is not None
    assert alive is not None
    watcher = Heartbeat(study, 60)
    for check in range(CHECKS):
        study._storage.set_trial_system_attr(alive, "beat", check)
        watcher.check()
        assert states(study) == ["RUNNING", "RUNNING"]
    study._storage.set_trial_system_attr(alive, "beat", CHECKS)
    watcher.check()
    assert states(study) == ["FAIL", "RUNNING"]
    reason = "the heartbeat of its worker stopped"
    assert study.trials[0].user_attrs == {"reason": reason, "end": "lost"}


def test_an_infeasible_trial_is_no_score_to_samplers_that_know_constraints_or_not(
    study: Study,
) -> None:
    for x in (0.1, 0.2, 0.9):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        if x == 0.9:
            slots.tell_infeasible(study, trial._trial_id, {"parameters": 0.5}, "too large")
        else:
            study.tell(trial, x)
    assert study.best_value == 0.2
    assert study.trials[2].state == TrialState.COMPLETE
    assert study.trials[2].value == -float("inf")
