"""Several processes on one storage: killed, interrupted, and with the storage away."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.tuning.helpers import DATA, HILL, PEAK, SEARCH, bench, status
from tests.tuning.postgres import Server, server

FAST = ("--beat", "0.3", "--study", "s")


@pytest.fixture(scope="session")
def database() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture(params=["journal", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "journal":
        return str(tmp_path / "journal.log")
    url: str = request.getfixturevalue("database").url
    return url


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that keeps every fit where it is as long as it holds a file of that name."""
    folder = tmp_path / "hold"
    folder.mkdir()
    (folder / "hold").touch()
    monkeypatch.setenv("PEAK_HOLD", str(folder))
    return folder


def worker(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "bench", *arguments]  # -P: as the command bench
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def states(*arguments: str) -> dict[str, int]:
    """Ask a process of its own, which closes its connections."""
    command = [sys.executable, "-P", "-m", "bench", "search", "--status", "--json", "--study", "s"]
    done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, check=True)
    found: dict[str, int] = json.loads(done.stdout)["states"]
    return found


def until(found: Callable[[], Any], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_worker_killed_in_a_trial_loses_none_and_none_counts_twice(
    storage: str, hold: Path
) -> None:
    place = ("--storage", storage)
    workers = [worker(*SEARCH, *FAST, *place, "--trials", "8") for _ in range(2)]
    until(lambda: all((hold / str(w.pid)).exists() for w in workers))
    workers[0].kill()
    (hold / "hold").unlink()
    _, said = workers[1].communicate(timeout=90)
    workers[0].communicate()
    assert workers[1].returncode == 0, said
    assert states(*place) == {"complete": 8, "lost": 1}


def test_ctrl_c_gives_the_running_trial_back(
    hold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = worker(*SEARCH, *FAST, "--trials", "2")
    until(lambda: (hold / str(running.pid)).exists())
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert status(capsys)["states"] == {"given back": 1}
    (hold / "hold").unlink()
    bench("search", "--plugin", str(PEAK), "--resume", "--no-tracking")
    assert status(capsys)["states"] == {"complete": 2, "given back": 1}


def test_a_refit_that_is_killed_is_completed_once(
    hold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (hold / "hold").unlink()
    bench(*SEARCH, *FAST, "--trials", "2", "--fraction", "0.5")
    (hold / "hold").touch()
    resume = ("search", "--plugin", str(PEAK), "--resume", "--no-tracking")
    again = (*resume, "--study", "s", "--refit", "1")
    running = worker(*again)
    until(lambda: (hold / str(running.pid)).exists())
    running.kill()
    running.communicate()
    assert [run["status"] for run in refits()] == ["running"]
    (hold / "hold").unlink()
    for _ in range(2):  # a third time there is nothing left to do
        bench(*again)
        (done,) = refits()
        assert done["status"] == "finished"
    assert status(capsys, "--study", "s")["states"] == {"complete": 2}
    assert len(list(Path("runs/studies").glob("*/*/manifest.json"))) == 2


def refits() -> list[dict[str, Any]]:
    return [read_json(path) for path in Path("runs").glob("*/manifest.json")]


@pytest.mark.slow
def test_processes_of_one_command_share_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    running = worker(*SEARCH, *FAST, "--trials", "7", "--workers", "2")
    _, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert status(capsys)["states"] == {"complete": 7}


@pytest.mark.slow
def test_one_signal_ends_all_processes_of_a_command(
    hold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = worker(*SEARCH, *FAST, "--trials", "7", "--workers", "2")
    until(lambda: len(list(hold.iterdir())) == 3)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert status(capsys)["states"] == {"given back": 2}


@pytest.mark.slow
def test_workers_import_nothing_from_here_and_end_with_a_launcher_that_is_killed(
    hold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("bench", "typing_extensions", "optuna"):
        Path(f"{name}.py").write_text("open(__file__ + '.imported', 'w').close()")
    running = worker(*SEARCH, *FAST, "--trials", "7", "--workers", "2")
    until(lambda: len(list(hold.iterdir())) == 3)
    running.kill()
    workers = [Path("/proc") / path.name for path in hold.iterdir() if path.name.isdecimal()]
    until(lambda: not any(worker.exists() for worker in workers), 20)
    running.communicate()
    assert states() == {"given back": 2}
    assert not list(Path().glob("*.imported"))


@pytest.mark.slow
def test_a_storage_that_is_away_for_twenty_seconds_is_waited_for(
    storage: str,
    hold: Path,
    request: pytest.FixtureRequest,
) -> None:
    place = ("--storage", storage)
    workers = [worker(*SEARCH, *FAST, *place, "--trials", "8") for _ in range(2)]
    until(lambda: all((hold / str(w.pid)).exists() for w in workers))
    if "://" in storage:
        database: Server = request.getfixturevalue("database")
        database.stop()
        (hold / "hold").unlink()
        time.sleep(20)
        database.start()
    else:
        Path(storage).rename(f"{storage}.away")
        (hold / "hold").unlink()
        time.sleep(20)
        Path(f"{storage}.away").rename(storage)
    said = [w.communicate(timeout=120)[1] for w in workers]
    assert [w.returncode for w in workers] == [0, 0], said
    assert all("can be reached again after" in text for text in said)
    assert states(*place) == {"complete": 8}


@pytest.mark.slow
def test_ranks_train_one_trial_together_and_only_the_first_opens_the_storage() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "tests.tuning.rank", "search"]
    command += ["--plugin", str(HILL), "--model", "hill", *DATA, "--epochs", "4", "--study", "s"]
    command += ["--sampler", "grid", "--set", "recipe.batch_size=512", "--set", "recipe.lr=0"]
    command += ["--set", "recipe.clip_norm=1", "--refit", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert states() == {"complete": 1, "pruned": 2}
    (refit,) = [m for path in Path("runs").glob("*/manifest.json") if (m := read_json(path))]
    assert refit["device"]["count"] == 2
    assert refit["tuned"]["trials"] == 3


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found
