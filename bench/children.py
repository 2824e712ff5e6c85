"""Processes of this program that another process of it starts and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

GRACE = 30.0
"""Seconds between the request to end and the kill, as long as torchrun and Slurm wait."""

MEETING = "BENCH_MEETING"
"""Variable with the folder in which the ranks of one launcher find each other."""

ENDS_WITH_INPUT = "BENCH_ENDS_WITH_INPUT"
"""Variable of a process that has to end when its standard input ends."""


def python_command(*words: str) -> list[str]:
    """Return a command of this Python that imports nothing from the current folder.

    Without -P, a file bench.py or torch.py of the user would be imported in place of the module.
    The option does not reach the programs that the process starts, which may be the user's.
    """
    return [sys.executable, "-P", *words]


def bench_command(*arguments: str) -> list[str]:
    """Return the command that runs ``bench`` with these arguments.

    It runs the package that this process has imported. Without the current folder, ``-m bench``
    could find another one: the installed one instead of a checkout.
    """
    return own_command("bench.cli:main", *arguments)


def own_command(function: str, *arguments: str) -> list[str]:
    """Return the command that calls a function of the package that this process has imported.

    Args:
        function: Text "module:function".
        arguments: Words after the name of the program.
    """
    return python_command("-c", _OWN, str(Path(__file__).parents[1]), function, *arguments)


_OWN = (
    "import importlib, sys; sys.path.insert(0, sys.argv.pop(1)); import bench; del sys.path[0]; "
    "module, name = sys.argv.pop(1).split(':'); getattr(importlib.import_module(module), name)()"
)


def run_module(
    name: str, *arguments: str, environment: Mapping[str, str], patience: float = 5.0
) -> int:
    """Run the module of another program until it ends; return its exit status.

    The program and all that it starts end with this call, whatever ends it, and with this process,
    even with one that is killed. They are one process group, and a thread in the program ends the
    group when its standard input ends.

    Args:
        name: Name of the module, or "module:function".
        arguments: Words after the name of the program.
        environment: Variables of the program.
        patience: Seconds that the program has to end.
    """
    command = python_command("-c", _MODULE, str(patience), name, *arguments)
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    try:
        return ended(process)
    finally:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        with suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process, and return its status; Ctrl-C interrupts.

    Polars handles SIGINT, too, and lets the system go on waiting after it: a wait without a limit
    would not see Ctrl-C before the process has ended.
    """
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK)


_LOOK = 1.0  # seconds; within them, the process is asked every 50 ms
_MODULE = """
import importlib, os, runpy, signal, sys, threading, time

def watch():
    os.read(0, 1)
    os.killpg(0, signal.SIGTERM)
    time.sleep(patience)
    os.killpg(0, signal.SIGKILL)

patience = float(sys.argv.pop(1))
module, colon, function = sys.argv.pop(1).partition(":")
threading.Thread(target=watch, daemon=True).start()
if colon:
    sys.exit(getattr(importlib.import_module(module), function)())
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class Children:
    """Processes of this program that end when a block ends, or when this process is killed.

    Each has its own session, so that Ctrl-C in a terminal reaches it once: from this process. The
    standard input of each is a pipe to which nothing is written. The pipe ends with this process,
    even with one that is killed, and a child then ends, too; see :mod:`bench.cli.signals`.

    Args:
        patience: Seconds that the processes have to end after a signal; None for no limit.
    """

    def __init__(self, patience: float | None = GRACE) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self._patience = patience

    def __enter__(self) -> Children:
        self._input, self._held = os.pipe()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.end(signal.SIGINT if kind is KeyboardInterrupt else signal.SIGTERM)
        finally:
            self._kill()
            os.close(self._input)
            os.close(self._held)

    def start(self, *arguments: str, environment: Mapping[str, str]) -> None:
        """Start ``bench`` with these arguments.

        Args:
            arguments: Words after ``bench``.
            environment: Variables of the process.
        """
        environment = {**environment, ENDS_WITH_INPUT: "1"}
        self.processes.append(
            subprocess.Popen(
                bench_command(*arguments),
                env=environment,
                stdin=self._input,
                start_new_session=True,
            )
        )

    def end(self, number: int) -> list[subprocess.Popen[bytes]]:
        """Send a signal to the processes that run and wait for them; return those that stayed.

        The processes that stay are killed.
        """
        deadline = None if self._patience is None else time.monotonic() + self._patience
        for process in self.processes:
            process.send_signal(number)
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                if deadline is None:
                    ended(process)
                else:
                    process.wait(max(0.0, deadline - time.monotonic()))
        stayed = [process for process in self.processes if process.poll() is None]
        self._kill()
        return stayed

    def _kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
