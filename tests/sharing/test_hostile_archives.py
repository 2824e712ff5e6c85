"""Every hostile archive is refused: one line, status 2, no file, little memory, no time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runner.test_run import bench, elsewhere, fails
from tests.sharing.conftest import Files
from tests.sharing.hostile_archives import hostile_archives, member, zipped

__all__ = ["elsewhere"]

SLOWEST = 2.0  # seconds


def test_the_writer_makes_archives_that_are_imported(shared: Files, assay: Path) -> None:
    Path("good.zip").write_bytes(zipped([member(*file) for file in shared.items()]))
    bench("import", "good.zip", "--data", str(assay))
    assert len(list(Path("runs").glob("*/manifest.json"))) == 1


def test_hostile_archives_are_refused(
    shared: Files, assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = set()
    wrong = []
    for name, content in hostile_archives(shared):
        names.add(name)
        Path("x.zip").write_bytes(content)
        start = time.monotonic()
        message = fails(capsys, "import", "x.zip", "--data", str(assay))
        seconds = time.monotonic() - start
        printable = message.isprintable() and len(message) < 400
        written = list(Path("runs").iterdir()) if Path("runs").exists() else []
        if not printable or written or seconds > SLOWEST:
            wrong.append((name, message, written, seconds))
    assert not wrong
    assert len(names) >= 80


BOUNDED = """
import resource, sys
from bench.cli import main
from bench.registry import get_task
import torch, polars  # their own memory comes before
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
"""


def test_a_bomb_takes_no_memory(shared: Files, assay: Path) -> None:
    found = dict(hostile_archives(shared))
    name = next(name for name in found if "say 300 bytes" in name)
    Path("x.zip").write_bytes(found[name])
    words = [sys.executable, "-c", BOUNDED, "import", "x.zip", "--data", str(assay)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    message, kilobytes = done.stderr.splitlines()
    assert (done.returncode, message.startswith("bench: ")) == (2, True)
    assert int(kilobytes) < 200_000
