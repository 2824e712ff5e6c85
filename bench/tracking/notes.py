"""The note in a run's folder, tracking.json: what was sent of the run, and to which store.

It saves questions to the store. It proves nothing: a store can be replaced or restored meanwhile.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.atomic import write_json

STATE = "tracking.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What was sent of a run.

    Attributes:
        uri: Address of the store, without secrets.
        run_id: MLflow's number of the run.
        lines: Number of lines of metrics.jsonl that were sent.
        status: Status of the run when all of it was sent; None before.
    """

    uri: str
    run_id: str
    lines: int = 0
    status: str | None = None

    def write(self, run: Path) -> None:
        """Write the note to a run's folder."""
        write_json(run / STATE, asdict(self))


def read_note(run: Path) -> Note | None:
    """Return the note in a run's folder; None if there is none, or none that makes sense."""
    try:
        found = json.loads((run / STATE).read_text(encoding="utf-8"))
        note = Note(**{name: found.get(name) for name in Note.__slots__})
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    typed = (str, str, int, str | None)
    values = (note.uri, note.run_id, note.lines, note.status)
    right = all(isinstance(value, kind) for value, kind in zip(values, typed, strict=True))
    return note if right and note.lines >= 0 else None


def damage(run: Path) -> str | None:
    """Return a warning of a note that makes no sense; None if there is none."""
    if not (run / STATE).exists() or read_note(run) is not None:
        return None
    return f"{run / STATE} is damaged; it is made anew from what MLflow has"


def logged_number(run: Path) -> str:
    """Return MLflow's number of a run that was sent; empty for one that was not."""
    note = read_note(run)
    return "" if note is None else note.run_id
