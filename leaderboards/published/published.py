"""Published figures (numbers from papers, talks and programs), compared with measured values.

Each line of ``figures.csv`` is one published figure. Its metric is the computed one, which is not
always the one that the text names: the challenge's leaderboard, and so the talk's four rows on
private data, give squared r over all rows; MadLab's program squares the value that its report calls
Pearson. The talk's values on promoters are near .72, but test promoters, measured in many more
cells, give .9 and more: the talk's values are correlations on held-out rows of the training file.

The talk's slides state width, heads, blocks and k of its models, and a mask of 5% of the bases;
kernel, gate and length are from the program and the report. The slide of the four rows states the
head, whether masks are filled, and the place of GLU; it names "hold-out validation data", and the
scores of the submission on the private rows agree to .02. Its 5% are from the other slides.

A published figure is compared with the models of a leaderboard that have its settings. Codes of
``reasons.csv`` name all other differences between the two. Each line of that file gives a code, its
meaning, and the settings in which a result may differ and still be compared, with this code. In all
other settings a result has to agree. ``parameters`` is not an option but the size of the network,
where the authors' settings have it and no other.

Figures of a final ranking are those of whole systems on the rows that rank. They stand beside every
leaderboard of these rows, also without a result of the model. Of the challenge's final ranking all
digits are known: gautammalik-git/Camformer gives the organisers' own table. Its rows called pearson
are squares of r; the weighted mean of them is the Pearson Score.
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

FINAL = "final ranking"
"""Beginning of the variant of figures that stand beside every leaderboard."""
_TOLERATED = 0.05  # relative difference of the number of training rows by another random choice


@dataclass(frozen=True, slots=True)
class Reference:
    """One published figure; see :func:`meanings` for ``reason``.

    Attributes:
        task, model: Names of ``bench tasks`` and ``bench models``, or a model of another program.
        variant: Name that the authors use.
        setting: Corresponding settings here, such as ``model.head``, and the protocol (``track``).
        figure: Metric that was computed, such as ``test/all/pearson`` or
            ``validation/pearson squared``.
        value: Value as printed.
        rows: Part of the test rows that was scored.
        training_rows, seeds: Number of training rows and of seeds; None if not stated.
        source, page: Pinned address of the source, and the place in it.
        reason: Codes of the reasons why no measured value is comparable.
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

    @property
    def final(self) -> bool:
        """Whether the figure is one of a whole system in a final ranking."""
        return self.variant.startswith(FINAL)

    @property
    def score(self) -> str:
        """Name of the score, without the part and the power; "all/pearson" for its square."""
        return self.figure.removeprefix("test/").partition(" ")[0]

    @property
    def subset(self) -> str:
        """Subset of the test rows; empty for an overall score, or one on other rows."""
        tested = self.figure.startswith("test/")
        return self.score.rpartition("/")[0] if tested else ""

    def as_json(self) -> dict[str, Any]:
        """Return the figure as a flat row, with settings and codes as text."""
        setting = " ".join(f"{name}={value}" for name, value in self.setting.items())
        return {**asdict(self), "setting": setting, "reason": " ".join(self.reason)}


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """A published figure and a measured value.

    Attributes:
        reference: Published figure.
        label: Label of the leaderboard row; if no row has the settings, of the published model.
        measured: Mean over the runs of the row; NaN if there is none.
        reason: Codes of the reasons why the two are not comparable; empty if they are.
    """

    reference: Reference
    label: str
    measured: float
    reason: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Measured value less published figure."""
        return self.measured - self.reference.value

    @property
    def source(self) -> str:
        """Source of the published figure, and the place in it."""
        return f"{self.reference.source}, {self.reference.page}"

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as a flat row."""
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
    """Return the reasons why a measured value is not comparable with a published one, by code."""
    return {line["code"]: line["meaning"] for line in _lines("reasons.csv")}


