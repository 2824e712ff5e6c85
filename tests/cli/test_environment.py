"""What the command line sets for the libraries that it loads, and what it leaves to the user."""

import gc
import logging
import os

import pytest

from bench.cli import environment
from bench.cli.common import launched


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment, with nothing in it."""
    empty: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", empty)
    return empty


@pytest.mark.parametrize(("cores", "policy"), [(4, "PASSIVE"), (5, None), (None, "PASSIVE")])
def test_threads_spin_only_where_there_are_cores_enough(
    cores: int | None,
    policy: str | None,
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    environment.set_environment()
    assert variables.get("OMP_WAIT_POLICY") == policy
    assert "OMP_NUM_THREADS" not in variables
    assert variables["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize(("ranks", "threads"), [("1", None), ("2", "4"), ("3", "2"), ("16", "1")])
def test_ranks_of_one_machine_share_its_cores(
    ranks: str, threads: str | None, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    variables["LOCAL_WORLD_SIZE"] = ranks
    environment.set_environment()
    assert variables.get("OMP_NUM_THREADS") == threads


def test_what_the_user_has_set_stays(variables: dict[str, str]) -> None:
    given = {
        "MLFLOW_LOGGING_LEVEL": "DEBUG",
        "OMP_WAIT_POLICY": "ACTIVE",
        "OMP_NUM_THREADS": "3",
        "LOCAL_WORLD_SIZE": "2",
    }
    variables.update(given)
    environment.set_environment()
    assert given.items() <= variables.items()


def test_a_rank_keeps_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not launched(2, "cpu")
    assert not launched(1, "cpu")
    assert logging.root.manager.disable == logging.NOTSET


def test_garbage_is_collected_again_after_the_block() -> None:
    with environment.uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
