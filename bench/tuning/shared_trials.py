"""A trial on several devices: rank 0 asks, all train the same values, the others ask nobody."""

from __future__ import annotations

from pathlib import Path

from bench.errors import PrunedError
from bench.registry import MODELS, TASKS, load_plugin_file
from bench.training.distributed import from_environment
from bench.training.signals import Stop
from bench.tuning.trial import InfeasibleError, Job, LostError, run


def share(job: Job | None) -> None:
    """Hand a trial from rank 0 to the others; None lets them go."""
    from_environment().broadcast(job)


def follow(stop: Stop) -> None:
    """Train what rank 0 hands out, until it lets go; no storage is opened."""
    waiting: Job | None = None
    while (job := from_environment().broadcast(waiting)) is not None:
        known = {place.origin for place in [*MODELS.places().values(), *TASKS.places().values()]}
        for file in job.plugins:
            if file not in {str(Path(origin).absolute()) for origin in known}:
                load_plugin_file(Path(file))
        try:
            run(job, None, tracked=False, stop=stop)
        except (PrunedError, InfeasibleError, LostError):  # rank 0 tells of it
            continue
