"""Training curves: a validation metric of a run by step, from its file of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.errors import BenchError
from bench.leaderboards.artifacts import read_artifact
from bench.leaderboards.board import Leaderboard
from bench.leaderboards.entries import Entry
from bench.metrics import SELECTION
from bench.results.metrics_file import parse_metrics
from bench.results.run_folder import METRICS

MODELS = 30
"""Number of the best models whose curves are drawn."""
_SCORE = f"validation/{SELECTION.name}"

Curve = Sequence[tuple[int, float]]


def read_curves(board: Leaderboard) -> Mapping[str, Curve]:
    """Return the curves of the best models' runs by run: steps and values of a validation metric.

    A run without a readable file of metrics has no curve.
    """
    entries = [entry for row in board.rows[:MODELS] for entry in row.group.entries]
    curves = {entry.id: _curve(entry) for entry in entries if entry.verified}
    return {run: curve for run, curve in curves.items() if curve}


def _curve(entry: Entry) -> Curve:
    try:
        lines, _ = parse_metrics(read_artifact(entry, METRICS), METRICS)
    except BenchError:
        return ()  # the page tells the number of runs without a curve
    return [(line.step, line.metrics[_SCORE]) for line in lines if _SCORE in line.metrics]
