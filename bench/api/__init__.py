"""The public functions of ``bench``; the command line calls these, too.

They take names, paths, classes and arrays, return typed objects and raise
:class:`bench.errors.BenchError` for errors that a user can correct. They print nothing; pass a
:class:`bench.console.Console` to see progress.
"""

from __future__ import annotations

from bench.api.rankings import Ranking, compare, leaderboard
from bench.api.results import Run, list_runs, load_run
from bench.api.scoring import evaluate, predict
from bench.api.searching import SearchResult, search
from bench.api.training import resumed, run, train

__all__ = [
    "Ranking",
    "Run",
    "SearchResult",
    "compare",
    "evaluate",
    "leaderboard",
    "list_runs",
    "load_run",
    "predict",
    "resumed",
    "run",
    "search",
    "train",
]
