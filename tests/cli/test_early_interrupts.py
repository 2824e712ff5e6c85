"""Ctrl-C while the program or a library is imported: one line or none, never a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTS_ITSELF = (
    "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0.3)\n"
)


def bench(*words: str, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command, with a folder before all others from which modules are imported."""
    environment = dict(os.environ)
    if first is not None:
        environment["PYTHONPATH"] = f"{first}{os.pathsep}{environment.get('PYTHONPATH', '')}"
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("module", ["click", "json", "bench_never_imports_this"])
def test_ctrl_c_while_the_command_line_is_imported_says_nothing(
    module: str, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text(INTERRUPTS_ITSELF)
    done = bench("--version", first=tmp_path)
    if module.startswith("bench"):
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


LATER = """
import sys, time
from bench.cli.signals import interruptible
sys.path.insert(0, sys.argv[1])
try:
    with interruptible():
        import late
        time.sleep(9)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (INTERRUPTS_ITSELF + "print('whole')", 0, "whole\ninterrupted\n"),
        (INTERRUPTS_ITSELF.replace("0.3", "0.02") * 2 + "print('whole')", -signal.SIGINT, ""),
    ],
    ids=["once", "twice"],
)
def test_ctrl_c_inside_a_later_import_waits_for_its_end_and_a_second_one_does_not(
    text: str, status: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "late.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", LATER, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, said, "")


def test_an_ignored_ctrl_c_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(
        "import os, signal, sys\nos.kill(os.getpid(), signal.SIGINT)\n"
        f"sys.path.remove({str(tmp_path)!r})\ndel sys.modules['click']\n"
        "import click as real\nsys.modules['click'] = real\n"
    )
    line = f"trap '' INT; {sys.executable} -m bench --version"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("bench, version")
