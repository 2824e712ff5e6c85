"""The summary of a study: trials by state, the best trial and the cost."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from bench.errors import BenchError, argument
from bench.inert import for_csv
from bench.tuning.slots import END, is_infeasible, slot_of
from bench.tuning.study import STOPPED, WANTED

DEVICES = "devices"
"""User attribute of a trial: number of devices that it ran on."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of a study.

    Attributes:
        name: Name of the study.
        wanted: Number of trials asked for; None for no limit.
        counts: Number of trials by state: complete, pruned, infeasible, running, waiting, lost,
            given back, error, not needed. Trials in the first three states count as finished.
        reasons: Number of infeasible trials, by the limit that they exceed.
        best: Best complete trial; None before there is one.
        device_hours: Device-hours of all trials, lost ones included.
        stopped: Reason why no worker starts another trial; empty while workers do.
    """

    name: str
    wanted: int | None
    counts: dict[str, int]
    reasons: dict[str, int]
    best: FrozenTrial | None
    device_hours: float
    stopped: str

    @property
    def finished(self) -> int:
        """Number of finished trials: complete, pruned or infeasible."""
        return sum(self.counts.get(state, 0) for state in ("complete", "pruned", "infeasible"))

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        best = self.best
        return {
            "study": self.name,
            "trials": self.wanted,
            "finished": self.finished,
            "states": self.counts,
            "infeasible": self.reasons,
            "device_hours": self.device_hours,
            "stopped": self.stopped or None,
            "best": None
            if best is None
            else {"trial": best.number, "value": best.value, "params": best.params},
        }


def summarize(study: Study) -> Summary:
    """Return the summary of a study."""
    trials = study.get_trials(deepcopy=False)
    attributes = study.user_attrs
    complete = ranked(study)
    reasons = Counter(name for t in trials for name, excess in t.constraints.items() if excess > 0)
    return Summary(
        study.study_name,
        attributes.get(WANTED),
        dict(Counter(map(state_of, trials)).most_common()),
        dict(reasons.most_common()),
        complete[0] if complete else None,
        sum(_hours(trial) for trial in trials),
        attributes.get(STOPPED) or "",
    )


def ranked(study: Study) -> list[FrozenTrial]:
    """Return the trials that have a score, the best first."""
    states = (TrialState.COMPLETE,)
    trials = [t for t in study.get_trials(deepcopy=False, states=states) if not is_infeasible(t)]
    return sorted(trials, key=lambda trial: (-(trial.value or 0.0), trial.number))


def state_of(trial: FrozenTrial) -> str:
    """Return the state of a trial as shown to users."""
    if trial.state == TrialState.FAIL:
        return str(trial.user_attrs.get(END, "failed"))
    if trial.state == TrialState.COMPLETE and is_infeasible(trial):
        return "infeasible"
    return trial.state.name.lower()


def table(study: Study) -> tuple[list[str], list[list[Any]]]:
    """Return the column names and the rows of the table of all trials."""
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    head = ["trial", "slot", "state", "value", "validations", "seconds", "reason", "runs"]
    rows = [[*_cells(trial), *(trial.params.get(name) for name in names)] for trial in trials]
    return [*head, *names], rows


def export(study: Study, path: Path) -> int:
    """Write the table of all trials to a CSV file; return the number of trials.

    Raises:
        BenchError: The file cannot be written.
    """
    head, rows = table(study)
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([for_csv(cell) for cell in row] for row in [head, *rows])
    except OSError as error:
        raise BenchError(f"{argument('export')} {path}: {error.strerror}.") from None
    return len(rows)


def _cells(trial: FrozenTrial) -> list[Any]:
    scored = trial.values is not None and not is_infeasible(trial)
    return [
        trial.number,
        slot_of(trial),
        state_of(trial),
        trial.value if scored else None,
        len(trial.intermediate_values),
        None if trial.duration is None else trial.duration.total_seconds(),
        trial.user_attrs.get("reason", ""),
        " ".join(trial.user_attrs.get("runs", [])),
    ]


def _hours(trial: FrozenTrial) -> float:
    if trial.duration is None:
        return 0.0
    seconds = max(0.0, trial.duration.total_seconds())  # a clock may be set back
    return seconds / 3600 * float(trial.user_attrs.get(DEVICES, 1))
