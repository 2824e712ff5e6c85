"""Locks between processes: one holder at a time, freed by its end, and no files left."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.results.locks import HeldError, locked
from bench.results.run_folder import held

HOLD = """
import sys, time
from pathlib import Path
from bench.results.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
COUNT = """
import sys
from pathlib import Path
from bench.results.locks import locked
file = Path("count")
for _ in range(200):
    with locked(Path("lock"), patience=60, remove=True):
        file.write_text(str(int(file.read_text()) + 1))
"""


def test_a_killed_holder_is_named_while_it_lives_and_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):  # to ask changes nothing
            with pytest.raises(HeldError) as refused, locked(path):
                pass
        assert str(refused.value).startswith(f"process {holder.pid} on {os.uname().nodename}, 20")
        with pytest.raises(BenchError) as told, held(tmp_path):
            pass
        assert f"in {tmp_path}. It is process {holder.pid} on " in str(told.value)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with held(tmp_path), pytest.raises(HeldError, match=f"process {os.getpid()} "), locked(path):
        pass
    assert path.read_bytes() == b""


def test_the_holder_is_waited_for_as_long_as_wanted(tmp_path: Path) -> None:
    begun = time.monotonic()
    with (
        locked(tmp_path / "lock", remove=True),
        pytest.raises(HeldError),
        locked(tmp_path / "lock", patience=0.3, remove=True),
    ):
        pass
    assert 0.3 <= time.monotonic() - begun < 5
    assert not list(tmp_path.iterdir())


def test_processes_that_remove_the_file_still_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    command = [sys.executable, "-c", COUNT]
    processes = [subprocess.Popen(command, cwd=tmp_path) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "600"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_a_file_that_its_holder_removed_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is removed between the moments when this process opens it and locks it."""
    path, lock, calls = tmp_path / "lock", fcntl.flock, list[int]()

    def late(number: int, how: int) -> None:
        calls.append(number)
        if len(calls) == 1:
            path.unlink()
        lock(number, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(path):
        assert path.exists()
        with pytest.raises(HeldError), locked(path):
            pass


def test_an_error_of_the_training_is_not_one_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="theirs"), held(tmp_path):
        raise FileNotFoundError("theirs")
    with pytest.raises(BenchError, match=r"none/\.lock cannot be written: No such file"):
        held(tmp_path / "none").__enter__()
