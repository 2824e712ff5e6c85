"""Run folders with damaged files: every command leaves them out, names them, and goes on."""

import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import bench as library
from bench.console import Console
from bench.errors import BenchError
from bench.results.metrics_file import read_metrics
from bench.results.run_folder import read_manifest
from bench.sharing import archive
from tests.killing import write_table
from tests.runner.test_run import bench, elsewhere, fails

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder

RIDGE = ("run", "--model", "kmer-ridge", "--task", "table.tsv")
Harm = Callable[[Path], object]


def put(**fields: Any) -> Harm:
    def change(file: Path) -> None:
        found = json.loads(file.read_text())
        for name, value in fields.items():
            *parts, last = name.split("__")
            place = found
            for part in parts:
                place = place[part]
            place[last] = value
        file.write_text(json.dumps(found))

    return change


def replace(content: bytes) -> Harm:
    return lambda file: file.write_bytes(content)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def huge(file: Path) -> None:
    os.truncate(file, 1 << 40)


HARMS: dict[str, Harm] = {
    "empty": replace(b""),
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "foreign": replace(b'{"schemaVersion": 2, "layers": []}'),
    "list": replace(b"[]"),
    "null": replace(b"null"),
    "nuls": replace(bytes(4096)),
    "no UTF-8": replace(b'{"id": "\xff\xfe"}'),
    "deep": replace(b"[" * 100_000),
    "nested": put(strange=json.loads("[" * 300 + "]" * 300)),
    "half a letter": put(preset="\ud800"),
    "long number": put(seed=10**400),
    "pipe": pipe,
    "directory": directory,
    "huge": huge,
    "status": put(status="done"),
    "no id": put(id=""),
    "created": put(created=9),
    "created text": put(created="yesterday"),
    "created nowhere": put(created="2026-11-21T10:00:00"),
    "created too early": put(created="0001-01-01T00:00:00+14:00"),
    "created too late": put(created="9999-12-31T23:59:59-14:00"),
    "finished": put(finished="x"),
    "model": put(model=5),
    "no data": put(data=None),
    "rows": put(data__rows={"train": "many"}),
    "metrics": put(metrics={"test/all/pearson": "0.5"}),
    "costs": put(cost={"device_hours": [1], "more": "x"}),
    "environment": put(environment={"torch": 2}),
    "newer": put(schema=99),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, two finished runs, and a file of another one."""
    folder = tmp_path_factory.mktemp("good")
    write_table(folder, letters=12, tested=250)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for seed in ("0", "1"):
            bench(*RIDGE, "--no-tracking", "--seed", seed)
        bench(*RIDGE, "--no-tracking", "--home", "theirs", "--seed", "2", "--set", "model.k=2")
        archive.export_runs(["kmer"], folder / "theirs.zip", folder / "theirs")
    return folder


@pytest.fixture
def runs(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the two good runs; the current folder has the table, whose path identifies runs."""
    monkeypatch.chdir(good)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "runs"))
    return shutil.copytree(good / "runs", tmp_path / "runs")


def harmed(runs: Path, name: str) -> Path:
    """Return a third run folder with a damaged manifest."""
    folder = runs / f"kmer-ridge-table-s9-261121-100946-{list(HARMS).index(name):04x}"
    shutil.copytree(min(runs.glob("kmer*s0*")), folder)
    HARMS[name](folder / "manifest.json")
    return folder


