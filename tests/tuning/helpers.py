"""What the tests of the search share."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.cli.program import cli, main
from bench.registry import MODELS

PEAK = Path(__file__).parent / "peak.py"
HILL = Path(__file__).parent / "hill.py"
DATA = ("--task", "dream", "--simulate", "--rows", "2000", "--no-tracking")
SEARCH = ("search", "--plugin", str(PEAK), "--model", "peak", *DATA)


@contextmanager
def as_a_process() -> Iterator[None]:
    """Forget the plugins of an earlier command."""
    for name in ("peak", "hill"):
        sys.modules.pop(name, None)
        MODELS._extra.pop(name, None)
    yield


def bench(*arguments: str) -> None:
    """Run a command in this process."""
    with as_a_process():
        cli.main([*arguments], prog_name="bench", standalone_mode=False)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail as a user's mistake; return its one line."""
    with as_a_process(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1].removeprefix("bench: ")


def status(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return what --status --json says."""
    capsys.readouterr()
    bench("search", "--status", "--json", *arguments)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found
