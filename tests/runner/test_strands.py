"""Runs whose recipes name strands, views and a transform, against strings, NumPy and SciPy."""

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from safetensors.numpy import load_file

import bench as api
from bench.plugin_files import load_plugin_file
from bench.registry import MODELS
from tests.forked import Done, bench

PLUGIN = Path(__file__).with_name("stranded.py")
DYING = """
import os, signal
left, loss = int(os.environ.get("ACT") or 0), Stranded.loss

def dying_loss(self, batch):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(self, batch)

Stranded.loss = dying_loss
from bench.runner import profiling
profiling._SECONDS = 0.1
"""
MODEL = ("--plugin", "stranded.py", "--model", "stranded", "--task", "table.tsv")
BUDGET = ("--set", "recipe.batch_size=16", "--set", "recipe.epochs=4", "--set", "recipe.lr=0.01")
HERE = ("--device", "cpu", "--checkpoint-minutes", "0", "--no-tracking")
AVERAGED = {
    "strands": "both",
    "average_strands": True,
    "average_shifts": 1,
    "output": "normal_cdf",
    "output_shift": 0.062,
}


def spelt(recipe: Mapping[str, object]) -> list[str]:
    return [word for k, v in recipe.items() for word in ("--set", f"recipe.{k}={v}".lower())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plugin and 260 rows of 8 to 12 letters."""
    folder = tmp_path_factory.mktemp("strands")
    (folder / "stranded.py").write_text(PLUGIN.read_text() + DYING)
    generator = np.random.default_rng(0)
    lines = ["sequence\ttarget\tsplit"]
    for number in range(260):
        text = "".join(generator.choice(list("ACGT"), 8 + number % 5))
        target = text.count("G") - text[:4].count("C") + generator.normal(5, 0.3)
        split = "train" if number < 200 else "validation" if number < 230 else "test"
        lines.append(f"{text}\t{target:.3f}\t{split}")
    (folder / "table.tsv").write_text("\n".join(lines) + "\n")
    return folder


def run(folder: Path, home: str, recipe: Mapping[str, object], act: str = "", **more: int) -> Done:
    words = ("run", *MODEL, *BUDGET, *spelt(recipe), *HERE, "--home", home)
    return bench(folder, words, act=act, **more)


def finished(folder: Path, home: str) -> tuple[Path, dict[str, Any]]:
    (path,) = (folder / home).glob("*/manifest.json")
    manifest: dict[str, Any] = json.loads(path.read_text())
    assert manifest["status"] == "finished"
    return path.parent, manifest


@pytest.fixture(scope="module")
def averaged(folder: Path) -> Path:
    done = run(folder, "averaged", AVERAGED)
    assert done.status == 0, done.errors
    return finished(folder, "averaged")[0]


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    done = run(folder, "plain", {})
    assert done.status == 0, done.errors
    return finished(folder, "plain")[0]


@pytest.fixture
def plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(MODELS, "_extra", {})
    load_plugin_file(folder / "stranded.py")
    yield
    del sys.modules["stranded"]


def texts(folder: Path, split: str) -> list[str]:
    lines = [line.split("\t") for line in (folder / "table.tsv").read_text().splitlines()]
    return [cells[0] for cells in lines if cells[2] == split]


def turned(text: str) -> str:
    return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def by_hand(path: Path, texts: list[str], shifts: int, *, strands: bool) -> NDArray[np.float64]:
    """Return standardized predictions of a run's weights, computed without bench and torch."""
    weights = load_file(path / "model.safetensors")
    found = []
    for text in texts:
        plasmid = "N" * 20 + "GATTACA" + text + "N" * 20
        values = []
        for shift in range(-shifts, shifts + 1):
            end = len(plasmid) - 20 + shift
            window = plasmid[end - 16 : end]
            for flag in range(1 + strands):
                letters = ["ACGTN".index(base) for base in (turned(window) if flag else window)]
                x = np.append(weights["letters.weight"][letters].ravel(), [0, flag])
                x = np.maximum(weights["hidden.weight"] @ x + weights["hidden.bias"], 0)
                values.append((weights["head.weight"] @ x + weights["head.bias"]).item())
        found.append(np.mean(values))
    return np.array(found)


def test_a_run_trains_on_both_strands_and_records_its_recipe(averaged: Path, plain: Path) -> None:
    both, forward = (json.loads((p / "manifest.json").read_text()) for p in (averaged, plain))
    assert both["plan"]["steps"] == 4 * (400 // 16)
    assert forward["plan"]["steps"] == 4 * (200 // 16)
    assert both["data"]["rows"]["train"] == forward["data"]["rows"]["train"] == 200
    assert {name: both["recipe"][name] for name in AVERAGED} == AVERAGED
    assert both["track"] == "open"
    assert both["metrics"]["test/all/pearson"] > 0.5


def predicted(folder: Path, path: Path) -> NDArray[np.float64]:
    (folder / "free.txt").write_text("\n".join(texts(folder, "test")) + "\n")
    words = ("predict", "--plugin", "stranded.py", "--run", str(path), "--sequences", "free.txt")
    done = bench(folder, (*words, "--device", "cpu"))
    assert done.status == 0, done.errors
    return np.array([float(line.split("\t")[1]) for line in done.output.splitlines()])


def test_every_way_to_predict_follows_the_recipe_of_the_run(
    folder: Path, averaged: Path, plain: Path, plugin: None
) -> None:
    for path in (averaged, plain):
        target = json.loads((path / "manifest.json").read_text())["target"]
        z = by_hand(path, texts(folder, "test"), 1, strands=True)
        wanted = scipy.stats.norm.cdf(z - 0.062)
        if path == plain:
            wanted = by_hand(path, texts(folder, "test"), 0, strands=False)
        wanted = wanted * target["deviation"] + target["mean"]
        np.testing.assert_allclose(np.load(path / "predictions.npy"), wanted, rtol=1e-5)
        np.testing.assert_allclose(predicted(folder, path), wanted, rtol=1e-5)
        run = api.load_run(path)
        np.testing.assert_allclose(run.predict(texts(folder, "test")), wanted, rtol=1e-5)
        few = [run.predict([text], device="cpu")[0] for text in texts(folder, "test")[:3]]
        np.testing.assert_allclose(few, wanted[:3], rtol=1e-5)


def test_validation_chooses_by_averaged_and_transformed_predictions(
    folder: Path, averaged: Path
) -> None:
    z = by_hand(averaged, texts(folder, "validation"), 1, strands=True)
    lines = [line.split("\t") for line in (folder / "table.tsv").read_text().splitlines()]
    target = [float(cells[1]) for cells in lines if cells[2] == "validation"]
    metrics = json.loads((averaged / "manifest.json").read_text())["metrics"]
    for name, values in (("pearson", scipy.stats.norm.cdf(z - 0.062)), ("spearman", z)):
        wanted = getattr(scipy.stats, f"{name}r")(values, target)[0]
        assert metrics[f"validation/{name}"] == pytest.approx(wanted, abs=1e-5)


def test_random_strands_go_on_after_a_kill_and_are_the_same_on_two_ranks(folder: Path) -> None:
    recipe = {"strands": "random", "average_strands": True}
    assert run(folder, "killed", recipe, act="20").status == -signal.SIGKILL
    again = run(folder, "killed", recipe)
    assert "continues after step" in again.errors
    assert run(folder, "whole", recipe).status == 0
    assert run(folder, "ranks", recipe, ranks=2).status == 0
    killed, whole, ranks = (finished(folder, home)[0] for home in ("killed", "whole", "ranks"))
    for name in ("losses.npy", "predictions.npy", "model.safetensors"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    two, one = (np.load(path / "losses.npy") for path in (ranks, whole))
    np.testing.assert_allclose(two, one, rtol=1e-4)
    two, one = (np.load(path / "predictions.npy") for path in (ranks, whole))
    np.testing.assert_allclose(two, one, rtol=1e-3)


def test_a_plan_and_a_profile_count_both_strands_of_a_pair(folder: Path) -> None:
    flops = {}
    for strands in ("forward", "both", "paired"):
        words = (*MODEL, *BUDGET, *spelt({"strands": strands}), "--device", "cpu", "--json")
        done = bench(folder, ("plan", *words))
        assert done.status == 0, done.errors
        plan = json.loads(done.output)
        assert plan["plan"]["steps"] == (100 if strands == "both" else 48)
        flops[strands] = plan["training_flops_per_sequence"]
    once = 3 * 2 * 66 * 8 + 3 * 2 * 8  # 16 letters of four numbers and two flags; 8 hidden units
    assert flops == {"forward": once, "both": once, "paired": 2 * once}
    words = (*MODEL, *BUDGET, *spelt({"strands": "paired"}), "--device", "cpu", "--json")
    done = bench(folder, ("profile", *words, "--out", "trace.json"))
    assert done.status == 0, done.errors


def test_strands_are_searched(folder: Path) -> None:
    spaces = ("recipe.strands=forward,both", "recipe.lr=0.01", "recipe.clip_norm=1.0")
    varied = [word for space in spaces for word in ("--space", space)]
    fixed = ("--set", "recipe.batch_size=16", "--epochs", "2", "--trials", "2")
    given = (*fixed, "--sampler", "grid", "--device", "cpu", "--no-tracking")
    done = bench(folder, ("search", *MODEL, *varied, *given, "--home", "searched"))
    assert done.status == 0, done.errors
    steps = sorted(
        json.loads(path.read_text())["plan"]["steps"]
        for path in (folder / "searched").rglob("manifest.json")
    )
    assert steps == [24, 50]


def test_a_shift_beyond_the_window_is_one_line(folder: Path) -> None:
    done = run(folder, "beyond", {"average_shifts": 16})
    assert done.status == 2
    assert done.told == [
        "bench: --set recipe.average_shifts is 16, but a window of 16 nt that is moved so far may "
        "hold no base. Try --set recipe.average_shifts=15."
    ]
    assert not list((folder / "beyond").glob("*"))
