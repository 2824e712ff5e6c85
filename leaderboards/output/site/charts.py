"""Plots for plotly.js: JSON of data and layout; the page adds the colours of its theme.

Names in plots are escaped, because plotly.js interprets ``<b>`` and ``<a href>`` in any text. No
information is given by colour alone. The colours are those of Okabe and Ito (2008,
jfly.uni-koeln.de/color) that are visible on a light and on a dark background.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench.inert import for_plotly
from bench.leaderboards.board import Leaderboard, Row
from bench.leaderboards.output.site.curves import MODELS as CURVES
from bench.leaderboards.output.site.curves import Curve
from bench.leaderboards.published.published import PublishedComparison
from bench.metrics import SELECTION

Plot = dict[str, Any]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_GREY = "#808080"  # visible on a light and on a dark background
_LONGEST = 26
HEIGHT = 420  # pixels
COSTS = {"device_hours": "device-hours", "parameters": "parameters"}


def pareto(board: Leaderboard, cost: str) -> Plot:
    """Return a plot of the ranking score against a cost, with a line of the best for their cost.

    Args:
        board: Leaderboard to show.
        cost: Name of a logged metric under ``cost/``; models without it, or with cost 0, are not
            drawn.
    """
    known = [(row.mean(f"cost/{cost}"), row) for row in board.rows]
    points = [(x, row) for x, row in known if math.isfinite(x) and x > 0]
    names = list(dict.fromkeys(row.newest.model for _, row in points))
    traces = [
        _cloud([(x, row) for x, row in points if row.newest.model == name], name, place)
        for place, name in enumerate(names)
    ]
    best = front(points, higher_is_better=board.score.higher_is_better)
    line = {
        "x": [x for x, _ in best],
        "y": [row.ranked.value for _, row in best],
        "mode": "lines",
        "line": {"shape": "hv", "color": _GREY, "width": 1.5, "dash": "dot"},
        "name": "best for its cost",
        "hoverinfo": "skip",
    }
    return {
        "data": [line, *traces],
        "layout": {
            "height": HEIGHT,
            "xaxis": _log_axis(COSTS[cost], [x for x, _ in points]),
            "yaxis": {"title": {"text": board.score.label}, "range": value_range(board.rows)},
        },
    }


def front(
    points: Sequence[tuple[float, Row]], *, higher_is_better: bool = True
) -> list[tuple[float, Row]]:
    """Return the models that are better than all cheaper or equally cheap ones, the cheapest first.

    Args:
        points: Costs and models, the best model first.
        higher_is_better: Direction of a better value.
    """
    sign = 1 if higher_is_better else -1
    best: list[tuple[float, Row]] = []
    for x, row in sorted(points, key=lambda point: point[0]):
        if not best or sign * row.ranked.value > sign * best[-1][1].ranked.value:
            best.append((x, row))
    return best


def value_range(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of an axis of values, with room for all values and a median interval."""
    if not rows:
        return 0.0, 1.0
    values = [row.ranked.value for row in rows]
    room = 2 * median(row.ranked.high - row.ranked.low for row in rows) or 0.01
    return min(values) - room, max(values) + room


