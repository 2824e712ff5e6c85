"""Cards and lists of models and tasks, for printing."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.cli.columns import print_table
from bench.cli.common import with_options
from bench.config import as_dict, describe
from bench.errors import BenchError
from bench.registry import MODELS, TASKS, get_task

_USUAL_LENGTH = 100
"""Length of a sequence (bases) where no task gives it; a layout with a fixed length ignores it."""

Rows = list[dict[str, Any]]
Card = Rows | dict[str, Any]


def all_models() -> Rows:
    """Return a row for every model: name, parameters at default size, source, summary."""
    import torch

    from bench.model import count_parameters

    rows: Rows = []
    for name, place in MODELS.places().items():
        try:
            model_class = MODELS.get(name)
        except BenchError as error:
            rows.append(
                {"model": name, "from": place.origin, "summary": f"BROKEN: {with_options(error)}"}
            )
            continue
        config = model_class.Config()
        layout = model_class.layout(config)
        with torch.device("meta"):  # shapes without memory: the largest model would take 190 MB
            model = model_class(config, layout.positions(_USUAL_LENGTH, (0, 0)))
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
    """Return a row for every task: name, version, primary metric, source, summary."""
    rows: Rows = []
    for name, place in TASKS.places().items():
        try:
            card = TASKS.get(name).card
        except BenchError as error:
            rows.append(
                {"task": name, "from": place.origin, "summary": f"BROKEN: {with_options(error)}"}
            )
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
    """Return the card of a model: source, settings, recipes, presets, published figures."""
    from bench.leaderboards.published.published import published_of
    from bench.recipe import Recipe

    model_class = MODELS.get(name)
    config = model_class.Config()
    standard, paper = as_dict(Recipe()), as_dict(model_class.paper_recipe(config))
    meanings = {row["name"]: row["meaning"] for row in describe(Recipe)}
    return {
        "model": name,
        **dataclasses.asdict(model_class.card),
        "published": [reference.as_json() for reference in published_of(name)],
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


def model_space(name: str) -> Rows:
    """Return a row for every setting that a search varies: field, values, default, meaning."""
    from bench.recipe import Recipe
    from bench.tuning.definition import declared

    model_class = MODELS.get(name)
    fields = {
        f"{section}.{row['name']}": row
        for section, kind in (("model", model_class.Config), ("recipe", Recipe))
        for row in describe(kind)
    }
    return [
        {
            "field": field,
            "space": str(space),
            "default": fields[field]["default"],
            "meaning": fields[field]["meaning"],
        }
        for field, space in declared(model_class).items()
    ]


def task_card(name: str) -> dict[str, Any]:
    """Return the card of a task: rows, target, source, options, published figures."""
    from bench.leaderboards.published.published import references

    task_class = get_task(name)
    return {
        "task": name,
        **dataclasses.asdict(task_class.card),
        "published": [reference.as_json() for reference in references(name)],
        "files": [{"name": file.name, "url": file.url} for file in task_class.files],
        "settings": describe(task_class.Options),
    }


def show(card: Rows | dict[str, Any]) -> None:
    """Print a list of plugins as a table, or one card as headed lines and tables.

    A source stands on the plugin's own card.
    """
    if isinstance(card, list):
        named = dict.fromkeys(key for row in card for key in row if key != "source")
        columns = sorted(named, key=lambda column: column == "summary")
        print_table(columns, [[_cell(row.get(c, "")) for c in columns] for row in card])
        return
    for heading, value in card.items():
        if isinstance(value, dict) and heading == "source":
            value = " · ".join(value.values())
        if not value and not isinstance(value, int):
            continue
        if heading == "published":
            _show_published(value)
        elif isinstance(value, str | int):
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


def _show_published(rows: Rows) -> None:
    """Print a table of published figures, after the values that all of them have in common."""
    spread = [
        {
            **{
                name: _cell(value) for name, value in row.items() if name not in ("task", "setting")
            },
            **dict(pair.split("=", 1) for pair in row["setting"].split()),
        }
        for row in rows
    ]
    names = list(dict.fromkeys(name for row in spread for name in row))
    values = {name: [row.get(name, "-").replace("None", "-") for row in spread] for name in names}
    common = {n: found[0] for n, found in values.items() if len(rows) > 1 and len(set(found)) == 1}
    print("\npublished:")
    for name, value in common.items():
        print(f"  {name}: {value}")
    left = [name for name in names if name not in common]
    print_table(
        [name.rpartition(".")[2] for name in left],
        list(zip(*(values[name] for name in left), strict=True)),
    )


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return f"{value:,}"
