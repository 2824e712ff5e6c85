"""One trial: its runs, the ways in which it may end, and how each is told to the study."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial

from bench.console import SILENT, Console
from bench.errors import BenchError, DivergedError, OutOfMemoryError, PrunedError, argument
from bench.results.options import Request
from bench.runner.run import execute
from bench.training.device import choose_device, peak_memory
from bench.training.distributed import from_environment
from bench.training.signals import NEVER, Stop
from bench.tuning.definition import Params, Search
from bench.tuning.feasibility import REFUSALS, Probe

_GIGABYTE = 1e9
_CLEAR_PEAK = Path("/proc/self/clear_refs")  # writing 5 forgets the process's peak, on Linux


class InfeasibleError(Exception):
    """A trial has no score: it breaks a limit.

    Args:
        limit: The constraint's name.
        excess: By how much it is broken, as a share of the limit; above 0.
        reason: For people.
    """

    def __init__(self, limit: str, excess: float, reason: str) -> None:
        super().__init__(reason)
        self.limit, self.excess = limit, excess

    def __reduce__(self) -> tuple[type[InfeasibleError], tuple[str, float, str]]:
        """Let the error travel between ranks."""
        return type(self), (self.limit, self.excess, str(self))


class LostError(Exception):
    """This trial was given up for another worker: nothing of it counts any more."""


@dataclass(frozen=True, slots=True)
class Job:
    """A trial's runs, and all that ranks other than 0 know of it.

    Attributes:
        requests: One run a seed.
        plugins: Files that define the model or the task.
        validations: How often a run is validated; 0 to prune none.
        memory: Gigabytes allowed; None for any.
    """

    requests: tuple[Request, ...]
    plugins: tuple[str, ...]
    validations: int = 0
    memory: float | None = None


def job(search: Search, probe: Probe, params: Params, study: Mapping[str, object]) -> Job:
    """Return a trial's runs.

    Args:
        search: What is searched.
        probe: For the data.
        params: The trial's values.
        study: Recorded with every run: the study's name and the trial's number.

    Raises:
        InfeasibleError: The model refuses the values, or is too large.
    """
    requests = tuple(search.trial(params, seed=seed, study=study) for seed in search.seeds)
    try:
        facts = probe.facts(requests[0])
    except REFUSALS as error:
        raise InfeasibleError("refused", 1.0, " ".join(str(error).split())) from None
    most = search.max_parameters
    if most is not None and facts.parameters > most:
        reason = f"{facts.parameters:,} parameters, above {most:,}"
        raise InfeasibleError("parameters", facts.parameters / most - 1, reason)
    validations = facts.validations if search.pruned else 0
    return Job(requests, search.plugins, validations, search.max_memory)


def run(
    task: Job,
    trial: Trial | None,
    console: Console = SILENT,
    *,
    tracked: bool,
    stop: Stop = NEVER,
) -> tuple[float, list[str]]:
    """Train a trial's models.

    Args:
        task: The runs.
        trial: Where validations are told; None on ranks that do not lead.
        console: Where to warn.
        tracked: Also send the runs to MLflow.
        stop: Request to end the training early.

    Returns:
        The objective, the mean over its seeds, and the names of its runs.

    Raises:
        PrunedError: The first seed's run is behind.
        InfeasibleError: It diverged, or took too much memory.
        LostError: It was given up meanwhile.
        BenchError: It cannot be run here.
    """
    ranks = from_environment()
    device = choose_device(task.requests[0].device, ranks.local if ranks.size > 1 else None)
    if device.type == "cuda":  # what a failed trial left would be counted as this one's
        gc.collect()
        torch.cuda.empty_cache()
    scores, runs = [], []
    for request in task.requests:
        curve = Curve(trial, task.validations, task.memory, device)
        trial = None  # one curve a trial: the first seed's
        try:
            with _memory_limit(device, task.memory):
                manifest = execute(
                    request,
                    console.only_warnings(),
                    tracked=tracked,
                    watch=curve.watch,
                    stop=stop,
                )
                _check_memory(device, task.memory)
        except DivergedError as error:
            raise InfeasibleError("diverged", 1.0, str(error)) from None
        except OutOfMemoryError as error:
            raise InfeasibleError("memory", 1.0, str(error)) from None
        scores.append(curve.best)
        runs += [manifest.id] if manifest is not None else []  # only rank 0 has one
    mean = statistics.fmean(scores)
    if mean == -float("inf"):
        raise InfeasibleError("diverged", 1.0, "no validation gave a correlation")
    return mean, runs


@dataclass
class Curve:
    """The best validation so far of one run, told to the study.

    Attributes:
        trial: Where it is told; None for nowhere.
        validations: How many there will be; the last one prunes nothing. 0 to never prune.
        memory: Gigabytes allowed; None for any.
        best: Of the objective; minus infinity before the first.
        count: Validations so far.
    """

    trial: Trial | None
    validations: int
    memory: float | None
    device: torch.device
    best: float = -float("inf")
    count: int = 0

    def watch(self, step: int, figures: Mapping[str, float]) -> None:
        """Take in a validation.

        Raises:
            PrunedError: The trial is behind.
            InfeasibleError: It takes too much memory.
            LostError: It was given up meanwhile.
        """
        self.count += 1
        if figures["validation/pearson"] > self.best:  # never so for NaN
            self.best = figures["validation/pearson"]
        _check_memory(self.device, self.memory)
        if self.trial is None or self.best == -float("inf"):
            return
        try:
            self.trial.report(self.best, self.count)
            if self.count < self.validations and self.trial.should_prune():
                raise PrunedError(f"behind with {self.best:.4f} after validation {self.count}")
        except UpdateFinishedTrialError:
            raise LostError from None


@contextmanager
def _memory_limit(device: torch.device, gigabytes: float | None) -> Iterator[None]:
    """Forget the peak so far, and let allocations beyond the limit fail where torch can."""
    if gigabytes is None:
        yield
    elif device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        whole = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * _GIGABYTE / whole), device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
    else:
        try:
            _CLEAR_PEAK.write_text("5")
        except OSError:
            raise BenchError(
                f"{argument('max_memory')} needs CUDA, or Linux to measure a CPU run."
            ) from None
        yield


def _check_memory(device: torch.device, gigabytes: float | None) -> None:
    if gigabytes is None:
        return
    taken = peak_memory(device) / _GIGABYTE
    if taken > gigabytes:
        reason = f"{taken:.2f} GB, above {gigabytes:g}"
        raise InfeasibleError("memory", taken / gigabytes - 1, reason)
