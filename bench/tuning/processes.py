"""Several workers on one machine: the same command, once a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from bench.console import Console
from bench.errors import BenchError
from bench.tuning.open_study import OpenStudy
from bench.tuning.slots import Slots
from bench.tuning.worker import Budget

if TYPE_CHECKING:
    from bench.tuning.run_search import SearchOptions


def work(asked: SearchOptions, opened: OpenStudy, budget: Budget, console: Console) -> None:
    """Start workers and wait for them; one that dies leaves its trial to the others.

    Raises:
        BenchError: All are gone, and the study is not complete.
        KeyboardInterrupt: Ctrl-C, once the workers have given their trials back.
    """
    commands = [_command(asked, opened, budget, number) for number in range(asked.workers)]
    cores = os.cpu_count() or 1
    threads = str(max(1, cores // asked.workers))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    # In sessions of their own, so that Ctrl-C reaches them once, from here.
    workers = [
        subprocess.Popen(command, env=environment, start_new_session=True) for command in commands
    ]
    try:
        for number, worker in enumerate(workers):
            status = worker.wait()
            if status:
                console.warn(f"worker {number} ended with status {status}")
    except KeyboardInterrupt:
        for worker in workers:
            worker.send_signal(signal.SIGINT)
        for worker in workers:
            worker.wait()
        raise
    slots = Slots(opened.study.get_trials(deepcopy=False), budget.trials)
    if not slots.complete and not budget.is_over and not opened.study.user_attrs.get("stopped"):
        raise BenchError("no worker is left and the study is not complete.", hint={"resume": True})


def _command(asked: SearchOptions, opened: OpenStudy, budget: Budget, number: int) -> list[str]:
    command = [sys.executable, "-m", "bench", "search", "--resume", "--child"]
    command += ["--study", opened.study.study_name, "--storage", opened.place]
    command += ["--home", str(asked.home), "--device", _device(asked.device, number)]
    if budget.trials is not None:
        command += ["--trials", str(budget.trials)]
    if budget.deadline is not None:
        command += ["--timeout", str(max(0.0, budget.deadline - time.monotonic()) / 60)]
    if asked.refit is not None:
        command += ["--refit", str(asked.refit)]
    if opened.search.request.data is not None:
        command += ["--data", str(opened.search.request.data)]
    return command + ["--no-tracking"] * (not asked.tracked)


def _device(asked: str, number: int) -> str:
    """Spread workers over the CUDA devices of a machine."""
    import torch

    devices = torch.cuda.device_count()
    return f"cuda:{number % devices}" if asked == "auto" and devices > 1 else asked