def curves(board: Leaderboard, found: Mapping[str, Curve]) -> Plot:
    """Return a plot of a validation metric by step, a line for each run of the best models."""
    traces: list[Plot] = []
    for place, row in enumerate(board.rows[:CURVES]):
        drawn = [entry for entry in row.group.entries if entry.id in found]
        for number, entry in enumerate(drawn):
            steps, values = zip(*found[entry.id], strict=True)
            seed = f", seed {entry.seed}" if entry.seed else ""
            traces.append(
                {
                    "x": steps,
                    "y": values,
                    "mode": "lines+markers" if len(steps) < 3 else "lines",
                    "line": {
                        "color": _COLOURS[place % len(_COLOURS)],
                        "dash": _DASHES[place // len(_COLOURS) % len(_DASHES)],
                        "width": 1.5,
                    },
                    "name": placed(row),
                    "legendgroup": str(place),
                    "showlegend": number == 0,
                    "hovertext": escape(f"{place + 1}. {row.group.label}{seed}"),
                    "hovertemplate": "%{hovertext}<br>step %{x:,}: %{y:.4f}<extra></extra>",
                }
            )
    return {
        "data": traces,
        "layout": {
            "height": HEIGHT,
            "xaxis": _log_axis("steps", [x for trace in traces for x in trace["x"]]),
            "yaxis": {"title": {"text": f"validation {SELECTION.label}"}},
        },
    }


def published_scatter(lines: Sequence[PublishedComparison]) -> Plot:
    """Return a plot of measured against published values, where both are known."""
    shown = [line for line in lines if math.isfinite(line.measured)]
    ends = [value for line in shown for value in (line.reference.value, line.measured)]
    equal = {
        "x": [min(ends), max(ends)],
        "y": [min(ends), max(ends)],
        "mode": "lines",
        "line": {"color": _GREY, "dash": "dot", "width": 1.5},
        "name": "equal",
        "hoverinfo": "skip",
    }
    kinds = {
        "comparable": ([line for line in shown if not line.reason], "circle"),
        "not comparable": ([line for line in shown if line.reason], "circle-open"),
    }
    clouds = [
        _published_cloud(found, name, symbol) for name, (found, symbol) in kinds.items() if found
    ]
    return {
        "data": [equal, *clouds],
        "layout": {
            "height": HEIGHT,
            "xaxis": {"title": {"text": "published"}},
            "yaxis": {"title": {"text": "measured"}},
        },
    }


def escape(text: str) -> str:
    """Return text in one line that plotly.js shows unchanged."""
    return for_plotly(" ".join(text.split()))


def short(text: str) -> str:
    """Return the beginning of a name, escaped."""
    return escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def placed(row: Row) -> str:
    """Return a model's rank and the beginning of its name, escaped."""
    return short(f"{row.ranked.rank}. {row.group.label}")


def _log_axis(title: str, values: Sequence[float]) -> Plot:
    """Return a logarithmic axis with ticks at 1, 2, 5 …, or at powers of ten for a long axis."""
    low, high = (math.log10(pick(values, default=1)) for pick in (min, max))
    steps = (1, 2, 5) if high - low < 3 else (1,)
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return {
        "type": "log",
        "title": {"text": f"{title} (log)"},
        "tickvals": ticks,
        "ticktext": [f"{tick:,.10g}" for tick in ticks],
    }


def _cloud(points: Sequence[tuple[float, Row]], name: str, place: int) -> Plot:
    values = [row.ranked.value for _, row in points]
    return {
        "x": [x for x, _ in points],
        "y": values,
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [row.ranked.high - row.ranked.value for _, row in points],
            "arrayminus": [row.ranked.value - row.ranked.low for _, row in points],
            "thickness": 1,
            "width": 0,
        },
        "mode": "markers",
        "marker": {
            "color": _COLOURS[place % len(_COLOURS)],
            "symbol": _SYMBOLS[place % len(_SYMBOLS)],
            "size": 9,
            "line": {"color": _GREY, "width": 1},
        },
        "name": short(name),
        "hovertext": [escape(row.group.label) for _, row in points],
        "hovertemplate": "%{hovertext}<br>%{y:.4f} at %{x:.4g}<extra></extra>",
    }


def _published_cloud(lines: Sequence[PublishedComparison], name: str, symbol: str) -> Plot:
    hover = [
        f"{escape(line.label)}<br>{escape(line.reference.figure)}<br>{' '.join(line.reason)}"
        for line in lines
    ]
    return {
        "x": [line.reference.value for line in lines],
        "y": [line.measured for line in lines],
        "mode": "markers",
        "marker": {"color": _COLOURS[len(lines[0].reason) > 0], "symbol": symbol, "size": 9},
        "name": name,
        "hovertext": hover,
        "hovertemplate": "%{hovertext}<br>published %{x:.4f}, measured %{y:.4f}<extra></extra>",
    }
