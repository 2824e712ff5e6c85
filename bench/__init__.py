"""Train, score and rank networks that read DNA and predict a number.

    import bench

    run = bench.run("proformer", "dream", data="dream/", preset="smoke")
    run.metrics["test/pearson_score"]

Importing this package loads nothing heavy: torch, MLflow, Optuna, polars and SciPy are imported
where they are used, so ``bench --help`` answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench.version import __version__

if TYPE_CHECKING:
    from bench.api import (
        Ranking,
        Run,
        SearchResult,
        compare,
        evaluate,
        leaderboard,
        list_runs,
        load_run,
        predict,
        run,
        search,
    )
    from bench.cards import ModelCard, Source, TaskCard
    from bench.config import setting, settings
    from bench.data.dataset import Dataset, Split, TestSet
    from bench.data.layout import Layout
    from bench.errors import BenchError
    from bench.metrics import Metric
    from bench.model import Batch, FittedModel, Model
    from bench.recipe import Preset, Recipe
    from bench.search_space import Choice, Range
    from bench.task import Task

_HOMES = {
    **dict.fromkeys(("Ranking", "Run", "SearchResult", "compare", "evaluate"), "bench.api"),
    **dict.fromkeys(
        ("leaderboard", "list_runs", "load_run", "predict", "run", "search"), "bench.api"
    ),
    **dict.fromkeys(("ModelCard", "Source", "TaskCard"), "bench.cards"),
    **dict.fromkeys(("setting", "settings"), "bench.config"),
    **dict.fromkeys(("Dataset", "Split", "TestSet"), "bench.data.dataset"),
    "Layout": "bench.data.layout",
    "BenchError": "bench.errors",
    "Metric": "bench.metrics",
    **dict.fromkeys(("Batch", "FittedModel", "Model"), "bench.model"),
    **dict.fromkeys(("Preset", "Recipe"), "bench.recipe"),
    **dict.fromkeys(("Choice", "Range"), "bench.search_space"),
    "Task": "bench.task",
}
"""Module of every public name, imported at the first use of the name (PEP 562)."""

__all__ = [
    "Batch",
    "BenchError",
    "Choice",
    "Dataset",
    "FittedModel",
    "Layout",
    "Metric",
    "Model",
    "ModelCard",
    "Preset",
    "Range",
    "Ranking",
    "Recipe",
    "Run",
    "SearchResult",
    "Source",
    "Split",
    "Task",
    "TaskCard",
    "TestSet",
    "__version__",
    "compare",
    "evaluate",
    "leaderboard",
    "list_runs",
    "load_run",
    "predict",
    "run",
    "search",
    "setting",
    "settings",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value  # the next use does not call this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
