"""The command `bench check`: what it takes, what it prints, its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contract.report import Finding
from bench.contract.suite import check
from bench.contract.targets import find
from bench.contract.task_data import TaskData
from bench.errors import BenchError
from bench.registry import MODELS, TASKS
from tests.forked import bench

ROOT = Path(__file__).parents[2]
BROKEN = Path(__file__).parent / "broken_models.py"


def test_a_fault_is_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(BROKEN.read_text())
    done = bench(tmp_path, ["check", "nets.py:WrongShape", "--quick"])
    lines = done.output.splitlines()
    assert (done.status, done.errors) == (1, "")
    assert lines[0] == "model WrongShape"
    (failed,) = [line for line in lines if line.startswith("  FAILED")]
    assert failed.split()[:2] == ["FAILED", "shape"]
    assert "(8, 1)" in failed
    assert lines[-2].endswith("s)")
    assert "1 FAILED: shape" in lines[-2]
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".py"] == ["nets.py"]
    assert not (tmp_path / "runs").exists()


def test_json_has_every_check(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(BROKEN.read_text())
    done = bench(tmp_path, ["check", "nets.py:NoExpectation", "--quick", "--json"])
    told = json.loads(done.output)
    assert (done.status, told["model"], told["passed"]) == (1, "NoExpectation", False)
    outcomes = {check["check"]: check["outcome"] for check in told["checks"]}
    assert outcomes["shape"] == "failed"
    assert outcomes["settings round trip"] == "passed"
    assert outcomes["two ranks"] == "skipped"
    assert "compiled" not in outcomes  # it is slow


def test_options_of_the_users_own_tests_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    done = bench(tmp_path, ["check", "gm12878-atac", "--quick"])
    assert (done.status, done.errors) == (0, "")
    assert "FAILED" not in done.output


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["profomer"], "no model and no task is called 'profomer'. Did you mean 'proformer'? "),
        (["nets"], "no model and no task is called 'nets'. Did you mean nets/nets.py? "),
        (["absent.py"], "--plugin absent.py: no such file."),
        (["nets.py:Absent"], "nets.py has no model and no task 'Absent'. It has: "),
        ([], "bench check takes a name or a file, or --all."),
        (["--all", "dream"], "bench check takes a name or a file, or --all."),
        (["proformer", "--data", "x"], "--data names the files of one task. Name this task."),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], line: str, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(BROKEN.read_text())
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "nets.py").touch()
    done = bench(tmp_path, ["check", *arguments])
    assert (done.status, done.output) == (2, "")
    assert done.errors.startswith(f"bench: {line}")
    assert len(done.errors.splitlines()) == 1


def test_checks_end_when_nobody_reads_them() -> None:
    """As `bench check … | head -1`: pytest reported a bug of its own."""
    told = []

    def tell(found: Finding) -> None:
        told.append(found)
        raise BenchError("the reader is gone")

    with pytest.raises(BenchError, match="the reader is gone"):
        check(find("length-gc")[0], full=False, told=tell)
    assert len(told) == 1


_POISON = 'raise SystemExit("a file of the user was imported")'
_RANK = """
import os, signal
from multiprocessing import forkserver
from bench.cli.check import _start_server, _surroundings
from bench.contract import ranks

if __name__ == "__main__":  # a rank imports this file, too
    with _surroundings(None):
        _start_server()
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGINT)  # as Ctrl-C in a terminal
    rank = ranks._FORKED.Process(target=abs, args=(1,))
    rank.start()
    rank.join()
    print(rank.exitcode, os.environ.get("PYTHONSAFEPATH"))
"""


def test_other_processes_of_a_check_import_no_file_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    for name in ("bench", "torch", "numpy"):
        (tmp_path / f"{name}.py").write_text(_POISON)
    script = tmp_path / "bin" / "rank.py"
    script.parent.mkdir()
    script.write_text(_RANK)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)],  # as the installed command: its folder is on the path
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0 None\n", "")
    data = TaskData(find("gm12878-atac")[0], None, tmp_path / "scratch")
    assert data.read_elsewhere(data.folder).fingerprint == data.dataset.fingerprint


def test_names_files_and_classes_are_found() -> None:
    assert [(t.kind, t.name, t.built_in) for t in find("dream")] == [("task", "dream", True)]
    assert find("dream")[0].plugin is TASKS.get("dream")
    assert find("proformer")[0].plugin is MODELS.get("proformer")
    (named,) = find(f"{BROKEN}:InPlace")
    assert (named.kind, named.plugin.__name__, named.built_in) == ("model", "InPlace", False)
    again = find(f"{BROKEN}:InPlace")[0].plugin
    assert again is named.plugin
    with pytest.raises(BenchError, match=r"has no model and no task 'GoodConfig'"):
        find(f"{BROKEN}:GoodConfig")
