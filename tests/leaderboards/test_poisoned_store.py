"""A shared store with bad runs: each is left out with a warning, and the others rank."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.atomic import read_plain
from bench.errors import BenchError
from bench.leaderboards import artifacts
from tests.killing import write_table
from tests.runner.test_run import bench, elsewhere, fails

__all__ = ["elsewhere"]

ROWS = 40
BOARD = ("leaderboard", "--task", "table.tsv", "--resamples", "100", "--format")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs on a table, of which MLflow knows, too."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        write_table(folder, letters=20, tested=300 - ROWS)
        for k in ("2", "3"):
            bench("run", "--model", "kmer-ridge", "--task", "table.tsv", "--set", f"model.k={k}")
    return folder


@pytest.fixture
def bad(made: Path, elsewhere: None) -> Path:
    """A copy of both runs; the folder of the first, which a test spoils."""
    shutil.copytree(made / "runs", "runs")
    shutil.copy(made / "table.tsv", "table.tsv")
    for run in Path("runs").glob("*/manifest.json"):  # a table is named by its path
        run.write_text(run.read_text().replace(str(made), str(Path.cwd())))
    first, _ = sorted(Path("runs").glob("kmer*"))
    return first


def ranked(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """Return the leaderboard and the warnings, after a look at all other formats."""
    for form in ("table", "md", "csv"):
        bench(*BOARD, form)
    capsys.readouterr()
    start = time.monotonic()
    bench(*BOARD, "json", "--html", "site")
    assert time.monotonic() - start < 20
    out, err = capsys.readouterr()
    board: dict[str, Any] = json.loads(out)
    return board, err


def array(values: Any) -> Callable[[Path], None]:
    return lambda path: np.save(path, values)


def header(shape: str, descr: str = "'<f4'") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        size = len(text).to_bytes(2, "little")
        path.write_bytes(b"\x93NUMPY\x01\x00" + size + text + bytes(64))

    return write


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def several(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), a=np.ones(3))
    path.with_suffix(".npz").rename(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("hello")


def private(path: Path) -> None:
    np.save(path, np.ones(ROWS, np.float32))
    (path.parent / "real.npy").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to("real.npy")


PREDICTIONS: dict[str, Callable[[Path], None]] = {
    "header of 10^12 values": header("(1000000000000,)"),
    "header of 10^30 values": header("(" + "9" * 30 + ",)"),
    "header of negative values": header("(-16,)"),
    "header without end": header("(" * 5000),
    "header that calls": header("(__import__('os').system('touch ran'),)"),
    "object header": header("(16,)", "'|O'"),
    "structured header": header("(16,)", "[('a', '<f4')]"),
    "several arrays": several,
    "objects": array(np.array([{}] * ROWS, object)),
    "texts": array(np.array(["x"] * ROWS)),
    "complex": array(np.ones(ROWS, complex)),
    "whole numbers": array(np.arange(ROWS)),
    "big endian": array(np.ones(ROWS, ">f4")),
    "half precision": array(np.ones(ROWS, np.float16)),
    "two dimensions": array(np.ones((ROWS, 1), np.float32)),
    "Fortran order": array(np.asfortranarray(np.ones((ROWS, 2), np.float32))),
    "no dimension": array(np.float32(1)),
    "short": array(np.ones(3, np.float32)),
    "long": array(np.ones(ROWS + 1, np.float32)),
    "empty": empty,
    "text": text,
    "terabyte of nothing": sparse,
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "link to passwords": link("/etc/passwd"),
    "link to zeros": link("/dev/zero"),
    "link to the terminal": link("/dev/tty"),
    "link to nothing": link("nowhere"),
    "link to itself": link("predictions.npy"),
    "link beside": private,
    "missing": lambda path: None,
}


@pytest.mark.parametrize("case", PREDICTIONS)
def test_predictions_of_any_shape_exclude_their_run(
    case: str, bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bad / "predictions.npy").unlink()
    PREDICTIONS[case](bad / "predictions.npy")
    bench(*BOARD, "json")
    out, err = capsys.readouterr()
    board = json.loads(out)
    assert [row["seeds"] for row in board["rows"]] == [1]
    assert board["apart"] == [{"run": bad.name, "reason": "no predictions to rank"}]
    assert len(err.splitlines()) == 1
    assert err.startswith(f"bench: run {bad.name} has no predictions to rank: ")
    assert not Path("ran").exists()


MANIFESTS: dict[str, dict[str, Any]] = {
    "before year 1": {"created": "0001-01-01T00:00:00+14:00"},
    "after year 9999": {"created": "9999-12-31T23:59:59-14:00"},
    "without a zone": {"created": "2026-01-01T00:00:00"},
    "far future": {"created": "8000-01-01T00:00:00+00:00"},
    "no time": {"created": "soon"},
    "scores as text": {"metrics": {"test/all/pearson": "best"}},
    "scores as lists": {"metrics": {"test/all/pearson": [1]}},
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_makes_no_sense_leaves_its_run_out(
    case: str, bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs/mlflow.db").unlink()
    file = bad / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **MANIFESTS[case]}))
    board, err = ranked(capsys)
    assert [row["seeds"] for row in board["rows"]] == [1]
    assert " is left out: " in err
    assert bad.name in err


MLFLOW = {
    "start before all time": "UPDATE runs SET start_time = -99999999999999999 WHERE {run}",
    "start after all time": "UPDATE runs SET start_time = 99999999999999999 WHERE {run}",
    "number with a path": "UPDATE runs SET run_uuid = '../../x' WHERE {run}",
}


@pytest.mark.parametrize("case", MLFLOW)
def test_a_record_of_mlflow_that_makes_no_sense_leaves_its_run_out(
    case: str, bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(bad, MLFLOW[case])
    board, err = ranked(capsys)
    assert [row["seeds"] for row in board["rows"]] == [1]
    assert err.count("is left out: ") == 1


ADDRESSES = [
    "file:///etc",
    "/etc",
    "http://127.0.0.1:9/x",
    "https://example.org/",
    "ftp://127.0.0.1/x",
    "s3://theirs/x",
    "../../..",
    "runs:/0/x",
    "models:/x/1",
    "",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_files_at_an_address_elsewhere_are_not_read(
    address: str, bad: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(bad, f"UPDATE runs SET artifact_uri = '{address}' WHERE {{run}}")
    opened: list[Path] = []

    def note(path: Path, most: int) -> bytes:
        opened.append(path)
        return read_plain(path, most)

    monkeypatch.setattr(artifacts, "read_plain", note)
    board, err = ranked(capsys)
    assert [row["seeds"] for row in board["rows"]] == [1]
    assert f"{bad.name} has no predictions to rank: " in err
    assert "lie outside those of its experiment" in err
    assert all(path.is_relative_to(Path("runs").absolute()) for path in opened)


def test_names_of_a_store_are_shown_as_escapes(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[2J\u202e" + "x" * 5000
    with sqlite3.connect("runs/mlflow.db") as database:
        database.execute("UPDATE tags SET value = ? WHERE key = 'model'", [hostile])
        database.execute("UPDATE tags SET value = ? WHERE key = 'track'", [hostile])
        database.execute("UPDATE tags SET value = 'x' WHERE key = 'tuned.device_hours'")
        database.execute("INSERT INTO tags SELECT 'tuned.trials', 'x', run_uuid FROM runs")
    for run in Path("runs").glob("kmer*"):
        shutil.rmtree(run)
    point_at_store()
    for form in ("table", "md", "csv"):
        bench(*BOARD, form)
        shown = capsys.readouterr().out
        assert shown.replace("\n", "").isprintable()
        assert r"\x1b[2J" in shown.replace("\\\\", "\\").replace("\\[", "[")
    assert len(shown) < 5000


def spoil(folder: Path, change: str) -> None:
    """Change MLflow's record of a run, and remove its folder."""
    number = json.loads((folder / "tracking.json").read_text())["run_id"]
    with sqlite3.connect("runs/mlflow.db") as database:
        database.execute(change.format(run=f"run_uuid = '{number}'"))
        for table in ("tags", "params", "metrics", "latest_metrics"):
            if "SET run_uuid" in change:
                database.execute(
                    f"UPDATE {table} SET run_uuid = '../../x' WHERE run_uuid = '{number}'"
                )
    shutil.rmtree(folder)


def point_at_store() -> None:
    """Let the records of the copied store name the files of the copy."""
    here = (Path("runs").absolute() / "mlartifacts").as_uri()
    with sqlite3.connect("runs/mlflow.db") as database:
        (old,) = database.execute(
            "SELECT artifact_location FROM experiments WHERE name != 'Default'"
        ).fetchone()
        base = old.partition("/mlartifacts")[0] + "/mlartifacts"
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", [base, here])


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"123")
    assert read_plain(tmp_path / "x", 3) == b"123"
    with pytest.raises(BenchError, match="3 bytes, and at most 2"):
        read_plain(tmp_path / "x", 2)
    for place in ("/dev/zero", "/dev/null", "/proc/self", "a\0b", str(tmp_path)):
        with pytest.raises(BenchError):
            read_plain(Path(place), 9)


def test_compare_names_the_run_whose_predictions_cannot_be_read(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = next(run.name for run in Path("runs").glob("kmer*") if run != bad)
    (bad / "predictions.npy").unlink()
    os.mkfifo(bad / "predictions.npy")
    told = fails(capsys, "compare", bad.name, other, "--task", "table.tsv")
    assert f"{bad.name} has no predictions to rank" in told
