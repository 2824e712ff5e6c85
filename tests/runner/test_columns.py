"""Models with own inputs and outputs, and tasks with further columns, each in one file."""

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from torch.nn import functional

from bench.data.dataset import Dataset, Split
from bench.data.sequences import encode_lines
from bench.model import Batch, TargetScale
from bench.plugin_files import load_plugin_file
from bench.registry import MODELS
from bench.runner.predictor import Predictor
from tests.forked import Done, bench
from tests.runner.bins import Bins, BinsConfig

TESTS = Path(__file__).parents[1]
DYING = """
import os, signal
left, loss = int(os.environ["ACT"] or 0), Bins.loss

def dying_loss(self, batch):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(self, batch)

Bins.loss = dying_loss
"""
SETTINGS = ("--set", "recipe.batch_size=16", "--set", "recipe.epochs=8", "--set", "recipe.lr=0.01")
HERE = ("--device", "cpu", "--checkpoint-minutes", "0", "--no-tracking")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plugins and 260 rows, half of them with whole numbers."""
    folder = tmp_path_factory.mktemp("bins")
    (folder / "bins.py").write_text((TESTS / "runner" / "bins.py").read_text() + DYING)
    generator = np.random.default_rng(0)
    rows = ["sequence\ttarget\tsplit"]
    for number in range(260):
        text = "".join(generator.choice(list("ACGT"), 12))
        mean = min(text.count("G") * 2 + generator.uniform(0, 3), 17)
        split = "train" if number < 200 else "validation" if number < 230 else "test"
        rows.append(f"{text}\t{round(mean) if number % 2 else mean}\t{split}")
    (folder / "table.tsv").write_text("\n".join(rows) + "\n")
    return folder


def run(folder: Path, home: str, act: str = "") -> Done:
    model = ("--plugin", "bins.py", "--model", "bins", "--task", "table.tsv")
    return bench(folder, ("run", *model, *SETTINGS, *HERE, "--home", home), act=act)


def finished(folder: Path, home: str) -> tuple[Path, dict[str, Any]]:
    (manifest,) = (folder / home).glob("*/manifest.json")
    content: dict[str, Any] = json.loads(manifest.read_text())
    assert content["status"] == "finished"
    return manifest.parent, content


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    done = run(folder, "whole")
    assert done.status == 0, done.errors
    return finished(folder, "whole")[0]


@pytest.fixture
def predictor(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Predictor]:
    monkeypatch.setattr(MODELS, "_extra", {})
    monkeypatch.setenv("ACT", "")
    load_plugin_file(folder / "bins.py")
    yield Predictor.load(whole, torch.device("cpu"))
    del sys.modules["bins"]


def test_a_model_with_a_flag_and_bins_learns(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["metrics"]["validation/pearson"] > 0.6
    assert manifest["metrics"]["test/all/pearson"] > 0.6
    losses = np.load(whole / "losses.npy")
    assert losses[0] == pytest.approx(np.log(18), abs=0.4)
    assert losses[-12:].mean() < losses[:12].mean() - 0.3
    assert manifest["cost"]["training_flops_per_sequence"] == 3 * 2 * (49 * 8 + 8 * 18)


def test_it_goes_on_after_a_kill_and_comes_to_the_same(folder: Path, whole: Path) -> None:
    assert run(folder, "killed", act="20").status == -signal.SIGKILL
    again = run(folder, "killed")
    assert again.status == 0, again.errors
    assert "continues after step" in again.errors
    other, _ = finished(folder, "killed")
    for name in ("losses.npy", "predictions.npy", "model.safetensors"):
        assert (other / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_run_of_two_ranks_has_the_losses_of_one(folder: Path, whole: Path) -> None:
    """The oracle is one process with two micro-batches, because each has its own dropout."""
    model = ("--plugin", "bins.py", "--model", "bins", "--task", "table.tsv")
    command = ("run", *model, *SETTINGS, *HERE)
    done = bench(folder, (*command, "--home", "two"), ranks=2)
    assert done.status == 0, done.errors
    cut = bench(folder, (*command, "--home", "cut", "--batch-per-device", "8"))
    assert cut.status == 0, cut.errors
    two, one = (np.load(finished(folder, home)[0] / "losses.npy") for home in ("two", "cut"))
    np.testing.assert_allclose(two, one, rtol=1e-5)


def test_sequences_are_predicted_with_the_flag_at_0(
    folder: Path, whole: Path, predictor: Predictor
) -> None:
    lines = [line.split("\t") for line in (folder / "table.tsv").read_text().splitlines()]
    tested = [cells[0] for cells in lines if cells[2] == "test"]
    (folder / "free.txt").write_text("\n".join(tested) + "\n")
    command = ("predict", "--plugin", "bins.py", "--run", str(whole), "--sequences", "free.txt")
    done = bench(folder, (*command, "--device", "cpu"))
    assert done.status == 0, done.errors
    free = [float(line.split("\t")[1]) for line in done.output.splitlines()]
    np.testing.assert_allclose(free, np.load(whole / "predictions.npy"), rtol=1e-6)
    tokens = torch.from_numpy(encode_lines([text.encode() for text in tested])[0].tokens)
    model = predictor.model.eval()
    by_hand = model(tokens, singleton=torch.zeros(30)).softmax(1) @ torch.arange(18.0)
    np.testing.assert_allclose(free, by_hand.detach(), rtol=1e-5)


def test_the_flag_of_one_row_changes_its_prediction_alone(predictor: Predictor) -> None:
    model = predictor.model.eval()
    tokens = torch.randint(4, (5, 12), dtype=torch.uint8)
    flags = torch.zeros(5, dtype=torch.bool)
    before = model.expectation(model(tokens, singleton=flags))
    flags[3] = True
    changed = model.expectation(model(tokens, singleton=flags)) - before
    assert changed[3].abs() > 1e-3
    assert changed[[0, 1, 2, 4]].abs().max() < 1e-6


def test_the_expectation_and_the_soft_target_are_worked_out_by_hand() -> None:
    model = Bins(BinsConfig(bins=6), 3)
    model.scale = TargetScale(mean=3.0, std=2.0)
    share = torch.tensor([[0, 0.25, 0, 0, 0, 0.75], [0, 0, 1, 0, 0, 0]])  # means 4 and 2
    assert model.expectation(share.log()).tolist() == [0.5, -0.5]
    assert model.soft_target(torch.tensor([3.25, 5.0])).tolist() == [
        [0, 0, 0, 0.75, 0.25, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    tokens, target = torch.zeros(1, 3, dtype=torch.uint8), torch.tensor([0.125])  # raw 3.25
    batch = Batch(tokens, target, {"singleton": torch.zeros(1)})
    model.eval()
    logs = functional.log_softmax(model(tokens, singleton=torch.zeros(1)), dim=1)[0]
    torch.testing.assert_close(model.loss(batch), -(0.75 * logs[3] + 0.25 * logs[4]))


def test_whole_targets_are_flagged_and_unknown_ones_are_not() -> None:
    sequences, _ = encode_lines([b"ACG"] * 4)
    rows = Split(sequences, np.array([3.0, 3.5, 0.0, np.nan]))
    assert Bins.input_columns(BinsConfig(), rows)["singleton"].tolist() == [1, 0, 1, 0]
    assert Bins.Config is BinsConfig


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    shutil.copy(TESTS / "guides" / "cells.py", folder)
    generator = np.random.default_rng(1)
    lines = []
    for number in range(400):
        text = "".join(generator.choice(list("ACGT"), 15))
        cell = ("K562", "HepG2", "GM12878")[number % 3]
        target = text.count("C") + 3 * generator.normal() * (cell == "HepG2")
        split = "train" if number < 250 else "validation" if number < 300 else "test"
        lines.append(f"{split}\t{cell}\t{text}\t{target:.3f}\n")
    (folder / "data").mkdir()
    (folder / "data" / "rows.tsv").write_text("".join(lines))
    return folder


def by_hand(folder: Path, predictions: NDArray[np.float32]) -> dict[str, float]:
    """The oracle correlates predictions with the file's values for each cell line."""
    lines = [line.split("\t") for line in (folder / "data" / "rows.tsv").read_text().splitlines()]
    tested = [cells for cells in lines if cells[0] == "test"]
    found = {}
    for cell in ("GM12878", "HepG2", "K562"):
        rows = [number for number, cells in enumerate(tested) if cells[1] == cell]
        truth = [float(tested[row][3]) for row in rows]
        found[cell] = float(scipy.stats.pearsonr(predictions[rows], truth)[0])
    return found


