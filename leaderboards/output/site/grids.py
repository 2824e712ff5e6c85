"""Heat maps: scores by subset, and significant differences of all pairs of models.

Every cell also shows its value as text. The colours are tints of the sky blue of Okabe and Ito, on
which dark text is readable everywhere (on cividis it is not), or their blue and vermilion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.leaderboards.board import Leaderboard
from bench.leaderboards.output.site.charts import Plot, escape, placed
from bench.leaderboards.output.site.run_card import subset_names
from bench.metrics import Metric

MODELS = 40
"""Number of the best models that are shown."""
_LOW, _HIGH = "#fff7e0", "#7fc4ee"
_LESS, _EQUAL, _MORE = "#D55E00", "rgba(128,128,128,0.15)", "#0072B2"


def subset_metric(board: Leaderboard) -> Metric:
    """Return the metric to show by subset: the one that ranks, or else the task's first."""
    metrics = board.task_class.all_metrics()
    name = board.primary.rpartition("/")[2]
    return next((metric for metric in metrics if metric.name == name), metrics[0])


def subset_table(board: Leaderboard) -> tuple[list[str], list[tuple[str, list[float]]]]:
    """Return the subsets of the test rows, and the best models with their value in each subset."""
    rows, metric = board.rows[:MODELS], subset_metric(board)
    names = subset_names({name for row in rows for name in row.newest.figures}, [metric])
    found = [[row.mean(f"test/{name}/{metric.name}") for name in names] for row in rows]
    return names, [(row.group.label, line) for row, line in zip(rows, found, strict=True)]


def heat_map(board: Leaderboard) -> Plot:
    """Return a plot of a metric by model and subset of the test rows, the best models on top."""
    rows, metric = board.rows[:MODELS], subset_metric(board)
    form = ".3f" if metric.correlation else metric.form
    ends = (_LOW, _HIGH) if metric.higher_is_better else (_HIGH, _LOW)
    names, lines = subset_table(board)
    values = [line for _, line in lines]
    texts = [["" if math.isnan(value) else f"{value:{form}}" for value in line] for line in values]
    hover = [
        [
            f"{escape(row.group.label)}<br>{escape(name)}: {text or 'none'}"
            for name, text in zip(names, line, strict=True)
        ]
        for row, line in zip(rows, texts, strict=True)
    ]
    cells = {
        "type": "heatmap",
        "z": values,
        "text": texts,
        "texttemplate": "%{text}",
        "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "colorscale": [[0, ends[0]], [1, ends[1]]],
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
    }
    columns = [escape(name.replace("_", " ")) for name in names]
    return {"data": [cells], "layout": _grid(columns, [placed(row) for row in rows])}


def pairs(board: Leaderboard) -> Plot:
    """Return a plot of the significant differences of all pairs, tested over all pairs at once."""
    assert board.board is not None, "a board with rows has comparisons"
    rows = board.rows[:MODELS]
    found, count, form = board.board.comparisons, len(rows), board.score.form
    better = found.better[:count, :count]
    sign = better.astype(int) - better.T.astype(int)
    hover = [
        [
            f"{escape(a.group.label)}<br>less {escape(b.group.label)}:<br>"
            f"{found.difference[i, j]:+{form}}, {found.low[i, j]:+{form}} to "
            f"{found.high[i, j]:+{form}} "
            f"alone<br>p {found.adjusted[i, j]:.2g} among all pairs"
            for j, b in enumerate(rows)
        ]
        for i, a in enumerate(rows)
    ]
    marks = np.array(["", "▲", "▼"])[sign]
    cells = {
        "type": "heatmap",
        "z": sign.tolist(),
        "zmin": -1,
        "zmax": 1,
        "text": marks.tolist(),
        "texttemplate": "%{text}",
        "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "colorscale": [
            *([0, _LESS], [1 / 3, _LESS], [1 / 3, _EQUAL], [2 / 3, _EQUAL], [2 / 3, _MORE]),
            [1, _MORE],
        ],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    layout = _grid([str(place + 1) for place in range(count)], [placed(row) for row in rows])
    return {"data": [cells], "layout": layout}


def _grid(columns: Sequence[str], rows: Sequence[str]) -> Plot:
    """Return the layout of cells under headings, the first row on top."""
    return {
        "height": 90 + 26 * len(rows),
        "margin": {"l": 60, "r": 10, "t": 80, "b": 10},
        "xaxis": {
            "tickvals": list(range(len(columns))),
            "ticktext": columns,
            "side": "top",
            "showgrid": False,
            "zeroline": False,
        },
        "yaxis": {
            "tickvals": list(range(len(rows))),
            "ticktext": rows,
            "autorange": "reversed",
            "showgrid": False,
            "zeroline": False,
            "automargin": True,
        },
    }
