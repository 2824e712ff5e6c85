"""The result of a check, and the words in which a check says what is wrong."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest

from bench.errors import BenchError

Outcome = Literal["passed", "failed", "measured", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: Name of the check, such as "batch independence".
        outcome: "measured" is a figure without a verdict.
        text: What is wrong and what to change, what was measured, or why a check was skipped.
        seconds: Time that the check took.
    """

    check: str
    outcome: Outcome
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of all checks of one plugin."""

    kind: str
    name: str
    findings: Sequence[Finding]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> list[str]:
        """The names of the checks that failed."""
        return [found.check for found in self.findings if found.outcome == "failed"]

    @property
    def seconds(self) -> float:
        """Time of all checks."""
        return sum(found.seconds for found in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            self.kind: self.name,
            "passed": self.passed,
            "seconds": round(self.seconds, 2),
            "checks": [
                {
                    "check": found.check,
                    "outcome": found.outcome,
                    "text": found.text,
                    "seconds": round(found.seconds, 3),
                }
                for found in self.findings
            ],
        }


def fail(text: str) -> NoReturn:
    """End a check: the text says what is wrong and what to change."""
    pytest.fail(text, pytrace=False)


def skip(text: str) -> NoReturn:
    """End a check that does not apply, for this reason."""
    pytest.skip(text)


def several(names: Sequence[str], most: int = 3) -> str:
    """Return the first names of a list, and the number of the others."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def source(plugin: type[Any]) -> Path | None:
    """Return the file of a class; None for a class of a notebook's cell."""
    try:
        return Path(inspect.getfile(plugin))
    except (OSError, TypeError):
        return None


def explained(error: BaseException, file: Path | None) -> str:
    """Return an error in one line, with the last line of the plugin's file that led to it."""
    if isinstance(error, BenchError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is not None and Path(frame.filename) == file]
    place = (own or frames)[-1:]
    where = f" ({Path(place[0].filename).name}:{place[0].lineno})" if place else ""
    text = re.split(r"\n\s*\n", str(error).strip())[0]
    return f"{type(error).__name__}: {' '.join(text.split())[:300]}{where}"
