"""A trial on several devices: rank 0 takes it from the study and sends it to the other ranks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from bench.errors import TrialError
from bench.results.options import Request
from bench.training.distributed import from_environment
from bench.training.signals import Stop
from bench.tuning.trial import TrialJob, run


def share(job: TrialJob | None) -> None:
    """Send a trial from rank 0 to the other ranks; None tells them to end."""
    from_environment().broadcast(packed(job))


def follow(stop: Stop) -> None:
    """Train the trials that rank 0 sends, until it sends None; no storage is opened."""
    while (job := unpacked(from_environment().broadcast("null"))) is not None:
        try:
            run(job, None, tracked=False, stop=stop)
        except TrialError:  # rank 0 records it
            continue


def packed(job: TrialJob | None) -> str:
    """Return a trial as JSON: between ranks only numbers and texts are sent."""
    return json.dumps(job and dataclasses.asdict(job), default=str)  # paths become texts


def unpacked(text: str) -> TrialJob | None:
    """Return the trial of :func:`packed`."""
    values: dict[str, Any] | None = json.loads(text)
    if values is None:
        return None
    requests = tuple(_request(request) for request in values["requests"])
    return TrialJob(**{**values, "requests": requests})


def _request(values: dict[str, Any]) -> Request:
    folders: dict[str, Any] = {
        field.name: Path(values[field.name])
        for field in dataclasses.fields(Request)
        if str(field.type).startswith("Path") and values[field.name] is not None
    }
    return Request(**{**values, **folders})
