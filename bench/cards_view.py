"""Prints what plugins say about themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.errors import BenchError
from bench.registry import MODELS, TASKS, get_task
from bench.settings import as_dict, describe
from bench.tables import print_table

Rows = list[dict[str, Any]]


def all_models() -> Rows:
    """List every model: name, parameters at default size, source, one line; a broken one too."""
    import torch

    from bench.model import count_parameters

    rows: Rows = []
    for name, place in MODELS.places().items():
        try:
            model_class = MODELS.get(name)
        except BenchError as error:
            rows.append({"model": name, "from": place.origin, "summary": f"BROKEN: {error}"})
            continue
        config = model_class.Config()
        layout = model_class.layout(config)
        with torch.device("meta"):  # shapes without memory: the largest would take 190 MB
            model = model_class(config, layout.positions(110, (17, 13)))
        rows.append(
            {
                "model": name,
                "parameters": count_parameters(model),
                "source": model_class.card.source.citation,
                "from": place.origin,
                "summary": model_class.card.summary,
            }
        )
    return rows


def all_tasks() -> Rows:
    """List every task: name, version, primary metric, source, one line."""
    rows: Rows = []
    for name, place in TASKS.places().items():
        try:
            card = TASKS.get(name).card
        except BenchError as error:
            rows.append({"task": name, "from": place.origin, "summary": f"BROKEN: {error}"})
            continue
        rows.append(
            {
                "task": name,
                "version": card.version,
                "primary": card.primary,
                "source": card.source.citation,
                "from": place.origin,
                "summary": card.summary,
            }
        )
    return rows


def model_card(name: str) -> dict[str, Any]:
    """Collect a model's card: source, variants, settings, recipes, presets, published results."""
    from bench.recipe import Recipe

    model_class = MODELS.get(name)
    config = model_class.Config()
    standard, paper = as_dict(Recipe()), as_dict(model_class.paper_recipe(config))
    meanings = {row["name"]: row["meaning"] for row in describe(Recipe)}
    return {
        "model": name,
        **dataclasses.asdict(model_class.card),
        "input": as_dict(model_class.layout(config)),
        "settings": describe(model_class.Config),
        "recipe": [
            {
                "name": field,
                "standard": standard[field],
                "paper": paper[field],
                "meaning": meanings[field],
            }
            for field in standard
        ],
        "paper_options": {task: dict(o) for task, o in model_class.paper_options.items()},
        "presets": {preset: as_dict(p) for preset, p in model_class.presets.items()},
    }


def task_card(name: str) -> dict[str, Any]:
    """Collect a task's card: rows, target, source, options, published results."""
    task_class = get_task(name)
    return {
        "task": name,
        **dataclasses.asdict(task_class.card),
        "files": [{"name": file.name, "url": file.url} for file in task_class.files],
        "settings": describe(task_class.Options),
    }


def show(card: Rows | dict[str, Any]) -> None:
    """Print a list of plugins as a table, or one card as headed lines and tables."""
    if isinstance(card, list):
        columns = list(dict.fromkeys(key for row in card for key in row))
        columns = sorted(columns, key=lambda column: column == "summary")
        print_table(columns, [[_cell(row.get(c, "")) for c in columns] for row in card])
        return
    for heading, value in card.items():
        if isinstance(value, dict) and heading == "source":
            value = " · ".join(value.values())
        if not value and not isinstance(value, int):
            continue
        if isinstance(value, str | int):
            print(f"{heading}: {value}")
        elif isinstance(value, dict):
            print(f"\n{heading}:")
            for key, item in value.items():
                print(f"  {key}: {_cell(item)}")
        elif isinstance(value[0], dict):
            print(f"\n{heading}:")
            print_table(list(value[0]), [[_cell(v) for v in row.values()] for row in value])
        else:
            print(f"\n{heading}:")
            for item in value:
                print(f"  - {item if isinstance(item, str) else '  '.join(map(str, item))}")


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return f"{value:,}"
