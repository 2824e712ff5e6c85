"""Values for the template of the first page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.leaderboards.board import Leaderboard
from bench.leaderboards.output import formats
from bench.leaderboards.output.site import charts, curves, grids
from bench.leaderboards.output.site.run_card import Card
from bench.leaderboards.published.published import PublishedComparison, published_comparisons
from bench.metrics import SELECTION
from bench.version import __version__

_INTERVAL = "95%"
_SORTED_BY = {
    "rank": "rank",
    "tier": "tier",
    _INTERVAL: "low",
    "seeds": "seeds",
    "parameters": "parameters",
    "sequences/s": "sequences_per_second",
    "device-h": "device_hours",
}
_WORDS = ("model", "recipe", "tuned", "date", "run")


@dataclass(frozen=True)
class Cell:
    """One cell of the ranking: its text, and the key for sorting."""

    text: str
    key: str


@dataclass(frozen=True)
class RankedLine:
    """One model of the ranking.

    Attributes:
        cells: Cells by heading.
        low, dot, high: Positions of the interval and the value, in percent of the axis.
        runs: Label and page of each run.
    """

    cells: Mapping[str, Cell]
    low: float
    dot: float
    high: float
    runs: Sequence[tuple[str, str]]


def index(
    board: Leaderboard, cards: Sequence[Card], found: Mapping[str, curves.Curve]
) -> dict[str, Any]:
    """Return the values of the template ``index.html``.

    Args:
        board: Leaderboard to show.
        cards: Cards of all runs that have a page.
        found: Curves of runs.
    """
    published = published_comparisons(board)
    entries = [e for row in board.rows[: curves.MODELS] for e in row.group.entries]
    headings, rows, below = formats.published_table(published)
    return {
        "board": board,
        "card": board.task_class.card,
        "simulated": board.data.endswith("-simulated"),
        "score": board.score,
        "headings": list(_columns(board)),
        "words": _WORDS,
        "interval": _INTERVAL,
        "axis": charts.value_range(board.rows),
        "lines": _lines(board, cards),
        "apart": [card for card in cards if card.row is None],
        "notes": formats.board_notes(board),
        "published": {"headings": headings, "rows": rows, "below": below},
        "shown": {"curves": curves.MODELS, "grids": grids.MODELS},
        "without_curve": sum(entry.id not in found for entry in entries),
        "costs": charts.COSTS,
        "subsets": grids.subset_table(board),
        "subset_metric": grids.subset_metric(board),
        "selection": SELECTION,
        "plots": _plots(board, found, published),
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "version": __version__,
    }


def _columns(board: Leaderboard) -> dict[str, formats.Cell]:
    """Return the columns with a value for at least one model; links replace the column of runs."""
    return {name: cell for name, cell in formats.filled_columns(board).items() if name != "run"}


def _lines(board: Leaderboard, cards: Sequence[Card]) -> list[RankedLine]:
    shown = _columns(board)
    files = {card.entry.id: card.file for card in cards}
    low, high = charts.value_range(board.rows)
    sorted_by = {**_SORTED_BY, board.score.label: "value"}

    def place(value: float) -> float:
        """Return the position of a value on the axis, in percent."""
        return round(min(max(100 * (value - low) / (high - low), 0), 100), 2)

    lines = []
    for row in board.rows:
        values, ranked = formats.flat(row, board), row.ranked
        texts = {name: cell(row) for name, cell in shown.items()}
        keys = {name: _key(values, sorted_by.get(name), text) for name, text in texts.items()}
        lines.append(
            RankedLine(
                cells={name: Cell(text, keys[name]) for name, text in texts.items()},
                low=place(ranked.low),
                dot=place(ranked.value),
                high=place(ranked.high),
                runs=[
                    (f"seed {entry.seed}" if entry.seed else "run", files[entry.id])
                    for entry in row.group.entries
                    if entry.id in files
                ],
            )
        )
    return lines


def _key(values: Mapping[str, Any], name: str | None, text: str) -> str:
    """Return the key for sorting a cell: the number with all digits, or the text."""
    if name is None:
        return "" if text == "-" else text
    return "" if math.isnan(values[name]) else repr(values[name])


def _plots(
    board: Leaderboard, found: Mapping[str, curves.Curve], published: Sequence[PublishedComparison]
) -> dict[str, charts.Plot]:
    """Return the plots that have data, by name."""
    if not board.rows:
        return {}
    made = {f"pareto-{cost}": charts.pareto(board, cost) for cost in charts.COSTS}
    made["subsets"] = grids.heat_map(board)
    if found:
        made["curves"] = charts.curves(board, found)
    if any(math.isfinite(line.measured) for line in published):
        made["published"] = charts.published_scatter(published)
    if len(board.rows) > 1:
        made["pairs"] = grids.pairs(board)
    return made
