"""Processes that end with the one that started them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench.children import Children

# A process that ends with its input, as the command line does, and says how it was asked to.
WATCHING = """
import os, signal, sys, time
from bench.cli import signals
signals.GRACE = 0.3
{trap}
signals.end_with_input()
assert "BENCH_ENDS_WITH_INPUT" not in os.environ
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell script in place of this program; it makes the file ready and waits."""
    program = tmp_path / "program"
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.chdir(tmp_path)
    return program


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\ntouch ready; while true; do sleep 0.02; done\n")
    program.chmod(0o755)


def until_ready() -> None:
    end = time.monotonic() + 30
    while not Path("ready").exists():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("error", "trap", "status"),
    [
        (None, "trap 'exit 5' TERM", 5),
        (LookupError, "trap 'exit 5' TERM", 5),
        (KeyboardInterrupt, "trap 'exit 6' INT; trap 'exit 5' TERM", 6),
        (None, "trap '' TERM", -signal.SIGKILL),
    ],
)
def test_processes_end_with_the_block(
    scripted: Path, error: type[BaseException] | None, trap: str, status: int
) -> None:
    write(scripted, trap)
    children = Children(patience=1)
    with pytest.raises(error) if error else nullcontext(), children:
        children.start("run", environment=os.environ)
        until_ready()
        if error is not None:
            raise error
    assert [process.returncode for process in children.processes] == [status]


def test_processes_that_stay_are_killed_and_told(scripted: Path) -> None:
    write(scripted, "trap '' TERM")
    with Children(patience=0.3) as children:
        children.start("run", environment=os.environ)
        until_ready()
        assert children.end(signal.SIGTERM) == children.processes
        assert children.processes[0].returncode == -signal.SIGKILL
        assert children.end(signal.SIGTERM) == []


@pytest.mark.parametrize(
    ("trap", "watched", "status"),
    [
        ("", True, -signal.SIGTERM),
        ("signal.signal(15, lambda *_: sys.exit(7))", True, 7),
        ("signal.signal(15, signal.SIG_IGN)", True, -signal.SIGKILL),
        ("", False, None),
    ],
)
def test_a_process_ends_when_its_input_does(trap: str, watched: bool, status: int | None) -> None:
    environment = dict(os.environ) | ({"BENCH_ENDS_WITH_INPUT": "1"} if watched else {})
    code = WATCHING.format(trap=trap)
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    assert child.poll() is None
    child.stdin.close()
    try:
        assert child.wait(timeout=10 if watched else 1) == status
    except subprocess.TimeoutExpired:
        assert not watched
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


SERVER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}\\n")
if sys.argv[2] == "ends":
    sys.exit(3)
time.sleep(60)
"""
PARENT = """
import os, sys
from bench.children import run_module
print(run_module("server", *sys.argv[1:], environment=os.environ, patience=5), flush=True)
"""


def alive(process: int) -> bool:
    """Return whether a process runs; one that has ended but is not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, None]
)
def test_a_program_of_others_and_its_children_end_with_ours(
    number: signal.Signals | None, tmp_path: Path
) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    told = tmp_path / "processes"
    ours = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(told), "stays" if number else "ends"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while not (told.exists() and told.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.02)
    theirs = [int(word) for word in told.read_text().split()]
    if number is not None:
        assert all(map(alive, theirs))
        ours.send_signal(number)
    said, _ = ours.communicate(timeout=30)
    assert said == (b"" if number else b"3\n")
    while any(map(alive, theirs)):
        assert time.monotonic() < end
        time.sleep(0.02)


PRESSED = """
import os, signal, subprocess, threading
from bench.children import ended
import polars
child = subprocess.Popen(["sleep", "20"], start_new_session=True)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    ended(child)
except KeyboardInterrupt:
    print("interrupted", child.poll())
child.kill()
child.wait()
"""


def test_ctrl_c_ends_a_wait_that_the_system_would_go_on_with() -> None:
    """Polars handles SIGINT in a way that restarts the system's calls."""
    done = subprocess.run(
        [sys.executable, "-c", PRESSED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("interrupted None\n", "")
