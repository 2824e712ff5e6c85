"""One run, from a request to a scored and recorded result."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_model

from bench.console import SILENT, Console
from bench.errors import DivergedError, PrunedError, StoppedError
from bench.paths import runs_dir, runs_dir_of_study
from bench.results import run_folder
from bench.results.manifest import Manifest
from bench.results.options import Request
from bench.runner.identity import identity
from bench.runner.progress import ProgressReporter, Watch, announce
from bench.runner.request import resolve
from bench.runner.resume import earlier_run, resume_line
from bench.runner.setup import Job
from bench.scoring.scorer import score
from bench.tracking.mlflow_store import check_address
from bench.tracking.uploader import Uploader, send_rest
from bench.training.checkpoints import Checkpoints, State
from bench.training.device import choose_device, out_of_memory
from bench.training.distributed import from_environment, joined
from bench.training.signals import NEVER, Stop


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
    earlier = earlier_run(job.request, wanted, home)
    if earlier is not None and earlier.finished:
        job.ranks.broadcast((False, None))
        manifest = run_folder.read_manifest(earlier.path)
        console.say(
            f"the run finished before, on {manifest.finished}: {earlier.path} "
            "(force trains it again)"
        )
        if tracked:
            console.warn(send_rest(earlier.path, _store(job.request)))
        return manifest
    if earlier is None:
        title = f"{job.request.model}-{job.dataset.name}-s{job.request.seed}"
        run = run_folder.RunFolder.create(home, title)
    else:
        run = run_folder.RunFolder.reopen(earlier.path)
    with run.held():
        asked = {**job.request.as_json(), "task": described.task.name}
        checkpoints = Checkpoints(run.path / run_folder.CHECKPOINTS, job.request.checkpoint_minutes)
        state, damaged = checkpoints.load()
        history = run.rewind(state["step"] if state else 0)
        run.restart(described.changed(identity=wanted, request=asked))
        announce(console, run.path, run.manifest)
        for line in damaged:
            console.warn(line)
        if earlier is not None:
            console.say(
                f"  resumed: the run continues after step {state['step'] if state else 0:,}"
            )
        job.ranks.broadcast((True, state))
        uploader = Uploader(run.path, _store(job.request)) if tracked else None
        try:
            with ProgressReporter(run, console, job.plan, uploader, watch) as report:
                report.recall(history)
                _record(job, run, report, state, checkpoints)
        except StoppedError as error:
            again = resume_line(job.request, run.path, tracked=tracked)
            raise error.wrapped(after=f" To resume it, run: {again}") from None
        finally:
            if uploader is not None:
                console.warn(uploader.close())
    return run.manifest


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
        trained = job.fit(report, state, checkpoints)
        outcome = Manifest(
            best_step=trained.best_step,
            cost=job.cost(trained),
            metrics=report.at(trained.best_step),
        )
        if trained.losses is not None:
            np.save(run.path / run_folder.LOSSES, trained.losses)
        if (predictions := job.predict_test()) is not None:
            scored = _score(job, predictions, run)
            metrics = {**outcome.metrics, **scored.metrics}
            outcome = outcome.merged(scored).changed(metrics=metrics)
        run.finish("finished", outcome)
        checkpoints.clear()
    except (StoppedError, KeyboardInterrupt):
        run.save(Manifest(status="interrupted"))
        raise
    except BaseException as error:
        status = "pruned" if isinstance(error, PrunedError) else "failed"
        run.finish(status, Manifest(error=str(error) or type(error).__name__))
        if isinstance(error, DivergedError):
            raise error.wrapped(after=f" Recorded as failed in {run.path}.") from None
        error.add_note(f"The run is recorded as {status} in {run.path}.")
        raise


def _score(job: Job, predictions: NDArray[np.float64], run: run_folder.RunFolder) -> Manifest:
    """Write the predictions of the test rows and the weights; return the scores."""
    if not np.isfinite(predictions).all():
        raise DivergedError("predictions of the test rows are not all finite.")
    np.save(run.path / run_folder.PREDICTIONS, predictions)
    save_model(job.model, str(run.path / run_folder.WEIGHTS))
    # safetensors makes a file that only its owner can read.
    shutil.copymode(run.path / run_folder.PREDICTIONS, run.path / run_folder.WEIGHTS)
    return score(job.prepared.task, job.dataset.test, predictions).outcome(job.dataset.test)


class _SilentProgress:
    """The progress of ranks other than 0, which report nothing."""

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        """Do nothing."""

    def epoch(self, step: int, metrics: dict[str, float]) -> None:
        """Do nothing."""
