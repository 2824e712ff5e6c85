"""Cards of runs: what there is to know of each, for a page of its own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.leaderboards.board import Leaderboard, Row
from bench.leaderboards.entries import Entry, artifact
from bench.metrics import Metric
from bench.results.command import run_line
from bench.results.manifest import Manifest
from bench.results.run_folder import MANIFEST

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,120}")
Table = Mapping[str, str]


@dataclass(frozen=True)
class Card:
    """One run.

    Attributes:
        entry: The run.
        file: Of its page; safe, whatever the run is called.
        row: Its model on the board; None where it does not rank.
        apart: Why it does not rank; empty if it does.
        command: That repeats it; empty where nobody recorded one.
        metrics: Metrics of the test rows.
        subsets: Values of the metrics by subset; None where there is none.
        figures: All other figures.
        facts: Tables of what else is recorded, by heading.
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
    """Make a card for every run that is finished: those that rank first, the best ones first."""
    placed = {row.group.label: row for row in board.rows}
    excluded = {} if board.board is None else board.board.excluded
    metrics = board.task_class.all_metrics()
    for row in board.rows:
        for entry in row.group.entries:
            if entry.id not in excluded:
                yield _card(entry, metrics, row, "")
    for group in board.selection.groups:
        for entry in group.entries:
            if group.label not in placed or entry.id in excluded:
                yield _card(entry, metrics, None, excluded.get(entry.id, "no figure"))
    for entry, reason in board.selection.apart:
        yield _card(entry, metrics, None, reason)


def file_name(run: str) -> str:
    """Name a run's page: by the run if that is a plain name, else by a hash of it."""
    if _PLAIN.fullmatch(run):
        return f"{run}.html"
    return f"{hashlib.blake2b(run.encode(), digest_size=12).hexdigest()}.html"


def subset_names(figures: Iterable[str], metrics: Iterable[Metric]) -> list[str]:
    """Name the subsets of the test rows that logged figures are of, "all" first."""
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
    """Spell the command that repeats a run; empty where its manifest does not tell."""
    origin = manifest.model.origin
    try:
        return run_line(manifest.request or {}, [origin] * origin.endswith(".py"))
    except (KeyError, TypeError, AttributeError):  # an older version's, or another program's
        return ""


def _manifest(entry: Entry) -> Manifest:
    """Read what a run wrote of itself; MLflow has most of it, too, so it may be missing."""
    try:
        found = json.loads(artifact(entry, MANIFEST).read_text(encoding="utf-8"))
        return Manifest.from_json(found if isinstance(found, dict) else {})
    except (BenchError, OSError, ValueError, RecursionError):
        return Manifest()


def _facts(entry: Entry, manifest: Manifest) -> dict[str, Table]:
    """Sort what is recorded: from MLflow, and from the manifest where that knows more."""
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
    """Name every leaf of nested JSON by the way to it: ``rows train``."""
    if isinstance(value, Mapping):
        parts = [_flat(item, f"{name} {key}".strip()) for key, item in value.items()]
        return {key: leaf for part in parts for key, leaf in part.items()}
    if value is None or value == []:
        return {}
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return {name: text} if name else {}
