"""The notebook runs in a real kernel, and a cell that is run again trains only where it must."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.tools.documents import ROOT

NOTEBOOK = Path(__file__).parent / "first_steps.ipynb"
CLASS = """
import torch, bench
from torch import nn

WIDTH = 4

def summed(x):
    return x.mean(dim=1)

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters = nn.Embedding(6, WIDTH)

    def forward(self, tokens):
        return summed(self.letters(tokens.long()))

@bench.settings
class EditedConfig:
    depth: int = bench.setting(1, "unused")

    @property
    def gain(self):
        return 1.5

class Edited(bench.Model[EditedConfig]):
    def __init__(self, config, positions):
        super().__init__(config, positions)
        self.block = Block()
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, tokens):
        return self.config.gain * self.head(self.block(tokens)).squeeze(1)
"""
ROWS = """
import numpy as np
random = np.random.default_rng(0)
texts = ["".join(random.choice(list("ACGT"), 12)) for _ in range(120)]
rows = bench.Split.of(texts, [text.count("G") for text in texts])
data = bench.Dataset(name="counts", train=rows, validation=rows, test=rows)
"""
RUN = 'bench.run(Edited, data, recipe_options={"epochs": 1, "batch_size": 32}, device="cpu").id'


def client(folder: Path, cells: list[Any], monkeypatch: pytest.MonkeyPatch) -> NotebookClient:
    """Return a kernel's client for some cells; it works in a folder of its own."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    monkeypatch.delenv("BENCH_HOME", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    where = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotebookClient]:
    """Return a running kernel that has the class and the rows."""
    found = client(tmp_path, [], monkeypatch)
    with found.setup_kernel():
        run(found, CLASS)
        run(found, ROWS)
        yield found


def run(shell: NotebookClient, code: str) -> str:
    """Run a cell; return what it shows."""
    cell = nbformat.v4.new_code_cell(code)
    shell.nb.cells.append(cell)
    shell.execute_cell(cell, len(shell.nb.cells) - 1)
    return "".join(part["data"]["text/plain"] for part in cell.outputs if "data" in part)


def test_the_notebook_is_stored_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert NOTEBOOK.stat().st_size < 20_000


def test_the_notebook_runs_and_shows_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    done = client(tmp_path, notebook.cells, monkeypatch).execute()
    shown: dict[str, Any] = {
        cell.source.splitlines()[-1]: next((o.data for o in cell.outputs if "data" in o), {})
        for cell in done.cells
        if cell.cell_type == "code"
    }
    for name in ("ridge", "net", "scores", "comparison", "own", "found"):
        assert "<table" in shown[name]["text/html"], name
        assert "<" not in shown[name]["text/plain"], name
    assert "test/all/pearson" in shown["net"]["text/html"]
    assert "test/all/pearson" in shown["own"]["text/plain"]
    assert "(4, 6)" in shown["net.history"]["text/html"]  # four epochs
    board = shown["board.table()"]["text/html"]
    assert board.index("kmer-ridge") < board.index("motif-net")
    assert shown["comparison.verdict"]["text/plain"].startswith("'A is better on pearson_score by ")
    assert "(4, " in shown["found.trials()"]["text/html"]  # four trials
    assert "(1, " in shown['bench.list_runs(task="my-rows")']["text/html"]  # and no run of a trial
    assert len(shown["figure.tight_layout()"]["image/png"]) > 10_000
    told = [o for cell in done.cells for o in cell.get("outputs", []) if o.output_type == "stream"]
    assert not [part.text for part in told if part.name == "stdout"]
    assert len(list((tmp_path / "runs").glob("*/manifest.json"))) == 3


def test_an_unchanged_cell_returns_the_finished_run(shell: NotebookClient) -> None:
    first = run(shell, RUN)
    assert "edited-counts-s0" in first
    assert run(shell, RUN) == first
    run(shell, CLASS)
    run(shell, ROWS)
    assert run(shell, RUN) == first


EDITS = (
    (".squeeze(1)", ".squeeze(1) * 2"),  # a method of the class
    ("x.mean(dim=1)", "x.sum(dim=1)"),  # a function
    ("self.letters(tokens.long())", "self.letters(tokens.long()).relu()"),  # another class
    ("WIDTH = 4", "WIDTH = 8"),  # a value
    ("return 1.5", "return 2.5"),  # a property of the settings
)


def test_an_edited_cell_trains_anew(shell: NotebookClient) -> None:
    """Whatever the class uses of the notebook counts; going back finds the first run."""
    names = [run(shell, RUN)]
    for old, new in EDITS:
        assert old in CLASS
        run(shell, CLASS.replace(old, new))
        names.append(run(shell, RUN))
    assert len(set(names)) == 1 + len(EDITS)
    run(shell, CLASS)
    assert run(shell, RUN) == names[0]


def test_a_run_on_rows_in_memory_is_scored_again(shell: NotebookClient) -> None:
    name = run(shell, RUN)
    again = f"run = bench.load_run({name}); bench.evaluate(run).n"
    assert run(shell, again) == "120"


def test_a_new_kernel_loads_a_run_by_its_class(shell: NotebookClient) -> None:
    name = run(shell, RUN)
    run(shell, "from bench.registry import MODELS; MODELS._at_hand.clear()")  # as after a restart
    loaded = f"run = bench.load_run({name}, model=Edited); run.predict(['ACGTACGTACGT']).shape"
    assert run(shell, loaded) == "(1,)"
