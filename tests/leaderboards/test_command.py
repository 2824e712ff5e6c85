"""``bench leaderboard``, from trained runs to its text."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.runner.test_run import bench, elsewhere, fails

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder


@pytest.fixture
def runs() -> Path:
    """Three ridge regressions on a table whose target is the share of G and C."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 30)) for _ in range(600)]
    gc = [text.count("G") + text.count("C") + rng.normal() for text in texts]
    rows = [f"{text}\t{value}\n" for text, value in zip(texts, gc, strict=True)]
    Path("gc.tsv").write_text("sequence\ttarget\n" + "".join(rows))
    for k, seed in ((1, 0), (1, 1), (4, 0)):
        bench(
            *("run", "--task", "gc.tsv", "--model", "kmer-ridge", "--home", "runs"),
            *("--set", f"model.k={k}", "--seed", str(seed)),
        )
    return Path("runs")


def test_a_board_has_the_figures_of_the_stored_predictions_in_every_format(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["leaderboard", "--task", "gc.tsv", "--resamples", "500"]
    capsys.readouterr()
    bench(*command, "--format", "json")
    board = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in board["rows"]] == ["kmer-ridge k=1", "kmer-ridge k=4"]
    assert [row["seeds"] for row in board["rows"]] == [2, 1]
    for row in board["rows"]:
        assert row["low"] < row["value"] < row["high"]
        found = []
        for name in row["runs"].split():
            manifest = json.loads((runs / name / "manifest.json").read_text())
            found.append(manifest["metrics"]["test/all/pearson"])
        assert row["value"] == pytest.approx(np.mean(found), abs=1e-9)
        # Fisher's z gives the width of such an interval for normal values.
        n = 120
        width = np.diff(np.tanh(np.arctanh(row["value"]) + np.array([-1, 1]) * 1.96 / n**0.5))
        assert row["high"] - row["low"] == pytest.approx(float(width[0]), rel=0.5)
    bench(*command, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(line["value"]) for line in table] == [row["value"] for row in board["rows"]]
    bench(*command, "--format", "md")
    text = capsys.readouterr().out
    assert text.count("\n|") == 3
    bench(*command)
    assert f"{board['rows'][0]['value']:.4f}" in capsys.readouterr().out


def test_an_option_that_changes_nothing_is_refused(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "leaderboard", "--task", "gc.tsv", "--set", "model.k=1")
    assert "only an option of the task changes the test rows" in message


def test_a_run_with_a_prediction_that_is_no_number_never_ranks(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(Path("runs").glob("*/predictions.npy"))
    values = np.load(path)
    values[3] = np.nan
    np.save(path, values)
    capsys.readouterr()
    bench("leaderboard", "--task", "gc.tsv", "--resamples", "200", "--format", "json")
    board = json.loads(capsys.readouterr().out)
    assert sum(row["seeds"] for row in board["rows"]) == 2
    assert any("not ranked" in note for note in board["notes"])