CELLS = ("--plugin", "cells.py", "--task", "cells")
RUN = ("run", *CELLS, "--model", "kmer-ridge", "--set", "model.k=2", "--no-tracking")


def test_a_task_scores_the_groups_that_its_rows_name(cells: Path) -> None:
    done = bench(cells, (*RUN, "--data", "data"))
    assert done.status == 0, done.errors
    run, manifest = finished(cells, "runs")
    predictions = np.load(run / "predictions.npy")
    wanted = by_hand(cells, predictions)
    assert wanted["K562"] > wanted["HepG2"] + 0.2
    assert manifest["scored"]["n"] == {"all": 100, "GM12878": 33, "HepG2": 33, "K562": 34}
    for cell, pearson in wanted.items():
        assert manifest["metrics"][f"test/{cell}/pearson"] == pytest.approx(pearson, abs=1e-9)
    mean = np.mean(list(wanted.values()))
    assert manifest["metrics"]["test/mean_pearson"] == pytest.approx(mean, abs=1e-9)

    np.savetxt(cells / "theirs.txt", -predictions)
    for what in (("--run", str(run)), ("--task", "cells", "--data", "data")):
        given = () if what[0] == "--run" else ("--predictions", "theirs.txt")
        scored = bench(cells, ("score", "--plugin", "cells.py", *what, *given, "--json"))
        assert scored.status == 0, scored.errors
        told = json.loads(scored.output)
        sign = 1 if what[0] == "--run" else -1
        assert told["mean_pearson"] == pytest.approx(sign * mean, abs=1e-6)
        assert told["subsets"]["HepG2"]["pearson"] == pytest.approx(
            sign * wanted["HepG2"], abs=1e-6
        )


