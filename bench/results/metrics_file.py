"""The reader of metrics.jsonl: the metrics of every validation of a run, one line each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.atomic import open_regular

_LARGEST = 1 << 53  # steps and times: beyond it, floats skip whole numbers


@dataclass(frozen=True, slots=True)
class MetricsLine:
    """The metrics of one validation.

    Attributes:
        step: Training step of the validation.
        time: Time of the validation in milliseconds since 1970.
        metrics: Values by name, all finite.
    """

    step: int
    time: int
    metrics: Mapping[str, float]

    def as_text(self) -> str:
        """Return the line as it is in the file."""
        line = {"step": self.step, "time": self.time, "metrics": self.metrics}
        return json.dumps(line) + "\n"


def read_metrics(path: Path) -> tuple[list[MetricsLine], list[str]]:
    """Return the lines of a file of metrics, and a message for each damaged line.

    The last line may be half written: without its end it is ignored. A file that does not exist has
    no lines.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        with open_regular(path) as file:
            return parse_metrics(file.read(), str(path))
    except FileNotFoundError:
        return [], []


def parse_metrics(content: bytes, name: str) -> tuple[list[MetricsLine], list[str]]:
    """Return what :func:`read_metrics` returns, of the content of a file of that name."""
    lines, damaged = [], []
    for number, text in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            lines.append(_line(json.loads(text)))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            damaged.append(f"{name}, line {number}, is not a line of metrics and is left out.")
    return lines, damaged


def _line(found: Any) -> MetricsLine:
    """Return the line of a JSON value; any value of a wrong type raises an error."""
    step, time, metrics = found["step"], found["time"], found["metrics"]
    whole = type(step) is int and type(time) is int and 0 <= step < _LARGEST
    if not whole or not 0 <= time < _LARGEST or not isinstance(metrics, dict):
        raise ValueError
    for value in metrics.values():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError
    return MetricsLine(step, time, metrics)
