"""Ranks of --devices 2 as a user starts them: where they listen, what they import, how they end."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forked import HERE, RUN, bench, prepare, start
from tests.killing import left_behind

LOOPBACK = {"0100007F", "00000000000000000000000001000000"}  # as Linux writes 127.0.0.1 and ::1
HOSTILE = "open(__file__ + '.imported', 'w').close()\n"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def until(found: Callable[[], Any], seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it has ended
        found += [int(stat.parent.name)] * (int(parent) == process)
    return found


def listening(process: int) -> set[str]:
    """Return the addresses on which a process listens, in Linux' own spelling."""
    descriptors = Path(f"/proc/{process}/fd").iterdir()
    inodes = {os.readlink(descriptor) for descriptor in descriptors}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            _, address, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in inodes:
                found.add(address.rpartition(":")[0])
    return found


def test_ranks_listen_and_import_at_home_and_end_with_a_launcher_that_is_killed(
    tmp_path: Path,
) -> None:
    prepare(tmp_path)
    for name in ("bench", "typing_extensions", "torch", "json"):
        (tmp_path / f"{name}.py").write_text(HOSTILE)
    command = (*RUN, *HERE, "--home", "launched")
    launched = start(tmp_path, (*command, "--devices", "2"), act="slow:20")
    launcher = launched.processes[0].pid
    assert launcher is not None
    until(lambda: list((tmp_path / "launched").glob("*/checkpoints/*.json")))
    ranks = children(launcher)
    assert len(ranks) == 2
    assert listening(launcher) == set()
    for rank in ranks:
        assert listening(rank) <= LOOPBACK, "a rank listens beyond this machine"
        assert listening(rank), "the test sees no listener: gloo has one"

    os.kill(launcher, signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{rank}").exists() for rank in ranks), 15)
    (manifest,) = (tmp_path / "launched").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["status"] == "interrupted"
    assert bench(tmp_path, command, ranks=2).status == 0
    assert bench(tmp_path, (*RUN, *HERE, "--home", "whole"), ranks=2).status == 0
    assert left_behind(tmp_path, "launched") == left_behind(tmp_path, "whole")
    assert not list(tmp_path.glob("*.imported"))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK=x is not a whole number."),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "RANK=0 and WORLD_SIZE=0 name no process"),
        ({"LOCAL_WORLD_SIZE": "two"}, "LOCAL_WORLD_SIZE=two is not a whole number."),
    ],
)
def test_variables_of_ranks_that_are_wrong_are_told_in_one_line(
    variables: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = bench(tmp_path, (*RUN, *HERE, "--home", "home"))
    assert done.status == 2
    assert "Traceback" not in done.errors
    (line,) = done.told
    assert line.startswith(f"bench: {words}")
    assert not (tmp_path / "home").exists()
