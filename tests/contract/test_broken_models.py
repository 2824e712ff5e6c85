"""Models that are broken on purpose: the right check fails, and no other one does."""

import inspect
import random

import numpy as np
import pytest
import torch
from torch import nn

from bench.contract.report import Report
from bench.contract.suite import check
from bench.contract.targets import Target
from bench.model import Model
from tests.contract import broken_models as broken
from tests.contract import subtle_faults as subtle

QUICKLY = {
    *(broken.Good, broken.UnusedParameter, broken.LeakAcrossTheBatch, broken.WrongShape),
    *(broken.NanAtLongInput, broken.NoiseInEvaluation, broken.NumpyNoise, broken.NotCompilable),
    *(broken.ListOfModules, broken.DeviceInForward, broken.InPlace, broken.QuantizedHead),
}
CASES = [
    pytest.param(kind, faults, id=kind.__name__, marks=() if kind in QUICKLY else pytest.mark.slow)
    for kind, faults in broken.FAULTS.items()
]


def checked(kind: type[Model]) -> Report:
    what = f"{inspect.getfile(kind)}:{kind.__name__}"
    return check(Target("model", kind.__name__, kind, what), full=False)


@pytest.mark.parametrize(("kind", "faults"), CASES)
def test_the_right_check_fails(
    kind: type[Model], faults: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    report = checked(kind)
    told = {found.check: found.text for found in report.findings}
    assert set(report.failed) == faults, told
    assert all(told[check] and "\n" not in told[check] for check in report.failed)
    assert not any("Traceback" in text for text in told.values())
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "cause"), subtle.CAUSES.items())
def test_the_cause_of_a_subtle_fault_is_named(
    kind: type[Model], cause: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The check of the cause fails, alone, and its one line tells what to change."""
    check_name, words = cause
    told = {
        found.check: found.text for found in checked(kind).findings if found.outcome == "failed"
    }
    assert list(told) == [check_name], told
    assert words in told[check_name]
    assert "\n" not in told[check_name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "faults"), subtle.SOUND.items())
def test_an_odd_model_that_is_sound_passes(kind: type[Model], faults: set[str]) -> None:
    report = checked(kind)
    assert set(report.failed) == faults, [
        found for found in report.findings if found.outcome == "failed"
    ]


def test_declared_noise_and_idle_parameters_pass() -> None:
    assert checked(broken.Declared).failed == []


def test_every_check_has_a_model_that_fails_it() -> None:
    named = set().union(*broken.FAULTS.values(), {check for check, _ in subtle.CAUSES.values()})
    every = {found.check for found in checked(broken.Good).findings}
    figures = {"settings in use", "strand consistency", "size", "speed and memory"}
    training = {"overfits one batch", "planted motif"}
    # A fault of these shows in another check before, or is one of settings and cards.
    others = {"card", "presets and recipes", "builds", "resume"}
    assert every - figures - training - others <= named


def test_the_state_of_random_numbers_is_left_alone() -> None:
    def states() -> tuple[object, ...]:
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]

    before = states()
    checked(broken.WrongShape)
    assert states() == before
    assert nn.Linear(1, 1).weight.requires_grad
