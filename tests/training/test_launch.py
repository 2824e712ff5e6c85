"""Ranks that the launcher starts, with shell scripts in place of this program."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.training.distributed import Ranks
from bench.training.launch import launch
from tests.forked import on_ranks


def launched(_: Ranks, script: str, folder: Path) -> Any:
    """Launch two ranks of a shell script in place of this program."""
    program = folder / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    sys.executable = str(program)
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    begun = time.monotonic()
    try:
        launch(2, "cpu", ["run"])
    except Exception as error:
        seconds = time.monotonic() - begun
        return type(error).__name__, str(error), getattr(error, "exit_status", None), seconds
    return None


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
