"""The losses of the first steps of every model that is trained, against stored ones.

A change of these losses is a change of the training: results of before and after are no longer the
same run. Then raise ``TRAINING`` in bench/training/version.py and store the new losses by

    python -m tests.training.test_golden_losses
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.training.version import TRAINING

GOLDEN = Path(__file__).with_name("golden_losses.json")
STEPS = 8
RUNS: dict[str, dict[str, Any]] = {
    "proformer": {"model": "proformer", "model_options": {"dropout": 0.1}},
    "proformer pooled": {
        "model": "proformer",
        "model_options": {"head": "pool", "mask_ratio": 0},
        "batch_per_device": 32,
    },
    "madlab": {"model": "madlab"},
    "madlab paper": {
        "model": "madlab",
        "recipe": "paper",
        "recipe_options": {"batch_size": 64, "passes": 1, "lr": 2e-3},
    },
}


def losses(name: str, folder: Path) -> list[float]:
    """Return the losses of the first steps, in one process on the CPU."""
    run = bench.run(
        **RUNS[name],
        task="dream",
        simulate_rows=1000,
        preset="smoke",
        max_steps=STEPS,
        tested=False,
        device="cpu",
        runs_dir=folder,
    )
    assert run.losses is not None
    return [float(loss) for loss in run.losses]


@pytest.mark.parametrize("name", RUNS)
def test_losses_are_those_of_this_version_of_the_training(name: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = losses(name, tmp_path)
    wanted = golden["losses"][name]
    assert len(found) == STEPS
    # Other processors sum in another order: 1e-7 at first, 1e-6 after fifteen steps.
    same = np.allclose(found, wanted, rtol=1e-5, atol=0)
    assert same, (
        f"{name}: losses {found}, stored {wanted}. If the training is meant to change, raise "
        "TRAINING in bench/training/version.py and store them as this file's docstring says."
    )


def test_stored_losses_belong_to_this_version_of_the_training() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden["training"] == TRAINING
    assert list(golden["losses"]) == list(RUNS)


def _store() -> None:
    """Store the current losses; fail if they changed and the version did not."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found = {name: losses(name, Path(folder)) for name in RUNS}
    if GOLDEN.is_file():
        golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
        shared = [name for name in RUNS if name in golden["losses"]]
        changed = [
            name
            for name in shared
            if not np.allclose(found[name], golden["losses"][name], rtol=1e-5, atol=0)
        ]
        if changed and golden["training"] == TRAINING:
            sys.exit(f"{', '.join(changed)}: raise TRAINING in bench/training/version.py first.")
    GOLDEN.write_text(json.dumps({"training": TRAINING, "losses": found}, indent=1) + "\n")


if __name__ == "__main__":
    _store()
