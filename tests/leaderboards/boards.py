"""Artificial leaderboards for the tests of their output."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from bench.leaderboards.board import Leaderboard, Row
from bench.leaderboards.entries import Entry
from bench.leaderboards.ranking import rank
from bench.leaderboards.selection import Group, Selection
from bench.leaderboards.statistics.bootstrap import BootstrapSamples
from bench.registry import get_task

FIGURE = "all/pearson"


def entry(run: str, model: str, folder: Path, **fields: Any) -> Entry:
    """Return a run with files in ``folder``; ``fields`` replace fields of the entry."""
    value = float(fields.pop("value", 0.5))
    known: dict[str, Any] = {
        "run": f"mlflow-{run}",
        "id": run,
        "name": f"{model} smoke",
        "status": "finished",
        "created": datetime(2026, 5, 4, 3, 2, tzinfo=UTC),
        "tags": {"model": model, "verified": "true", "track": "standard", "version.python": "3.11"},
        "settings": {"seed": "0", "recipe.lr": "0.001"},
        "figures": {
            "test/all/pearson": value,
            "test/all/spearman": value - 0.01,
            "test/high/pearson": value / 3,
            "cost/device_hours": 0.25,
            "cost/parameters": 1000.0,
        },
        "artifacts": folder.as_uri(),
    }
    return Entry(**{**known, **fields})


def board(groups: Sequence[Group], excluded: Sequence[tuple[Entry, str]] = ()) -> Leaderboard:
    """Return a leaderboard of models by logged values, each with an independent error of .01."""
    entries = [entry for group in groups for entry in group.entries]
    points = np.array([entry.figures[f"test/{FIGURE}"] for entry in entries])
    noise = 0.01 * np.random.default_rng(0).normal(size=(2000, len(entries)))
    samples = (points + noise).astype(np.float32)
    runs = tuple(entry.id for entry in entries)
    draws = BootstrapSamples(runs, {FIGURE: points}, {FIGURE: samples}, {}, ())
    models = {entry.id: group.label for group in groups for entry in group.entries}
    ranked = rank(draws, FIGURE, models) if groups else None
    named = {group.label: group for group in groups}
    ranked_models = ranked.ranked_models if ranked else ()
    return Leaderboard(
        task="dream",
        data="made up",
        task_class=get_task("dream"),
        test=cast(Any, None),  # ranked already
        rows=tuple(Row(place, named[place.model]) for place in ranked_models),
        board=ranked,
        selection=Selection(tuple(groups), tuple(excluded), {"failed": 2}, "f00d"),
        primary=FIGURE,
        part="private",
        second="all/spearman",
    )


def files(folder: Path, manifest: Mapping[str, Any], lines: str = "") -> Path:
    """Write the files of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "metrics.jsonl").write_text(lines)
    return folder
