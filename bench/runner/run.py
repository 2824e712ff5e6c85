"""One run, from a request to a scored and recorded result."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_model

from bench.console import SILENT, Console
from bench.errors import (
    BenchError,
    DivergedError,
    PrunedError,
    StoppedError,
    argument,
    first_line,
)
from bench.paths import runs_dir, runs_dir_of_study
from bench.results import run_folder
from bench.results.manifest import Manifest
from bench.results.options import Request
from bench.runner.identity import identity
from bench.runner.progress import ProgressReporter, Watch, announce
from bench.runner.request import resolve
from bench.runner.resume import earlier_run, only_starter, resume_line
from bench.runner.setup import Job
from bench.scoring.scorer import score
from bench.tracking.mlflow_store import check_address
from bench.tracking.uploader import Uploader, send_rest
from bench.training.checkpoints import Checkpoints, State
from bench.training.device import choose_device, out_of_memory
from bench.training.distributed import from_environment, joined
from bench.training.signals import NEVER, Stop

_LEARNED = 0.05
"""Least validation Pearson of a network that has learned something."""


def execute(
    request: Request,
    console: Console = SILENT,
    *,
    tracked: bool,
    watch: Watch | None = None,
    stop: Stop = NEVER,
) -> Manifest | None:
    """Train a model, score it and record the run; an unfinished run of the same identity resumes.

    Args:
        request: Request of the run.
        console: Console for progress.
        tracked: Whether the run is sent to MLflow, too.
        watch: Function to call with the metrics of every validation; its exceptions end the run as
            failed.
        stop: Request to end the training early, with its state saved.

    Returns:
        Manifest of the run; None on all ranks but 0. A finished run is not repeated.

    Raises:
        StoppedError: ``stop`` requested the end; the state of the run is saved.
        BenchError: The request or its data is wrong, and nothing is written; or the training
            diverged, and the run is recorded as failed.
    """
    if tracked:
        check_address(_store(request))
    prepared, ranks = resolve(request), from_environment()
    device = choose_device(request.device, ranks.local if ranks.size > 1 else None)
    with joined(ranks, device):
        own_console = console if ranks.leads else SILENT
        job = Job.load(request, prepared, ranks, device, own_console, stop)
        with out_of_memory(job.rows_at_once, device):
            if ranks.leads:
                return _lead(job, console, tracked=tracked, watch=watch)
            begins, state = ranks.broadcast((False, None))
            if begins:
                job.fit(_SilentProgress(), state, None)
                job.predict_test()
            return None


def _lead(job: Job, console: Console, *, tracked: bool, watch: Watch | None) -> Manifest:
    """Do rank 0's part of a run: find or create its folder, train, and record the result."""
    described, home, test = job.describe(), runs_dir(job.request.runs_dir), job.dataset.test
    wanted = identity(
        job.request,
        described,
        job.prepared.model_class,
        test.fingerprint + test.subsets_fingerprint,
    )
    with ExitStack() as held:
        run, resumed = _claim(job, wanted, home, held, console)
        if run.manifest.status == "finished":
            job.ranks.broadcast((False, None))
            console.say(
                f"the run finished before, on {run.manifest.finished}: {run.path} "
                f"({argument('force')} trains it again)"
            )
            if tracked:
                console.warn(send_rest(run.path, _store(job.request)))
            return run.manifest
        asked = {**job.request.as_json(), "task": described.task.name}
        checkpoints = Checkpoints(run.path / run_folder.CHECKPOINTS, job.request.checkpoint_minutes)
        state, damaged = checkpoints.load(job.check_state)
        history, lost = run.rewind(state["step"] if state else 0)
        run.restart(described.changed(identity=wanted, request=asked))
        announce(console, run.path, run.manifest)
        for line in (*damaged, *lost):
            console.warn(line)
        if resumed:
            console.say(
                f"  resumed: the run continues after step {state['step'] if state else 0:,}"
            )
        job.ranks.broadcast((True, state))
        uploader = Uploader(run.path, _store(job.request)) if tracked else None
        try:
            with ProgressReporter(run, console, job.plan, uploader, watch) as report:
                report.recall(history)
                _record(job, run, report, state, checkpoints)
            for note in run.manifest.notes:
                console.warn(note)
        except StoppedError as error:
            again = resume_line(job.request, run.path, tracked=tracked)
            raise error.wrapped(after=f" To resume it, run: {again}") from None
        finally:
            if uploader is not None:
                console.warn(uploader.close())
    return run.manifest


