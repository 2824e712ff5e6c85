"""Figures that other people published, and how they compare with what was measured here.

``figures.csv`` holds them, one a line, under the metric that was computed, which is not always
the one that a text names: the challenge's leaderboard, and so the talk's four rows on private data,
give squared r over all rows; MadLab's program squares what its report calls Pearson. The talk's
cells on promoters are near .72, where test promoters, measured in many more cells, give .9 and
more: they are correlations on held-out rows of the training file.

The talk's slides give width, heads, blocks and k of its cells, and mask 5% of the letters; kernel,
gate and length are those of the program and the report. The slide of the four rows gives the head,
whether masks are filled, and where GLU is; it says "hold-out validation data", and the submission's
own scores on the private rows are the same to .02. The 5% are those of the other slides.

A figure is held against the models of a board that have its settings. What else sets the two
apart is told by the codes of ``reasons.csv``, a line each: what the code means, and the settings in
which a result may differ and still be shown beside a figure, with this code. In all other settings
it may not.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.leaderboards.board import Leaderboard, Row
    from bench.leaderboards.entries import Entry

_TOLERATED = 0.05  # of the number of training rows: drawn anew, a dropped row more or less


@dataclass(frozen=True, slots=True)
class Reference:
    """One published figure; see :func:`meanings` for ``reason``.

    Attributes:
        task, model: As in ``bench tasks`` and ``bench models``; a model may be of another program.
        variant: What the authors call it.
        setting: Our settings that correspond, such as ``model.head``, and the track.
        figure: As computed, such as ``test/all/pearson`` or ``validation/pearson squared``.
        value: As printed.
        rows: Which part of the rows it was taken over.
        training_rows, seeds: How many; None where nobody says.
        source, page: Where it is printed: a pinned address, and the place in it.
        reason: Codes of what keeps it from being compared with anything here.
    """

    task: str
    model: str
    variant: str
    setting: Mapping[str, str]
    figure: str
    value: float
    rows: str
    training_rows: int | None
    seeds: int | None
    source: str
    page: str
    reason: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as a flat row, settings and codes as text."""
        setting = " ".join(f"{name}={value}" for name, value in self.setting.items())
        return {**asdict(self), "setting": setting, "reason": " ".join(self.reason)}


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """A published figure beside a measured one.

    Attributes:
        reference: The published one.
        label: The board's row; what was published, where no row has its settings.
        measured: Mean over the row's runs; NaN where there is none.
        reason: Codes of what keeps the two from being compared; none where they can be.
    """

    reference: Reference
    label: str
    measured: float
    reason: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Measured less published."""
        return self.measured - self.reference.value

    @property
    def source(self) -> str:
        """Where the figure is printed."""
        return f"{self.reference.source}, {self.reference.page}"

    def as_json(self) -> dict[str, Any]:
        """Return it as a flat row."""
        return {
            "model": self.label,
            "figure": self.reference.figure,
            "measured": self.measured,
            "published": self.reference.value,
            "difference": self.difference,
            "reason": " ".join(self.reason),
            "source": self.source,
        }


@cache
def meanings() -> Mapping[str, str]:
    """Return why a published figure and a measured one cannot be compared, by code."""
    return {line["code"]: line["meaning"] for line in _lines("reasons.csv")}


@cache
def references(task: str) -> tuple[Reference, ...]:
    """Return what was published on a task, in the file's order; nothing for an unknown task."""
    return tuple(found for found in _all() if found.task == task)


@cache
def published_of(model: str) -> tuple[Reference, ...]:
    """Return what was published of a model but for ablations, which the tasks' cards list."""
    return tuple(r for r in _all() if r.model == model and r.variant != "ablation")


