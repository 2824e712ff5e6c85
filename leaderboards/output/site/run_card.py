"""Cards of runs: the values that the page of a run shows."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.leaderboards.artifacts import read_artifact
from bench.leaderboards.board import Leaderboard, Row
from bench.leaderboards.entries import Entry
from bench.metrics import Metric
from bench.results.command import run_line
from bench.results.manifest import Manifest
from bench.results.run_folder import MANIFEST

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,120}")
Table = Mapping[str, str]


@dataclass(frozen=True)
class Card:
    """The card of one run.

    Attributes:
        entry: The run.
        file: File name of the page, safe for any name of the run.
        row: Row of its model on the leaderboard; None if the run does not rank.
        apart: Reason for the exclusion of the run; empty if it ranks.
        command: Command that repeats the run; empty if none is recorded.
        metrics: Metrics of the test rows.
        subsets: Values of the metrics by subset; None where there is none.
        figures: All other metrics.
        facts: Tables of all other records, by heading.
    """

    entry: Entry
    file: str
    row: Row | None
    apart: str
    command: str
    metrics: Sequence[Metric]
    subsets: Mapping[str, tuple[float | None, ...]]
    figures: Mapping[str, float]
    facts: Mapping[str, Table]


def cards(board: Leaderboard) -> Iterator[Card]:
    """Yield a card for every finished run: first those that rank, the best ones first."""
    placed = {row.group.label: row for row in board.rows}
    without_score = {} if board.board is None else board.board.without_score
    metrics = board.task_class.all_metrics()
    for row in board.rows:
        for entry in row.group.entries:
            if entry.id not in without_score:
                yield _card(entry, metrics, row, "")
    for group in board.selection.groups:
        for entry in group.entries:
            if group.label not in placed or entry.id in without_score:
                yield _card(entry, metrics, None, without_score.get(entry.id, "no score"))
    for entry, reason in board.selection.excluded:
        yield _card(entry, metrics, None, reason)


def file_name(run: str) -> str:
    """Return the file name of a run's page: the run's name if it is safe, or else a hash of it."""
    if _PLAIN.fullmatch(run):
        return f"{run}.html"
    return f"{hashlib.blake2b(run.encode(), digest_size=12).hexdigest()}.html"


def subset_names(figures: Iterable[str], metrics: Iterable[Metric]) -> list[str]:
    """Return the subsets of the test rows that have logged metrics, "all" first."""
    known = {metric.name for metric in metrics}
    parts = [name.split("/") for name in figures]
    found = {part[1] for part in parts if len(part) == 3 and part[0] == "test" and part[2] in known}
    return sorted(found, key=lambda name: (name != "all", name))


def _card(entry: Entry, metrics: Sequence[Metric], row: Row | None, apart: str) -> Card:
    manifest = _manifest(entry)
    subsets = {
        name: tuple(entry.figures.get(f"test/{name}/{metric.name}") for metric in metrics)
        for name in subset_names(entry.figures, metrics)
    }
    shown = {f"test/{name}/{metric.name}" for name in subsets for metric in metrics}
    others = {
        name: value
        for name, value in sorted(entry.figures.items())
        if name not in shown and not name.startswith("cost/")
    }
    return Card(
        entry=entry,
        file=file_name(entry.id),
        row=row,
        apart=apart,
        command=repeating(manifest),
        metrics=metrics,
        subsets=subsets,
        figures=others,
        facts=_facts(entry, manifest),
    )


def repeating(manifest: Manifest) -> str:
    """Return the command that repeats a run; empty if the manifest does not contain it."""
    origin = manifest.model.origin
    try:
        return run_line(manifest.request or {}, [origin] * origin.endswith(".py"))
    except (
        KeyError,
        TypeError,
        AttributeError,
    ):  # older versions, other programs
        return ""


def _manifest(entry: Entry) -> Manifest:
    """Return the manifest of a run; an empty one if it is missing: MLflow has most of it."""
    try:
        found = json.loads(read_artifact(entry, MANIFEST))
        return Manifest.from_json(found if isinstance(found, dict) else {})
    except (BenchError, OSError, ValueError, RecursionError):
        return Manifest()


def _facts(entry: Entry, manifest: Manifest) -> dict[str, Table]:
    """Return the tables of a card, from MLflow and from the manifest where it contains more."""
    versions = {n.removeprefix("version."): v for n, v in entry.tags.items() if _is_version(n)}
    costs = {n: v for n, v in entry.figures.items() if n.startswith("cost/")}
    data = _flat(manifest.data.to_json()) or {"fingerprint": entry.tags.get("fingerprint", "")}
    return {
        "Settings": dict(sorted(entry.settings.items())),
        "Training and test data": data,
        "Device and cost": {
            **(_flat(manifest.device.to_json()) or {"device": entry.tags.get("device", "")}),
            **{n.removeprefix("cost/").replace("_", " "): f"{v:,.6g}" for n, v in costs.items()},
        },
        "Versions": versions,
        "Tags": {n: v for n, v in sorted(entry.tags.items()) if not _is_version(n)},
    }


def _is_version(tag: str) -> bool:
    return tag.startswith("version.")


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Return the leaves of nested JSON, each named by the path to it, such as ``rows train``."""
    if isinstance(value, Mapping):
        parts = [_flat(item, f"{name} {key}".strip()) for key, item in value.items()]
        return {key: leaf for part in parts for key, leaf in part.items()}
    if value is None or value == []:
        return {}
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return {name: text} if name else {}