def _claim(
    job: Job, wanted: dict[str, str], home: Path, held: ExitStack, console: Console
) -> tuple[run_folder.RunFolder, bool]:
    """Return the folder of the run, and whether an earlier process made it.

    Args:
        job: Run that is ready to start.
        wanted: Identity of the run.
        home: Folder of all runs.
        held: Stack that gets the lock of the folder; no lock for a finished run.
        console: Console for warnings of damaged run folders.

    Raises:
        BenchError: Another process trains the run, or the folder cannot be written.
    """
    with only_starter(wanted, home):
        earlier = earlier_run(job.request, wanted, home, console)
        if earlier is None:
            origin = "imported" if job.imported else f"s{job.request.seed}"
            title = f"{job.request.model}-{job.dataset.name}-{origin}"
            run = run_folder.RunFolder.create(home, title)
            held.enter_context(run_folder.held(run.path))
            return run, False
        if not earlier.finished:
            held.enter_context(run_folder.held(earlier.path))
        # Read only now: the process that held the lock may have finished the run.
        return run_folder.RunFolder.reopen(earlier.path), True


def _store(request: Request) -> Path:
    """Return the folder of the MLflow store of a run; a trial has that of its study."""
    home = runs_dir(request.runs_dir)
    return home if request.study is None else runs_dir_of_study(home)


def _record(
    job: Job,
    run: run_folder.RunFolder,
    report: ProgressReporter,
    state: State | None,
    checkpoints: Checkpoints,
) -> None:
    """Train and score a model, and write the outcome or the error to the run's folder."""
    try:
        outcome = Manifest()
        if job.imported is None:
            outcome = _train(job, run, report, state, checkpoints)
        if (predictions := job.predict_test()) is not None:
            scored = _score(job, predictions, run)
            metrics = {**outcome.metrics, **scored.metrics}
            outcome = outcome.merged(scored).changed(metrics=metrics)
        run.finish("finished", outcome)
    except (StoppedError, KeyboardInterrupt):
        with suppress(BenchError):  # where nothing can be written, the first error tells more
            run.save(Manifest(status="interrupted"))
        raise
    except BaseException as error:
        status = "pruned" if isinstance(error, PrunedError) else "failed"
        with suppress(BenchError):
            run.finish(status, Manifest(error=str(error) or type(error).__name__))
            error.add_note(f"The run is recorded as {status} in {run.path}.")
        if isinstance(error, DivergedError):
            raise error.wrapped(after=f" Recorded as failed in {run.path}.") from None
        raise
    checkpoints.clear()


def _weakness(metrics: Mapping[str, float | None]) -> str | None:
    """Return a warning if a network has learned nothing, as some seeds of some networks do."""
    pearson = metrics.get("validation/pearson") or 0.0  # none for constant predictions
    if pearson >= _LEARNED:
        return None
    return (
        f"the training did not converge: its validation Pearson is {pearson:.3f}. "
        "Another seed or learning rate may."
    )


def _train(
    job: Job,
    run: run_folder.RunFolder,
    report: ProgressReporter,
    state: State | None,
    checkpoints: Checkpoints,
) -> Manifest:
    """Train a model, write its losses, and return costs and validation metrics."""
    trained = job.fit(report, state, checkpoints)
    outcome = Manifest(
        best_step=trained.best_step,
        cost=job.cost(trained),
        metrics=report.at(trained.best_step) or job.validate(),
    )
    if note := _weakness(outcome.metrics):
        outcome = outcome.changed(notes=(note,))
    if trained.losses is not None:
        run.write_array(run_folder.LOSSES, trained.losses)
    if trained.terms is not None:
        run.write_array(run_folder.LOSS_TERMS, trained.terms)
    return outcome


def _score(job: Job, predictions: NDArray[np.float64], run: run_folder.RunFolder) -> Manifest:
    """Write the predictions of the test rows and the weights; return the scores."""
    if not np.isfinite(predictions).all():
        raise DivergedError("predictions of the test rows are not all finite.")
    run.write_array(run_folder.PREDICTIONS, predictions)
    with run.new_file(run_folder.WEIGHTS) as path:
        try:
            save_model(job.model, str(path), job.model.scale.texts())
        except SafetensorError as error:  # a full disk
            raise OSError(first_line(error)) from None
        # safetensors makes a file that only its owner can read.
        shutil.copymode(run.path / run_folder.PREDICTIONS, path)
    return score(job.prepared.task, job.dataset.test, predictions).outcome(job.dataset.test)


class _SilentProgress:
    """The progress of ranks other than 0, which report nothing."""

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        """Do nothing."""

    def epoch(self, step: int, metrics: dict[str, float]) -> None:
        """Do nothing."""
