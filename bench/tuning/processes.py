"""Several workers on one machine: one process with the same command for each."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from bench.children import Children, ended
from bench.console import Console
from bench.errors import BenchError
from bench.tuning.open_study import OpenStudy
from bench.tuning.slots import Slots
from bench.tuning.worker import Budget

if TYPE_CHECKING:
    from bench.tuning.search_options import SearchOptions


def work(options: SearchOptions, opened: OpenStudy, budget: Budget, console: Console) -> None:
    """Start workers and wait for them; the others take over the trial of a worker that dies.

    Raises:
        BenchError: All workers have ended, and the study is not complete.
        KeyboardInterrupt: Ctrl-C was pressed, and the workers have given their trials back.
    """
    commands = [_command(options, opened, budget, number) for number in range(options.workers)]
    cores = os.cpu_count() or 1
    threads = str(max(1, cores // options.workers))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    with Children(patience=None) as workers:  # they give their trials back, whatever it takes
        for command in commands:
            workers.start(*command, environment=environment)
        for number, worker in enumerate(workers.processes):
            status = ended(worker)
            if status:
                console.warn(f"worker {number} ended with status {status}")
    slots = Slots(opened.study.get_trials(deepcopy=False), budget.trials)
    if not slots.complete and not budget.is_over and not opened.study.user_attrs.get("stopped"):
        raise BenchError("no worker is left and the study is not complete.", hint={"resume": True})


def _command(options: SearchOptions, opened: OpenStudy, budget: Budget, number: int) -> list[str]:
    command = ["search", "--resume", "--child"]
    command += ["--study", opened.study.study_name, "--storage", opened.place]
    command += ["--home", str(options.home), "--device", _device(options.device, number)]
    for file in opened.search.plugins:
        command += ["--plugin", file]
    if budget.trials is not None:
        command += ["--trials", str(budget.trials)]
    if budget.deadline is not None:
        command += ["--timeout", str(max(0.0, budget.deadline - time.monotonic()) / 60)]
    if options.refit is not None:
        command += ["--refit", str(options.refit)]
    if opened.search.request.data is not None:
        command += ["--data", str(opened.search.request.data)]
    return command + ["--no-tracking"] * (not options.tracked)


def _device(name: str, number: int) -> str:
    """Return the device of a worker; workers are spread over the CUDA devices of the machine."""
    import torch

    devices = torch.cuda.device_count()
    return f"cuda:{number % devices}" if name == "auto" and devices > 1 else name
