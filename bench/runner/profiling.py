"""An estimate of the cost of a run on this machine's device, and a profile, from a few steps."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiled

from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.results.options import Request
from bench.runner.request import resolve
from bench.runner.setup import Job
from bench.training.device import choose_device, out_of_memory, peak_memory
from bench.training.distributed import from_environment, joined
from bench.training.flops import largest_micro_batch, matmul_rate
from bench.training.micro_batches import MicroBatches
from bench.training.predict import predict
from bench.training.step import TrainStep

_WARM = 2  # steps before the clock starts: they allocate memory and choose or compile kernels
_SECONDS, _STEPS = 10.0, 3  # least time and least number of the steps that are timed
_PROFILED = 5
_TOP = 10


def plan(request: Request, console: Console = SILENT) -> dict[str, Any]:
    """Return an estimate of the cost of a whole run, from some timed steps and a validation.

    Returns:
        Estimates by name on rank 0; an empty dictionary on other ranks.

    Raises:
        BenchError: The model is fitted at once, or the request is wrong.
    """
    with _ready(request, console) as (job, step):
        assert job.plan is not None
        device, ranks = job.loader.device, job.ranks
        begun, steps, seconds = time.perf_counter(), 0, 0.0
        while steps < _STEPS or seconds < _SECONDS:
            step()
            steps += 1
            _finish(device)
            # Rank 0's clock counts on every rank, so that all ranks make the same number of steps.
            seconds = ranks.broadcast(time.perf_counter() - begun)
        peak, validation = peak_memory(device), job.loader.validation()
        begun = time.perf_counter()
        predict(job.model, validation, ranks)
        per_row = (time.perf_counter() - begun) / max(len(validation), 1)
        if not ranks.leads:
            return {}
        precision = job.prepared.recipe.precision
        flops, rate = job.training_flops(), matmul_rate(device, precision)
        largest = largest_micro_batch(job.model, job.loader.training(), device, precision)
        speed = steps * job.prepared.recipe.batch_size / seconds
        validations = -(-job.plan.steps // job.plan.steps_per_epoch)
        rows = validations * len(validation) + job.loader.counts["test"]
        whole = job.plan.steps * seconds / steps + rows * per_row
        described = job.describe().to_json()
        return {
            **{name: described[name] for name in ("model", "device", "rows_at_once", "plan")},
            "batch_size": job.prepared.recipe.batch_size,
            "training_flops_per_sequence": flops,
            "sequences_per_second": speed,
            "flops_per_second": None if flops is None else flops * speed / ranks.size,
            "matmul_flops_per_second": rate,
            "share_of_matmul_rate": None if flops is None else flops * speed / ranks.size / rate,
            "peak_memory_bytes": peak,
            "largest_batch_per_device": largest and largest // job.strands_at_once,
            "seconds": whole,
            "device_hours": whole * ranks.size / 3600,
        }


def profile(request: Request, console: Console, out: Path) -> list[dict[str, Any]]:
    """Write a trace of some steps in Chrome's JSON format, and return the costliest operations.

    Args:
        request: Request of the run.
        console: Console for progress.
        out: Path of a new file.

    Returns:
        The most expensive operations by their own time: name, calls, milliseconds, share of all.

    Raises:
        BenchError: The file cannot be written, or :func:`plan` would raise.
    """
    if out.exists():
        raise BenchError(f"{argument('out')} {out} exists. Name a new file.")
    if not os.access(out.absolute().parent, os.W_OK):
        raise BenchError(
            f"{argument('out')} {out} cannot be written. Name a file in a writable folder."
        )
    with _ready(request, console) as (job, step):
        cuda = job.loader.device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
        with profiled(activities=activities) as trace:
            for _ in range(_PROFILED):
                step()
            _finish(job.loader.device)
    trace.export_chrome_trace(str(out))
    events = [
        (
            event.key,
            event.count,
            event.self_device_time_total if cuda else event.self_cpu_time_total,
        )
        for event in trace.key_averages()
    ]
    whole = sum(spent for _, _, spent in events) or 1.0
    dearest = sorted(events, key=lambda event: -event[2])[:_TOP]
    return [
        {
            "operation": name,
            "calls": calls // _PROFILED,
            "milliseconds": spent / 1e3 / _PROFILED,
            "share": spent / whole,
        }
        for name, calls, spent in dearest
    ]


@contextmanager
def _ready(request: Request, console: Console) -> Iterator[tuple[Job, Callable[[], object]]]:
    """Load the job and make the first steps; yield the job and a function for the next step."""
    prepared, ranks = resolve(request), from_environment()
    device = choose_device(request.device, ranks.local if ranks.size > 1 else None)
    with joined(ranks, device):
        job = Job.load(request, prepared, ranks, device, console if ranks.leads else SILENT)
        if job.plan is None:
            raise BenchError(
                f"{request.model} is fitted at once, in seconds: it has no steps to time."
            )
        micro_batches = MicroBatches.of(prepared.recipe.batch_size, ranks, request.batch_per_device)
        make = TrainStep(
            job.model,
            prepared.recipe,
            job.plan,
            micro_batches,
            ranks,
            seed=request.seed,
            compiled=request.compiled,
        )
        batches = job.loader.training().shuffled(
            micro_batches.batch,
            request.seed,
            strands=prepared.recipe.strands,
            cut=micro_batches.count,
            mine=micro_batches.mine,
        )
        steps = itertools.cycle(range(job.plan.steps))
        job.model.train()
        with out_of_memory(job.rows_at_once, device):
            for _ in range(_WARM):
                make(next(steps), batches)
            _finish(device)
            yield job, lambda: make(next(steps), batches)


def _finish(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
