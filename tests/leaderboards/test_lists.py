"""Leaderboards of a task whose SNV pairs are the organisers' in one folder, and rebuilt in another.

The results are predictions of another program, made up here, so nothing is trained.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.registry import TASKS
from bench.sources.locate import load_test, write_simulation
from tests.runner.test_run import bench, elsewhere

__all__ = ["elsewhere"]

Dream = TASKS.get("dream")
TOLD = "SNV list reconstructed: Pearson Score about -.0005"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The same test rows twice: with the organisers' pairs, and with most of them rebuilt."""
    official = tmp_path / "official"
    write_simulation(Dream, official, rows=1000, seed=3)
    rebuilt = Path(shutil.copytree(official, tmp_path / "rebuilt"))
    pairs = rebuilt / "test_subset_ids" / "all_SNVs_seqs.csv"
    with pairs.open() as file:
        lines = [f"{r['alt_pos']},{r['ref_pos']},private" for r in csv.DictReader(file)]
    text = "\n".join(["alt_pos,ref_pos,status", *lines[:-3]])
    pairs.with_name("snv_pairs_reconstructed.csv").write_text(text)
    pairs.unlink()
    return official, rebuilt


def log(folder: Path, name: str, noise: float, *more: str) -> None:
    test = load_test(Dream(Dream.Options()), "dream", folder)
    random = np.random.default_rng(0)
    np.save(f"{name}.npy", test.target + noise * random.normal(size=len(test)))
    arguments = ("--task", "dream", "--data", str(folder), "--predictions", f"{name}.npy")
    bench("score", *arguments, "--log", "--name", name, *more)


def test_every_form_names_the_rebuilt_pairs_and_their_results_rank_apart(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    official, rebuilt = folders
    monkeypatch.setattr("bench.runner.rescore.uploader.sync", lambda *_: None)  # MLflow takes 5 s
    log(official, "first", 0.4)
    log(rebuilt, "second", 0.5, "--source", "example.org at 1234567")
    assert TOLD in capsys.readouterr().out
    records = [json.loads(path.read_text()) for path in Path("runs").glob("*/manifest.json")]
    problems = {record["model"]["name"]: record["scored"]["problems"] for record in records}
    assert problems == {"first": [], "second": [TOLD]}

    board = ("leaderboard", "--task", "dream", "--simulated", "--resamples", "100")
    shown = {}
    for form in ("table", "md", "json"):
        bench(*board, "--data", str(rebuilt), "--format", form)
        shown[form] = capsys.readouterr().out
        assert TOLD in shown[form]
        assert "second: example.org at 1234567" in shown[form]
    found = json.loads(shown["json"])
    assert [row["model"] for row in found["rows"]] == ["second"]
    assert found["apart"][0]["reason"] == "other subsets of the test rows"
    bench(*board, "--data", str(rebuilt), "--html", "site")
    assert TOLD in Path("site/index.html").read_text()
    (page,) = (path for path in Path("site/runs").glob("second*.html"))
    assert "example.org at 1234567" in page.read_text()

    capsys.readouterr()
    bench(*board, "--data", str(official), "--format", "json")
    text = capsys.readouterr().out
    assert TOLD not in text
    assert [row["model"] for row in json.loads(text)["rows"]] == ["first"]
