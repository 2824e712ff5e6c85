"""Files of results name code; it runs only if the user names the file, too."""

import json
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.runner.predictor import Predictor
from tests.tuning.helpers import DATA, PEAK, bench, fails

MARK = """
import pathlib
with pathlib.Path({mark!r}).open("a") as file:
    file.write("ran ")
"""


@pytest.fixture
def peak(tmp_path: Path) -> Path:
    """A copy of the plugin that leaves a mark where it is imported."""
    file = tmp_path / "theirs" / "peak.py"
    file.parent.mkdir()
    text = PEAK.read_text().replace("from __future__ import annotations\n", "")
    file.write_text(text + MARK.format(mark=str(tmp_path / "mark")))
    return file


def ran(tmp_path: Path) -> int:
    """Return how often the plugin was imported."""
    mark = tmp_path / "mark"
    return len(mark.read_text().split()) if mark.exists() else 0


def test_code_of_a_study_runs_only_if_it_is_named(
    peak: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench("search", "--plugin", str(peak), "--model", "peak", *DATA, "--trials", "1")
    assert ran(tmp_path) == 1
    (journal,) = Path("runs/studies").glob("*.log")
    place = ("--storage", str(journal))
    for asked in ("--status", "--best"):
        bench("search", asked, *place)
    bench("search", "--export", "x.csv", *place)
    for more in ([], ["--workers", "2"], ["--refit", "1"], ["--trials", "2"]):
        line = fails(capsys, "search", "--resume", "--no-tracking", *place, *more)
        assert line.endswith(
            "needs the model 'peak'. Its code is run only if you name the file: "
            f"add --plugin {peak}, if you trust it."
        )
    assert ran(tmp_path) == 1
    named = ("search", "--plugin", str(peak), "--resume", "--no-tracking", *place)
    bench(*named, "--trials", "2")
    assert ran(tmp_path) == 2
    capsys.readouterr()
    bench("search", "--best", *place)
    assert f"--plugin {peak}" in capsys.readouterr().out  # told, not run
    assert ran(tmp_path) == 2


def test_workers_get_the_files_that_their_parent_was_given(peak: Path, tmp_path: Path) -> None:
    start = ("search", "--plugin", str(peak), "--model", "peak", *DATA)
    bench(*start, "--trials", "2", "--workers", "2")
    assert ran(tmp_path) == 3
    (journal,) = Path("runs/studies").glob("*.log")
    assert journal.is_file()


def test_a_study_that_names_a_file_for_a_model_that_is_here_loads_nothing(
    peak: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench("search", "--model", "kmer-ridge", *DATA, "--trials", "1")
    (journal,) = Path("runs/studies").glob("*.log")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        if "search" in line.get("user_attr", {}):
            line["user_attr"]["search"]["plugins"] = [str(peak)]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    bench("search", "--resume", "--trials", "1", "--no-tracking")
    assert ran(tmp_path) == 0


def test_code_of_a_run_runs_only_if_it_is_named(
    peak: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("run", "--plugin", str(peak), "--model", "peak", *DATA, "--max-steps", "2")
    bench(*run)
    (folder,) = Path("runs").glob("*/manifest.json")
    found = json.loads(folder.read_text())
    assert ran(tmp_path) == 1
    needed = f"add --plugin {found['model']['origin']}, if you trust it."
    Path("s.txt").write_text("ACGT\n")
    predict = ("predict", "--run", str(folder.parent), "--sequences", "s.txt")
    assert fails(capsys, *predict).endswith(needed)
    with pytest.raises(BenchError, match="run only if you name the file"):
        Predictor.load(folder.parent, sys.modules["torch"].device("cpu"))
    folder.write_text(json.dumps({**found, "status": "interrupted"}))
    assert fails(capsys, "run", "--resume", str(folder.parent)).endswith(needed)
    bench("runs")
    assert ran(tmp_path) == 1
