"""Ranks that the launcher starts, with shell scripts in place of this program."""

import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bench.errors import BenchError
from bench.training import launch as launcher
from bench.training.distributed import Ranks
from bench.training.launch import launch
from bench.training.signals import Stop
from tests.forked import on_ranks

Act = Callable[[Stop], None]


def launched(_: Ranks, script: str, folder: Path, act: Act | None = None) -> Any:
    """Launch two ranks of a shell script in place of this program.

    Args:
        script: Text of the shell script.
        folder: Folder of the script.
        act: Function of a request to stop, called when both ranks have made a file ready-RANK.
    """
    program = folder / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    sys.executable = str(program)
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    begun, stop = time.monotonic(), Stop()
    if act is not None:
        Thread(target=when_ready, args=(folder, act, stop), daemon=True).start()
    try:
        launch(2, "cpu", ["run"], stop)
    except (Exception, KeyboardInterrupt) as error:
        seconds = time.monotonic() - begun
        return type(error).__name__, str(error), getattr(error, "exit_status", None), seconds
    return None


def when_ready(folder: Path, act: Act, stop: Stop) -> None:
    """Act when both ranks are ready."""
    while len(list(folder.glob("ready-*"))) < 2:
        time.sleep(0.01)
    act(stop)


def ask(stop: Stop) -> None:
    stop.asked = signal.SIGTERM


def interrupt(stop: Stop) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def ask_and_interrupt(stop: Stop) -> None:
    ask(stop)
    time.sleep(0.5)
    interrupt(stop)


def failing(kind: str, text: str, status: int, *, ago: int = 0) -> str:
    """Return a shell script of a rank that records an error, and ends."""
    told: dict[str, Any] = {"kind": kind, "text": text, "seconds": time.monotonic() - ago}
    mine = {"field": None, "hint": None}
    told |= mine if status == 2 else {"traceback": f"Traceback of {kind}"}
    return f"printf '%s' '{json.dumps(told)}' > $BENCH_MEETING/$RANK.json; exit {status}"


LOST = "[/build/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer"


REFUSED, LOST_PEER = failing("BenchError", "no: so.", 2), failing("RuntimeError", LOST, 1)
SENT = failing("RankError", "another rank failed: LookupError: a bug", 2, ago=20)
LATE, BUG = f"trap '' TERM; sleep 0.5; {REFUSED}", failing("LookupError", "a bug", 1, ago=9)
HINT = "The same command goes on from the last checkpoint."
SLEEP, KILLED = "exec sleep 60", "rank 1 was killed by SIGKILL. The same"


@pytest.mark.parametrize(
    ("zero", "one", "kind", "message"),
    [
        (SLEEP, "kill -9 $$", "RankError", KILLED),
        (LOST_PEER, "kill -9 $$", "RankError", KILLED),
        (SLEEP, "kill -11 $$", "RankError", "rank 1 was killed by SIGSEGV. The same"),
        (SLEEP, REFUSED, "RankError", "no: so."),
        (LATE, LOST_PEER, "RankError", "no: so."),
        (LATE, BUG, "RankError", "no: so."),
        (LOST_PEER, BUG, "RuntimeError", "rank 1: LookupError: a bug\nTraceback of LookupError"),
        (SENT, BUG, "RuntimeError", "rank 1: LookupError: a bug\nTraceback of LookupError"),
        (LOST_PEER, "exit 3", "RankError", "rank 1 ended with status 3. The same"),
        (SLEEP, "kill -15 $$", "RankError", "a rank was ended from outside. The same"),
    ],
)
def test_a_rank_that_fails_ends_the_others_and_is_named(
    zero: str, one: str, kind: str, message: str, tmp_path: Path
) -> None:
    script = f'if [ "$RANK" = 0 ]; then {zero}; else {one}; fi'
    ((found, text, status, seconds),) = on_ranks(1, launched, script, tmp_path)
    assert (found, text[: len(message)]) == (kind, message)
    assert status == (None if kind == "RuntimeError" else 2)
    assert "\n" not in text or kind == "RuntimeError"
    assert seconds < 20


SAVING = "trap 'touch saved-$RANK; exit 143' TERM"
INTERRUPTED = "trap 'touch saved-$RANK; exit 130' INT"
RUNNING = "touch ready-$RANK; while true; do sleep 0.05; done"


@pytest.mark.parametrize(
    ("traps", "act", "kind", "status"),
    [
        (SAVING, ask, "RankError", 143),
        (INTERRUPTED, interrupt, "KeyboardInterrupt", None),
        (f"trap '' TERM; {INTERRUPTED}", ask_and_interrupt, "KeyboardInterrupt", None),
    ],
    ids=["asked", "interrupted", "asked, then interrupted"],
)
def test_a_signal_to_the_launcher_reaches_the_ranks(
    traps: str, act: Act, kind: str, status: int | None, tmp_path: Path
) -> None:
    script = f"cd {tmp_path}; {traps}; {RUNNING}"
    ((found, text, left, seconds),) = on_ranks(1, launched, script, tmp_path, act)
    assert (found, left) == (kind, status)
    assert text == ("stopped. " + HINT if status else "")
    assert {path.name for path in tmp_path.glob("saved-*")} == {"saved-0", "saved-1"}
    assert seconds < 20


def test_ranks_that_end_well_although_they_are_asked_to_stop_are_a_success(tmp_path: Path) -> None:
    script = f"cd {tmp_path}; trap 'exit 0' TERM; {RUNNING}"
    assert on_ranks(1, launched, script, tmp_path, ask) == [None]


def test_the_ranks_know_their_place_and_talk_over_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.delenv(name, raising=False)
    names = "$RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $GLOO_SOCKET_IFNAME"
    script = (
        f'echo "{names} $NCCL_SOCKET_IFNAME $(stat -c %a $BENCH_MEETING) $1 $6" > {tmp_path}/$RANK'
    )
    assert on_ranks(1, launched, script, tmp_path) == [None]
    for rank in range(2):
        told = (tmp_path / str(rank)).read_text().split(" ", 7)
        assert told == [*map(str, (rank, rank, 2, 2)), "lo", "lo", "700", "-P run\n"]


def test_a_loopback_interface_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `unshare -rn`, where gloo would end with a traceback."""

    def unreachable(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    with pytest.raises(BenchError, match=r"interface lo, .* is down \(Network is unreachable\)"):
        launcher._environment(0, 2, "folder")


def test_a_variable_of_the_user_names_the_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)
    found = launcher._environment(1, 2, "folder")
    assert (found["GLOO_SOCKET_IFNAME"], found["NCCL_SOCKET_IFNAME"]) == ("eth7", "lo")


@pytest.mark.parametrize(
    ("devices", "device", "words"),
    [
        (3, "cpu", "devices 3: 2 ranks run already. Leave it out."),
        (2, "cpu", None),
        (1, "cpu", None),
    ],
)
def test_a_rank_launches_no_others(
    devices: int, device: str, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    if words is None:
        assert launch(devices, device, ["run"]) is False
    else:
        with pytest.raises(BenchError) as refused:
            launch(devices, device, ["run"])
        assert str(refused.value) == words


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(BenchError, match=r"^devices 4097: this machine has \d+ cores\."):
        launch(4097, "cpu", ["run"])
    with pytest.raises(BenchError, match=r"^device cpu:0 is one device"):
        launch(min(2, os.cpu_count() or 1), "cpu:0", ["run"])
