"""The guides of CONTRIBUTING.md are true: the document shows the files here, and they work."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from tests.forked import Done, bench
from tests.test_house import LAYERS
from tests.tools.documents import blocks, commands

HERE = Path(__file__).parent
GUIDE = "CONTRIBUTING.md"
FILES = ("tiny.py", "cells.py", "median_error.py")
TINY, CELLS, ERRORS, BOARD, BOARD_BY_MSE = range(5)
LINES = ("K562", "HepG2", "GM12878")
SPLITS = ("train", "train", "train", "validation", "test", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the guides' files and rows for the two tasks."""
    folder = tmp_path_factory.mktemp("guides")
    for name in FILES:
        shutil.copy(HERE / name, folder)
    random = np.random.default_rng(0)
    for task in ("cells", "errors"):
        lines = []
        for number in range(600):
            text = "".join(random.choice(list("ACGT"), 20))
            value = text.count("GC") + random.normal() * (1 + number % 3)
            cell = (LINES[number % 3],) if task == "cells" else ()
            row = (SPLITS[number // 3 % 6], *cell, text, f"{value:.3f}")
            lines.append("\t".join(row) + "\n")
        (folder / task).mkdir()
        (folder / task / "rows.tsv").write_text("".join(lines))
    return folder


def rows_to_score(folder: Path, task: str) -> list[list[str]]:
    rows = [line.split("\t") for line in (folder / task / "rows.tsv").read_text().splitlines()]
    return [row for row in rows if row[0] == "test"]


def called(folder: Path, number: int, *more: str, data: str = "") -> Done:
    """Call a command of the guide, with its placeholder filled in."""
    words = [data if word == "FOLDER" else word for word in commands(GUIDE)[number]]
    done = bench(folder, (*words, *more))
    assert done.status == 0, done.errors
    return done


def outcome(folder: Path, task: str) -> tuple[dict[str, Any], NDArray[np.float32]]:
    (path,) = folder.glob(f"runs/kmer-ridge-{task}-*")
    manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    return manifest["metrics"], np.load(path / "predictions.npy")


def test_the_guide_shows_the_files_that_are_tested() -> None:
    assert blocks(GUIDE, "python") == [(HERE / name).read_text() for name in FILES]


def test_the_picture_of_the_house_has_its_rooms_in_order() -> None:
    (picture,) = blocks(GUIDE, "text")
    layers: list[list[str]] = [[]]
    for line in picture.splitlines():
        if set(line) == {"-"}:
            layers.append([])
            continue
        room, words = line.split(maxsplit=1)
        assert len(words) > 10, line
        layers[-1].append(room)
    assert tuple(map(tuple, layers)) == LAYERS


def test_the_guides_model_trains(folder: Path) -> None:
    done = called(folder, TINY, "--rows", "2000", "--set", "recipe.batch_size=64", "--no-tracking")
    assert "validation" in done.output + done.errors
    (path,) = folder.glob("runs/tiny-dream-simulated-*")
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["model"]["config"] == {"filters": 32}
    assert manifest["model"]["parameters"] == 6 * 8 + (8 * 9 + 1) * 32 + 32 + 1
    assert len(np.load(path / "losses.npy")) <= 200
    assert manifest["metrics"]["test/all/pearson"] > 0.1


def test_the_guides_task_scores_every_cell_line(folder: Path) -> None:
    called(folder, CELLS, "--set", "model.k=2", "--no-tracking", data="cells")
    metrics, predictions = outcome(folder, "cells")
    rows = rows_to_score(folder, "cells")
    wanted = []
    for name in LINES:
        here = [number for number, row in enumerate(rows) if row[1] == name]
        truth = [float(rows[number][3]) for number in here]
        wanted.append(float(scipy.stats.pearsonr(predictions[here], truth)[0]))
        assert metrics[f"test/{name}/pearson"] == pytest.approx(wanted[-1], abs=1e-9)
    assert wanted[0] > wanted[2] + 0.1  # the noise of a line is its place in the list
    assert metrics["test/mean_pearson"] == pytest.approx(np.mean(wanted), abs=1e-9)
    board = bench(
        folder,
        *[("leaderboard", "--plugin", "cells.py", "--task", "cells", "--data", "cells")],
    )
    assert board.status == 0, board.errors
    assert "mean" in board.output.lower()


def test_the_guides_metric_ranks_the_least_error_first(folder: Path) -> None:
    for k in ("1", "2"):
        called(folder, ERRORS, "--set", f"model.k={k}", "--no-tracking", data="errors")
    truth = np.array([float(row[2]) for row in rows_to_score(folder, "errors")])
    found = {}
    for path in folder.glob("runs/kmer-ridge-median-error-*"):
        manifest = json.loads((path / "manifest.json").read_text())
        error = np.abs(np.load(path / "predictions.npy") - truth)
        k = manifest["model"]["config"]["k"]
        found[k] = {"median_error": float(np.median(error)), "mse": float((error**2).mean())}
        for name, value in found[k].items():
            assert manifest["metrics"][f"test/all/{name}"] == pytest.approx(value, rel=1e-6)
    for number, name in ((BOARD, "median_error"), (BOARD_BY_MSE, "mse")):
        more = ("--group-by", "model.k", "--format", "json")
        ranked = json.loads(called(folder, number, *more, data="errors").output)
        values = [row["value"] for row in ranked["rows"]]
        assert values == pytest.approx(sorted(scores[name] for scores in found.values()))
        assert all(row["low"] < row["value"] < row["high"] for row in ranked["rows"])
