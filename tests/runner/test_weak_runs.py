"""A run that has learned nothing says so, on the console and in its manifest."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.console import Console
from bench.errors import BenchError
from bench.results.options import Request
from bench.results.run_folder import LOSS_TERMS, LOSSES, read_manifest
from bench.runner import run

TOLD = "the training did not converge: its validation Pearson is"


@pytest.mark.parametrize(
    ("pearson", "told"),
    [(0.3, None), (0.05, None), (0.049, "0.049"), (-0.4, "-0.400"), (None, "0.000")],
)
def test_a_low_correlation_is_a_warning(pearson: float | None, told: str | None) -> None:
    warning = run._weakness({"validation/pearson": pearson, "validation/mse": 1.0})
    assert (warning is None) == (told is None)
    assert told is None or f"{TOLD} {told}." in str(warning)
    assert run._weakness({}) is not None


@pytest.mark.parametrize("least", [-1.0, 1.0])
def test_it_is_told_and_recorded(
    least: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(run, "_LEARNED", least)
    request = Request(
        model="proformer",
        task="dream",
        preset="smoke",
        simulate_rows=1000,
        max_steps=2,
        tested=False,
        device="cpu",
        runs_dir=tmp_path,
    )
    run.execute(request, Console(quiet=True), tracked=False)
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    notes = read_manifest(folder).notes
    assert len(notes) == (least == 1)
    assert ("notes" in json.loads((folder / "manifest.json").read_text())) == (least == 1)
    assert [line for line in capsys.readouterr().err.splitlines() if TOLD in line] == [
        f"bench: {note}" for note in notes
    ]
    terms, losses = np.load(folder / LOSS_TERMS), np.load(folder / LOSSES)
    assert terms.dtype.names == ("expression", "mask_filling")
    np.testing.assert_allclose(terms["expression"] + terms["mask_filling"], losses, rtol=1e-6)
    assert '"train/loss_mask_filling"' in (folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    "settings", [{"weight_decay": "0.1"}, {"warmup": "5", "warmup_unit": "share"}]
)
def test_settings_that_exclude_each_other_write_nothing(
    settings: dict[str, str], tmp_path: Path
) -> None:
    request = Request(
        model="madlab",
        task="dream",
        simulate_rows=1000,
        overrides={"model": {}, "task": {}, "recipe": settings},
        runs_dir=tmp_path / "runs",
    )
    with pytest.raises(BenchError, match=r"^recipe\.w"):
        run.execute(request, tracked=False)
    assert not (tmp_path / "runs").exists()
