"""A trial on several devices: rank 0 takes it from the study and sends it to the other ranks."""

from __future__ import annotations

from pathlib import Path

from bench.errors import PrunedError
from bench.registry import MODELS, TASKS, load_plugin_file
from bench.training.distributed import from_environment
from bench.training.signals import Stop
from bench.tuning.trial import InfeasibleError, LostError, TrialJob, run


def share(job: TrialJob | None) -> None:
    """Send a trial from rank 0 to the other ranks; None tells them to end."""
    from_environment().broadcast(job)


def follow(stop: Stop) -> None:
    """Train the trials that rank 0 sends, until it sends None; no storage is opened."""
    waiting: TrialJob | None = None
    while (job := from_environment().broadcast(waiting)) is not None:
        known = {place.origin for place in [*MODELS.places().values(), *TASKS.places().values()]}
        for file in job.plugins:
            if file not in {str(Path(origin).absolute()) for origin in known}:
                load_plugin_file(Path(file))
        try:
            run(job, None, tracked=False, stop=stop)
        except (PrunedError, InfeasibleError, LostError):  # rank 0 records it
            continue
