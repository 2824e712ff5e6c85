"""The options of the work on a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.training.signals import NEVER, Stop
from bench.tuning.open_study import SearchSpec


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Wishes for the work on a study, apart from what is searched.

    Attributes:
        settings: Definition of the search, as typed; None to read it from the study.
        name, storage: Name and storage of the study; None for the default.
        resume: Whether the study must exist already.
        trials: Number of finished trials, over all workers; None for the default.
        minutes: Time after which no trial is started; None for no limit.
        refit: Number of the best trials to run at full budget afterwards; None for none.
        workers: Number of processes.
        child: Whether this process is one of several workers.
        device: Device, as for a run.
        tracked: Whether runs are sent to MLflow.
        home: Folder of all runs.
        data: Folder of the data on this machine; None for the one that the study records.
        stop: Request to end a training early.
    """

    settings: SearchSpec | None
    name: str | None
    storage: str | None
    resume: bool
    trials: int | None
    minutes: float | None
    refit: int | None
    workers: int
    child: bool
    device: str
    tracked: bool
    home: Path
    data: Path | None
    stop: Stop = NEVER