def test_an_encoded_task_keeps_what_its_rows_say(cells: Path) -> None:
    done = bench(
        cells, ("data", "encode", "cells", "--plugin", "cells.py", "--data", "data", "--out", "e")
    )
    assert done.status == 0, done.errors
    test = Dataset.open(cells / "e").test
    assert test.columns["cell"][:3].tolist() == ["K562", "HepG2", "GM12878"]
    done = bench(cells, (*RUN, "--data", "e", "--home", "encoded"))
    assert done.status == 0, done.errors
    run, manifest = finished(cells, "encoded")
    wanted = by_hand(cells, np.load(run / "predictions.npy"))
    assert manifest["metrics"]["test/HepG2/pearson"] == pytest.approx(wanted["HepG2"], abs=1e-9)


READING = '''
"""A model that reads a column of the data set."""
import torch
from bench.cards import ModelCard, Source
from bench.config import settings
from bench.model import Model
from bench.recipe import Recipe

@settings
class Settings:
    pass

class Reading(Model[Settings]):
    columns = ("COLUMN",)
    card = ModelCard(
        summary="small", source=Source(citation="none", url="https://example.org", license="MIT")
    )

    def __init__(self, config, positions):
        super().__init__(config, positions)
        self.letters = torch.nn.Embedding(6, 1)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, tokens, COLUMN):
        return self.letters(tokens.long()).mean(dim=(1, 2)) + COLUMN * self.weight
'''


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("dose", None),
        ("cell", "bench: a model's inputs are numbers; column 'cell' is <U7."),
        (
            "strand",
            "bench: Reading reads the column 'strand' of every row; these rows have: cell, dose.",
        ),
    ],
)
def test_a_model_names_the_columns_that_it_reads(
    cells: Path, column: str, told: str | None
) -> None:
    (cells / f"reading_{column}.py").write_text(READING.replace("COLUMN", column))
    arguments = ("--plugin", f"reading_{column}.py", "--model", f"reading-{column}")
    done = bench(
        cells,
        ("run", *CELLS, *arguments, *SETTINGS, *HERE, "--data", "data", "--home", column),
    )
    assert done.told == ([] if told is None else [told])
    if told is None:
        run, manifest = finished(cells, column)
        (cells / "free.txt").write_text("ACGT\n")
        plugin = ("--plugin", f"reading_{column}.py")
        free = bench(cells, ("predict", *plugin, "--run", str(run), "--sequences", "free.txt"))
        assert free.told == [
            "bench: Reading reads the column 'dose' of every row; these rows have: no columns."
        ]
        assert manifest["metrics"]["test/all/pearson"] > -1
