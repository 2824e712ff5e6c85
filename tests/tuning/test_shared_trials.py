"""A trial on its way from rank 0 to the other ranks."""

import json
from pathlib import Path

from bench.results.options import Request
from bench.tuning.shared_trials import packed, unpacked
from bench.tuning.trial import TrialJob

REQUEST = Request(
    model="peak",
    task="table.tsv",
    recipe="paper",
    preset="smoke",
    overrides={"model": {"dim": "64"}, "recipe": {"lr": "0.1"}},
    data=Path("a folder"),
    test_data=Path("/elsewhere"),
    download=True,
    simulate_rows=2000,
    fraction=0.1 + 0.2,
    seed=7,
    epochs=3,
    max_steps=11,
    max_seconds=1.5,
    tested=False,
    device="cuda:1",
    batch_per_device=4,
    compiled=True,
    checkpoint_minutes=2.5,
    runs_dir=Path("runs"),
    resume=Path("runs/x"),
    weights=Path("trained.h5"),
    force=True,
    study={"name": "s", "trial": 3},
    tuned={"study": "s", "trials": 3, "device_hours": 0.5},
)


def test_a_trial_arrives_as_it_was_sent() -> None:
    jobs = [TrialJob((REQUEST, Request(model="m", task="t")), 4, 1.5)]
    jobs.append(TrialJob(()))
    for job in jobs:
        assert unpacked(packed(job)) == job
    assert json.loads(packed(jobs[0]))["requests"][0]["data"] == "a folder"


def test_every_option_of_a_request_is_in_the_test() -> None:
    plain = Request(model="m", task="t")
    same = [name for name, value in vars(REQUEST).items() if value == getattr(plain, name)]
    assert same == []


def test_the_end_of_a_search_arrives() -> None:
    assert unpacked(packed(None)) is None