@cache
def references(task: str) -> tuple[Reference, ...]:
    """Return the published figures of a task, in file order; none for an unknown task."""
    return tuple(found for found in _all() if found.task == task)


@cache
def published_of(model: str) -> tuple[Reference, ...]:
    """Return the published figures of a model without ablations, which the tasks' cards list."""
    return tuple(r for r in _all() if r.model == model and r.variant != "ablation")


def published_comparisons(
    board: Leaderboard, *, subsets: bool = False
) -> tuple[PublishedComparison, ...]:
    """Return the comparisons of published figures with the models of a leaderboard.

    Args:
        board: Leaderboard.
        subsets: Whether to return figures of single subsets of the test rows, and every figure of
            a final ranking; otherwise models without a result have those of the board's scores.

    Returns:
        A comparison for every figure and every row with its settings. For a figure without such a
        row, a comparison with the best row of the same model; if there is none, one without a
        measured value for a final ranking only. A figure of an ablation without such a row has no
        comparison, and neither has one on test rows that the board does not rank.
    """
    lines = []
    for reference in references(board.data):
        if reference.figure.startswith("test/") and reference.rows != board.part:
            continue
        if reference.subset not in ("", "all") and not subsets:
            continue
        rows = [row for row in board.rows if _matches(reference, row)]
        lines += [_compared(reference, row, row.group.label, board) for row in rows]
        if rows or reference.variant == "ablation":
            continue
        label = f"{reference.model}, {reference.variant}"
        best = next((row for row in board.rows if row.newest.model == reference.model), None)
        if best is not None:
            lines.append(_compared(reference, best, label, board))
        elif reference.final and (subsets or reference.score in (board.primary, board.second)):
            reason = (*reference.reason, "no-run")
            lines.append(PublishedComparison(reference, label, math.nan, reason))
    return tuple(lines)


def _matches(reference: Reference, row: Row) -> bool:
    if row.newest.model != reference.model:
        return False
    if not row.newest.verified:
        return reference.final
    return all(
        _setting(entry, name).lower() == value.lower()
        for name, value in reference.setting.items()
        for entry in row.group.entries
        if name not in _codes_by_setting()
    )


def _compared(
    reference: Reference, row: Row, label: str, board: Leaderboard
) -> PublishedComparison:
    measured = _measured(reference.figure, row)
    lists = board.test.remarks if board.remarks and reference.figure.startswith("test/") else {}
    codes = [
        *reference.reason,
        *([] if _matches(reference, row) else ["other-settings"]),
        *(["other-list"] if lists and reference.subset in ("", *lists) else []),
        *(code for entry in row.group.entries for code in _differences(reference, entry)),
        *(["other-metric"] if math.isnan(measured) else []),
    ]
    return PublishedComparison(reference, label, measured, tuple(dict.fromkeys(codes)))


def _differences(reference: Reference, entry: Entry) -> list[str]:
    """Return the codes of the differences between one run and a published figure."""
    if not entry.verified:
        return ["unverified"]
    by_setting = _codes_by_setting()
    codes = [
        by_setting[name]
        for name, value in reference.setting.items()
        if name in by_setting and _setting(entry, name).lower() != value.lower()
    ]
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
    if name == "parameters":
        return f"{entry.figures.get('cost/parameters', math.nan):.0f}"
    return entry.tags.get("track", "") if name == "track" else entry.settings.get(name, "")


def _measured(figure: str, row: Row) -> float:
    """Return the mean over a row's runs of the metric of a published figure."""
    name, _, squared = figure.partition(" ")
    logged = name if name.startswith("test/") else f"best/{name}"
    values = [entry.figures.get(logged, math.nan) for entry in row.group.entries]
    return sum(value**2 if squared else value for value in values) / len(values)


@cache
def _codes_by_setting() -> Mapping[str, str]:
    """Return the codes by setting, for settings in which a result may differ from a figure."""
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
