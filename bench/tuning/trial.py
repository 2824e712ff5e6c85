"""One trial: its runs, and the errors by which it may end."""

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
from bench.errors import (
    BenchError,
    DivergedError,
    OutOfMemoryError,
    PrunedError,
    TrialError,
    argument,
)
from bench.results.options import Request
from bench.runner.run import execute
from bench.training.device import choose_device, peak_memory
from bench.training.distributed import from_environment
from bench.training.signals import NEVER, Stop
from bench.tuning.definition import Params, Search
from bench.tuning.feasibility import REFUSALS, Probe

_GIGABYTE = 1e9
_CLEAR_PEAK = Path(
    "/proc/self/clear_refs"
)  # writing 5 resets the peak memory of the process, on Linux


class InfeasibleError(TrialError):
    """An error that ends a trial without a score, because it exceeds a limit.

    Args:
        limit: Name of the limit.
        excess: Excess over the limit, as a share of the limit; above 0.
        reason: Text for the user.
    """

    def __init__(self, limit: str, excess: float, reason: str) -> None:
        super().__init__(reason)
        self.limit, self.excess = limit, excess


class LostError(TrialError):
    """An error that ends a trial which was given to another worker: its result does not count."""


@dataclass(frozen=True, slots=True)
class TrialJob:
    """The runs of a trial, and everything that ranks other than 0 need for them.

    Attributes:
        requests: Requests of the runs, one for each seed.
        validations: Number of validations of a run; 0 for a trial that is not pruned.
        memory: Largest memory, in gigabytes; None for no limit.
    """

    requests: tuple[Request, ...]
    validations: int = 0
    memory: float | None = None


def job(search: Search, probe: Probe, params: Params, study: Mapping[str, object]) -> TrialJob:
    """Return the runs of a trial.

    Args:
        search: Definition of the search.
        probe: Probe for the data of the search.
        params: Values of the trial.
        study: Name of the study and number of the trial, recorded with every run.

    Raises:
        InfeasibleError: The model refuses the values, or has too many parameters.
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
    return TrialJob(requests, validations, search.max_memory)


def run(
    task: TrialJob,
    trial: Trial | None,
    console: Console = SILENT,
    *,
    tracked: bool,
    stop: Stop = NEVER,
) -> tuple[float, list[str]]:
    """Train the models of a trial.

    Args:
        task: Runs of the trial.
        trial: Optuna's trial, which receives validation scores; None on ranks other than 0.
        console: Console for warnings.
        tracked: Whether the runs are sent to MLflow.
        stop: Request to end the training early.

    Returns:
        The mean of the objective over the seeds, and the names of the runs.

    Raises:
        PrunedError: The run of the first seed is behind the other trials.
        InfeasibleError: A run diverged, or took too much memory.
        LostError: The trial was given to another worker in the meantime.
        BenchError: The trial cannot run on this machine.
    """
    ranks = from_environment()
    device = choose_device(task.requests[0].device, ranks.local if ranks.size > 1 else None)
    if device.type == "cuda":  # memory that a failed trial left would count for this trial
        gc.collect()
        torch.cuda.empty_cache()
    scores, runs = [], []
    for request in task.requests:
        curve = Curve(trial, task.validations, task.memory, device)
        trial = None  # Optuna sees one curve for each trial: that of the first seed
        try:
            with _memory_limit(device, task.memory):
                manifest = execute(
                    request,
                    console.only_warnings(),
                    tracked=tracked,
                    watch=curve.update,
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
    """The best validation score of one run so far, reported to the study.

    Attributes:
        trial: Optuna's trial, which receives the scores; None to report none.
        validations: Number of validations of the run, the last of which never prunes; 0 for a run
            that is not pruned.
        memory: Largest memory, in gigabytes; None for no limit.
        device: Device of the run.
        best: Best value of the objective so far; minus infinity before the first.
        count: Number of validations so far.
    """

    trial: Trial | None
    validations: int
    memory: float | None
    device: torch.device
    best: float = -float("inf")
    count: int = 0

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a validation, and end the trial if it is to end.

        Raises:
            PrunedError: The trial is behind the other trials.
            InfeasibleError: The run takes too much memory.
            LostError: The trial was given to another worker in the meantime.
        """
        self.count += 1
        if metrics["validation/pearson"] > self.best:  # never true for NaN
            self.best = metrics["validation/pearson"]
        _check_memory(self.device, self.memory)
        if self.trial is None or self.best == -float("inf"):
            return
        try:
            self.trial.report(self.best, self.count)
            if self.count < self.validations and self.trial.should_prune():
                raise PrunedError(
                    f"behind other trials: {self.best:.4f} after validation {self.count}"
                )
        except UpdateFinishedTrialError:
            raise LostError from None


@contextmanager
def _memory_limit(device: torch.device, gigabytes: float | None) -> Iterator[None]:
    """Reset the peak memory; on CUDA, make allocations beyond the limit fail."""
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
