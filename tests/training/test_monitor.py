"""Snapshots of a training: their times, their content and their decisions."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from bench.cli.signals import SignalStop
from bench.errors import StoppedError
from bench.model import Model
from bench.recipe import Recipe
from bench.training.checkpoints import Checkpoints, State
from bench.training.distributed import ALONE
from bench.training.monitor import Controls, Monitor
from bench.training.schedule import Plan
from bench.training.state import TrainState


class Kept(Checkpoints):
    """Checkpoints that record the saves; a test sets ``due`` and ``cheap``."""

    def __init__(self, *, is_due: bool = False, is_cheap: bool = False) -> None:
        self.is_due, self.is_cheap = is_due, is_cheap
        self.states: list[State] = []

    @property
    def due(self) -> bool:
        return self.is_due

    @property
    def cheap(self) -> bool:
        return self.is_cheap

    def save(self, step: int, state: State) -> None:
        assert state["step"] == step
        self.states.append(state)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 50.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def state(steps: int = 1000) -> TrainState:
    model = Model(None, 1)
    model.weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return TrainState(model, optimizer, Recipe(), Plan(steps, 100, 0), ALONE)


def validated(state: TrainState, pearson: float) -> None:
    state.note_validation({"validation/pearson": pearson, "validation/mse": 1.0})


def go(state: TrainState, updates: int, clock: Clock, seconds: float, loss: float = 1.0) -> None:
    for _ in range(updates):
        state.losses[state.step] = loss
        state.step += 1
    clock.now += seconds


def test_looks_come_about_once_a_second(clock: Clock) -> None:
    made = state()
    monitor = Monitor(made, Controls())
    for seconds, following in [(0.01, 3), (0.02, 7), (2.0, 9), (0.2, 13), (40.0, 14)]:
        go(made, monitor.next_snapshot - made.step, clock, seconds)
        monitor.snapshot(1)
        assert monitor.next_snapshot == following


def test_a_look_sees_the_mean_loss_and_the_speed_since_the_last(clock: Clock) -> None:
    made = state()
    monitor = Monitor(made, Controls())
    for loss, updates, seconds in [(2.0, 5, 0.5), (7.0, 3, 1.5)]:
        go(made, updates, clock, seconds, loss)
        snapshot = monitor.snapshot(batch=16)
        assert snapshot.loss == pytest.approx(loss)
        assert snapshot.sequences_per_second == pytest.approx(16 * updates / seconds)
        assert (snapshot.finite, snapshot.late, snapshot.signal, snapshot.save) == (
            True,
            False,
            0,
            False,
        )
    go(made, 1, clock, 1, float("inf"))
    assert not monitor.snapshot(16).finite


def test_time_counts_over_pauses_and_processes(clock: Clock) -> None:
    made = state()
    made.seconds = 100.0  # of an earlier process
    monitor = Monitor(made, Controls(max_seconds=107))
    go(made, 1, clock, 4)
    assert (monitor.seconds, monitor.snapshot(1).late) == (104, False)
    monitor.pause()
    clock.now += 50
    monitor.resume()
    assert (monitor.seconds, made.seconds, made.validation_seconds) == (104, 104, 50)
    go(made, 1, clock, 2)
    snapshot = monitor.snapshot(4)
    assert snapshot.sequences_per_second == pytest.approx(4 / 2)
    assert not snapshot.late
    go(made, 1, clock, 2)
    assert monitor.snapshot(1).late
    assert monitor.seconds == 108


@pytest.mark.parametrize(
    ("due", "cheap", "epoch_ends", "saved"),
    [
        (False, False, True, 0),
        (False, True, False, 0),
        (False, True, True, 1),
        (True, False, False, 1),
        (True, False, True, 1),
    ],
)
def test_a_state_is_kept_when_it_is_due_and_at_epochs_that_were_long_enough(
    clock: Clock, due: bool, cheap: bool, epoch_ends: bool, saved: int
) -> None:
    made, kept = state(), Kept(is_due=due, is_cheap=cheap)
    monitor = Monitor(made, Controls(checkpoints=kept))
    go(made, 2, clock, 3)
    monitor.save(monitor.snapshot(1), epoch_ends=epoch_ends)
    assert len(kept.states) == saved
    assert all(state["seconds"] == 3 for state in kept.states)


def test_nothing_is_kept_where_nothing_is_to_be(clock: Clock) -> None:
    made = state()
    monitor = Monitor(made, Controls())
    go(made, 1, clock, 1)
    monitor.save(monitor.snapshot(1), epoch_ends=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_noted_then_saved_and_raised(clock: Clock, number: int) -> None:
    made, kept = state(), Kept()
    with SignalStop() as stop:
        monitor = Monitor(made, Controls(checkpoints=kept, stop=stop))
        go(made, 3, clock, 1)
        signal.raise_signal(number)
        snapshot = monitor.snapshot(1)
        with pytest.raises(StoppedError, match=r"stopped after step 3\.") as stopped:
            monitor.save(snapshot, epoch_ends=False)
    assert stopped.value.exit_status == 128 + number
    assert [state["step"] for state in kept.states] == [3]


def test_signals_are_as_they_were_after_the_block() -> None:
    handlers: list[Any] = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with SignalStop():
        assert signal.getsignal(signal.SIGTERM) not in handlers
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers


@pytest.mark.parametrize(
    ("first", "second", "obeyed"),
    [
        (signal.SIGINT, signal.SIGINT, True),
        (signal.SIGTERM, signal.SIGTERM, False),
        (signal.SIGINT, signal.SIGTERM, False),
    ],
)
def test_a_second_interrupt_is_obeyed_at_once(first: int, second: int, obeyed: bool) -> None:
    def both() -> None:
        with SignalStop() as stop:
            signal.raise_signal(first)
            signal.raise_signal(second)
            assert stop.asked == first

    if obeyed:
        with pytest.raises(KeyboardInterrupt):
            both()
    else:
        both()


def test_a_state_goes_back_to_what_it_was(clock: Clock) -> None:
    """A checkpoint restores the whole state, and later steps do not change it."""
    made = state(10)
    weight: Callable[[TrainState], float] = lambda c: next(c._model.parameters()).item()  # noqa: E731
    next(made._model.parameters()).data[:] = 3.0
    go(made, 4, clock, 1, 2.5)
    made.share_losses()
    validated(made, 0.5)
    next(made._model.parameters()).data[:] = 4.0
    made.seconds, made.validation_seconds = 7.0, 8.0
    validated(made, 0.4)
    validated(made, float("nan"))
    again = state(10)
    again.restore(made.state())
    assert (again.step, again.best, again.best_step) == (4, 0.5, 4)
    assert (again.seconds, again.validation_seconds) == (7.0, 8.0)
    assert again.losses.tolist() == [2.5] * 4 + [0.0] * 6
    assert weight(again) == 4.0
    assert again.finish() == 4
    assert weight(again) == 3.0