def test_every_command_leaves_all_damaged_runs_out_and_names_each(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sorted(path.name for path in runs.iterdir())
    damaged = [harmed(runs, name) for name in HARMS]

    def told(*command: str) -> tuple[str, list[str]]:
        capsys.readouterr()
        bench(*command)
        printed = capsys.readouterr()
        lines = [line for line in printed.err.splitlines() if line.startswith("bench: ")]
        for path in damaged:
            assert len([line for line in lines if str(path / "manifest.json") in line]) == 1, path
        assert len(lines) == len(damaged)
        return printed.out, lines

    listed, _ = told("runs", "--json")
    assert sorted(run["id"] for run in json.loads(listed)) == good
    assert all(name in told("runs")[0] for name in good)
    first, second = (str(runs / name) for name in good)
    _, lines = told(*RIDGE, "--no-tracking")  # finished before
    assert all("It may be an earlier run of this command." in line for line in lines)
    told(*RIDGE, "--no-tracking", "--seed", "5")
    told("import", "theirs.zip", "--task", "table.tsv")
    assert "3 runs sent" in told("sync")[0]
    board, _ = told("leaderboard", "--task", "table.tsv", "--format", "json")
    assert {row["model"] for row in json.loads(board)["rows"]} == {
        "kmer-ridge k=2",
        "kmer-ridge k=5",
    }
    told("compare", first, second)
    quiet = Console.mute()
    assert len(library.list_runs(runs_dir=runs, console=quiet)) == 4
    assert library.leaderboard("table.tsv", runs_dir=runs).table().height
    assert library.compare(first, second, runs_dir=runs).differences


@pytest.mark.parametrize("name", HARMS)
def test_a_command_about_a_damaged_run_says_what_is_wrong_and_what_to_do(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = harmed(runs, name)
    with pytest.raises(BenchError) as raised:
        read_manifest(folder)
    line = str(raised.value)
    assert line.startswith(f"{folder / 'manifest.json'} ")
    assert line.endswith("Restore the file, or move its folder away.")
    assert len(line) < 400
    for command in (
        ("run", "--resume", folder.name),
        ("score", "--run", folder.name),
        ("predict", "--run", str(folder), "--sequences", "table.tsv"),
        ("export", folder.name, "--out", "out.zip"),
        ("compare", folder.name, "kmer-ridge-table-s1"),
    ):
        assert fails(capsys, *command) == line
    with pytest.raises(BenchError, match="Restore the file"):
        library.load_run(folder.name, runs_dir=runs)


def test_a_folder_that_an_import_left_unfinished_is_no_run(runs: Path) -> None:
    shutil.copytree(min(runs.glob("kmer*s0*")), runs / ".making.0a1b.new" / "x")
    shutil.copytree(min(runs.glob("kmer*s0*")), runs / ".x.0a1b.new")
    assert len(library.list_runs(runs_dir=runs)) == 2


GOOD = '{"step": 15, "time": 1, "metrics": {"validation/pearson": 0.5}}\n'
LINES = {
    "text": b"garbage\n",
    "no metrics": b'{"step": 3, "time": 1}\n',
    "no UTF-8": b'{"step": \xff\xfe}\n',
    "nuls": bytes(512) + b"\n",
    "empty": b"\n",
    "list": b"[1, 2]\n",
    "deep": b"[" * 100_000 + b"\n",
    "step as text": b'{"step": "3", "time": 1, "metrics": {}}\n',
    "step below 0": b'{"step": -3, "time": 1, "metrics": {}}\n',
    "half a step": b'{"step": 3.5, "time": 1, "metrics": {}}\n',
    "step of true": b'{"step": true, "time": 1, "metrics": {}}\n',
    "large step": b'{"step": 1' + b"0" * 400 + b', "time": 1, "metrics": {}}\n',
    "long number": b'{"step": 1' + b"0" * 9000 + b', "time": 1, "metrics": {}}\n',
    "time": b'{"step": 3, "time": null, "metrics": {}}\n',
    "metrics": b'{"step": 3, "time": 1, "metrics": [1]}\n',
    "value": b'{"step": 3, "time": 1, "metrics": {"a": "b"}}\n',
    "nan": b'{"step": 3, "time": 1, "metrics": {"a": NaN}}\n',
    "large value": b'{"step": 3, "time": 1, "metrics": {"a": 1' + b"0" * 400 + b"}}\n",
}


@pytest.mark.parametrize("name", LINES)
def test_a_damaged_line_of_metrics_is_named_and_left_out(name: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    after = GOOD.replace("15", "30")
    path.write_bytes(GOOD.encode() + LINES[name] + after.encode() + b'{"step": 45, "ti')
    lines, damaged = read_metrics(path)
    assert [(line.step, line.time, line.metrics) for line in lines] == [
        (step, 1, {"validation/pearson": 0.5}) for step in (15, 30)
    ]
    assert damaged == [f"{path}, line 2, is not a line of metrics and is left out."]
    assert "".join(line.as_text() for line in lines) == GOOD + after


def test_a_run_with_damaged_lines_is_shown_sent_and_ranked(runs: Path) -> None:
    run = min(runs.glob("kmer*s0*"))
    with (run / "metrics.jsonl").open("ab") as file:
        file.writelines(LINES.values())
    assert library.load_run(run).history["step"].to_list() == [1]
    bench("sync")
    bench("leaderboard", "--task", "table.tsv", "--html", "site")


def test_a_clock_that_was_set_back_changes_no_result_and_no_order(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run begins in 2040; the clock is right again at its end, and for the next run."""
    run = min(runs.glob("kmer*s0*"))
    put(created="2040-01-01T00:00:00+00:00", finished="2026-01-01T00:00:00+00:00")(
        run / "manifest.json"
    )
    (run / "metrics.jsonl").write_text(GOOD + GOOD.replace("15", "30").replace("1,", "0,"))
    bench(*RIDGE, "--no-tracking")
    assert "finished before" in capsys.readouterr().err
    bench(*RIDGE, "--no-tracking", "--seed", "7")
    table = library.list_runs(runs_dir=runs)
    assert table["run"].to_list()[-1] == run.name
    assert datetime.fromisoformat(table["created"][-2]).year < 2040
    bench("sync")
    bench("leaderboard", "--task", "table.tsv")