def held_against(board: Leaderboard) -> tuple[PublishedComparison, ...]:
    """Hold what was published against the models of a board.

    Returns:
        A line for every figure and every row with its settings. Where no row has them, one for the
        best row of the same model, and one without for the challenge's winner; but none for a cell
        of an ablation.
    """
    lines = []
    for reference in references(board.data):
        rows = [row for row in board.rows if _matches(reference, row)]
        lines += [_held(reference, row, row.group.label) for row in rows]
        if rows or reference.variant == "ablation":
            continue
        label = f"{reference.model}, {reference.variant}"
        best = next((row for row in board.rows if row.newest.model == reference.model), None)
        if best is not None:
            lines.append(_held(reference, best, label))
        elif reference.variant == "winner":
            lines.append(
                PublishedComparison(reference, label, math.nan, (*reference.reason, "no-run"))
            )
    return tuple(lines)


def _matches(reference: Reference, row: Row) -> bool:
    if row.newest.model != reference.model:
        return False
    return all(
        _setting(entry, name).lower() == value.lower()
        for name, value in reference.setting.items()
        for entry in row.group.entries
        if name not in _codes_by_setting()
    )


def _held(reference: Reference, row: Row, label: str) -> PublishedComparison:
    measured = _measured(reference.figure, row)
    codes = [
        *reference.reason,
        *([] if _matches(reference, row) else ["other-settings"]),
        *(code for entry in row.group.entries for code in _apart(reference, entry)),
        *(["other-metric"] if math.isnan(measured) else []),
    ]
    return PublishedComparison(reference, label, measured, tuple(dict.fromkeys(codes)))


def _apart(reference: Reference, entry: Entry) -> list[str]:
    """Name what sets one run apart from a published figure."""
    by_setting = _codes_by_setting()
    codes = [
        by_setting[name]
        for name, value in reference.setting.items()
        if name in by_setting and _setting(entry, name).lower() != value.lower()
    ]
    if reference.figure.startswith("test/") and entry.tags["scored.rows"] != reference.rows:
        codes.append("other-rows")
    epoch, batch, passes, epochs = (
        float(entry.settings.get(name, "nan"))
        for name in ("plan.steps_per_epoch", "recipe.batch_size", "recipe.passes", "recipe.epochs")
    )
    if entry.figures.get("cost/updates", math.nan) < epoch * epochs:
        codes.append("other-budget")
    elif reference.training_rows and not math.isnan(epoch):
        rows = epoch / passes * batch
        if abs(rows / reference.training_rows - 1) > _TOLERATED:
            codes.append("other-training-rows")
    return codes


def _setting(entry: Entry, name: str) -> str:
    return entry.tags.get("track", "") if name == "track" else entry.settings.get(name, "")


def _measured(figure: str, row: Row) -> float:
    """Return the mean over a row's runs of a figure as it was published."""
    name, _, squared = figure.partition(" ")
    logged = name if name.startswith("test/") else f"best/{name}"
    values = [entry.figures.get(logged, math.nan) for entry in row.group.entries]
    return sum(value**2 if squared else value for value in values) / len(values)


@cache
def _codes_by_setting() -> Mapping[str, str]:
    """Return the codes of settings in which a result may differ and still be shown."""
    return {
        name: line["code"] for line in _lines("reasons.csv") for name in line["settings"].split()
    }


@cache
def _all() -> tuple[Reference, ...]:
    return tuple(_reference(line) for line in _lines("figures.csv"))


def _lines(name: str) -> list[dict[str, str]]:
    with (Path(__file__).parent / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _reference(line: dict[str, str]) -> Reference:
    name_and_value = (pair.partition("=") for pair in line["setting"].split())
    return Reference(
        task=line["task"],
        model=line["model"],
        variant=line["variant"],
        setting={name: value for name, _, value in name_and_value},
        figure=line["figure"],
        value=float(line["value"]),
        rows=line["rows"],
        training_rows=int(line["training_rows"]) if line["training_rows"] else None,
        seeds=int(line["seeds"]) if line["seeds"] else None,
        source=line["source"],
        page=line["page"],
        reason=tuple(line["reason"].split()),
    )
