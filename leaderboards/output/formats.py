"""Text formats of a leaderboard: a table for the console, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.inert import for_csv, for_markdown
from bench.leaderboards.board import Leaderboard, Row
from bench.leaderboards.published.published import (
    PublishedComparison,
    meanings,
    published_comparisons,
)

Cell = Callable[[Row], str]


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _range(low: float, high: float, form: str) -> str:
    return format(low, form) if low == high else f"{low:{form}}-{high:{form}}"


def _model(row: Row) -> str:
    remark = row.newest.unverified
    return f"{row.group.label} ({remark})" if remark else row.group.label


def columns(board: Leaderboard) -> dict[str, Cell]:
    """Return the columns of a table by heading: functions that return the text of a row's cell."""
    form = board.score.form
    second = None if board.second is None else board.task_class.score_info(board.second)
    shown: dict[str, Cell] = {
        "rank": lambda row: _range(row.ranked.rank_low, row.ranked.rank_high, "d"),
        "tier": lambda row: str(row.ranked.tier),
        "model": _model,
        "recipe": lambda row: row.newest.tags.get("track", "-"),
        board.score.label: lambda row: _number(row.ranked.value, form),
        "95%": lambda row: f"{row.ranked.low:{form}}-{row.ranked.high:{form}}",
    }
    if second is not None:
        shown[second.label] = lambda row: _number(row.mean(f"test/{second.name}"), second.form)
    return {
        **shown,
        "seeds": lambda row: str(row.ranked.seeds),
        "parameters": lambda row: _number(row.mean("cost/parameters"), ",.0f"),
        "sequences/s": lambda row: _number(row.mean("cost/sequences_per_second"), ",.0f"),
        "device-h": lambda row: _number(row.mean("cost/device_hours"), ".3g"),
        "tuned": lambda row: row.tuned or "-",
        "date": lambda row: f"{row.newest.created:%Y-%m-%d}",
        "run": lambda row: row.newest.id,
    }


def filled_columns(board: Leaderboard) -> dict[str, Cell]:
    """Return the columns of a table that have a value for at least one model."""
    shown = columns(board)
    return {
        name: cell
        for name, cell in shown.items()
        if not board.rows or any(cell(row) != "-" for row in board.rows)
    }


PUBLISHED = ("published and measured", "metric", "measured", "published", "difference")
"""Headings of a table of published figures; the headings of reason and source follow."""


def published_table(
    lines: Sequence[PublishedComparison],
) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the headings and rows of a table, and notes: meanings of codes, and sources."""
    sources = list(dict.fromkeys(line.source for line in lines))
    rows = [
        [
            line.label,
            line.reference.figure,
            _number(line.measured, ".4f"),
            f"{line.reference.value:.4f}",
            _number(line.difference, "+.4f"),
            " ".join(line.reason) or "-",
            f"[{1 + sources.index(line.source)}]",
        ]
        for line in lines
    ]
    used = {code for line in lines for code in line.reason}
    notes = [f"{code}: {meaning}" for code, meaning in meanings().items() if code in used]
    notes += [f"[{place}] {source}" for place, source in enumerate(sources, 1)]
    return [*PUBLISHED, "reason", "source"], rows, notes


def board_notes(board: Leaderboard) -> list[str]:
    """Return the notes below the table, one line each."""
    lines = [f"{remark}." for remark in board.remarks]
    if board.board is not None:
        found = board.board.comparisons.resolvable
        if not math.isnan(found):
            lines.append(
                f"A difference of {found:{board.score.form}} is the smallest that these rows and "
                "seeds resolve (power 80%, median pair, all pairs tested at once)."
            )
        lines.append("A rank is a range that the tests allow; models of a tier do not differ.")
        lines += board.board.notes
        lines += [f"not ranked: {run}: {why}" for run, why in board.board.without_score.items()]
        alone = [row for row in board.rows if row.ranked.note]
        if alone:
            lines.append(f"{len(alone)} of {len(board.rows)} have {alone[0].ranked.note}.")
    sources = [(row.group.label, row.newest.tags.get("source", "")) for row in board.rows]
    lines += [f"unverified: {label}: {source}" for label, source in sources if source]
    for status, count in sorted(board.selection.unfinished.items()):
        lines.append(f"{count} {status} {'run is' if count == 1 else 'runs are'} excluded.")
    return lines


def board_markdown(board: Leaderboard) -> str:
    """Return the table as Markdown, with notes, excluded runs and published figures below."""
    shown = columns(board)
    lines = [_line(shown), _line(["---"] * len(shown))]
    lines += [_line([cell(row) for cell in shown.values()]) for row in board.rows]
    lines += ["", *(f"- {for_markdown(note)}" for note in board_notes(board))]
    excluded = [f"excluded: {entry.id}: {reason}" for entry, reason in board.selection.excluded]
    lines += [f"- {for_markdown(text)}" for text in excluded]
    if published := published_comparisons(board):
        headings, cells, below = published_table(published)
        lines += ["", _line(headings), _line(["---"] * len(headings)), *map(_line, cells)]
        lines += ["", *(f"- {note}" for note in below)]
    return "\n".join(lines)


def _line(cells: Any) -> str:
    return "| " + " | ".join(for_markdown(str(cell)) for cell in cells) + " |"


def board_csv(board: Leaderboard) -> str:
    """Return the table as CSV, with all digits of the numbers.

    Text that a spreadsheet would take for a formula starts with an apostrophe.
    """
    out = io.StringIO()
    rows = [flat(row, board) for row in board.rows]
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: for_csv(cell) for name, cell in row.items()} for row in rows)
    return out.getvalue()


def board_json(board: Leaderboard) -> dict[str, Any]:
    """Return the leaderboard as nested JSON values."""
    comparisons = None if board.board is None else board.board.comparisons
    return {
        "task": board.task,
        "data": board.data,
        "version": board.task_class.card.version,
        "figure": board.primary,
        "fingerprint": board.selection.fingerprint,
        "rows": [flat(row, board) for row in board.rows],
        "resolvable": None if comparisons is None else comparisons.resolvable,
        "adjusted_p": None if comparisons is None else comparisons.adjusted.tolist(),
        "apart": [{"run": e.id, "reason": reason} for e, reason in board.selection.excluded],
        "left_out": dict(board.selection.unfinished),
        "published": [line.as_json() for line in published_comparisons(board, subsets=True)],
        "notes": board_notes(board),
    }


def flat(row: Row, board: Leaderboard) -> dict[str, Any]:
    """Return the row of one model as plain values."""
    place, newest = row.ranked, row.newest
    figures: Mapping[str, float] = {
        name.removeprefix("test/"): row.mean(name)
        for name in newest.figures
        if name.startswith("test/")
    }
    return {
        "model": row.group.label,
        "track": newest.tags.get("track", ""),
        "value": place.value,
        "low": place.low,
        "high": place.high,
        "error": place.error,
        "rank": place.rank,
        "rank_low": place.rank_low,
        "rank_high": place.rank_high,
        "tier": place.tier,
        "seeds": place.seeds,
        "verified": newest.verified,
        **figures,
        "parameters": row.mean("cost/parameters"),
        "sequences_per_second": row.mean("cost/sequences_per_second"),
        "device_hours": row.mean("cost/device_hours"),
        "tuned": row.tuned,
        "date": f"{newest.created:%Y-%m-%d}",
        "runs": " ".join(entry.id for entry in row.group.entries),
    }
