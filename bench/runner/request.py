"""The resolution of a request: names to objects, checked settings, and the folder of the data."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from bench.config import LARGEST_WHOLE, override
from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.model import FittedModel, Model
from bench.recipe import Preset, Recipe
from bench.registry import MODELS, get_task
from bench.results.options import Request, run_options
from bench.runner.imported import check_untrained
from bench.sources import locate
from bench.task import Task


@dataclass(frozen=True, slots=True)
class ResolvedRequest:
    """A request with objects for its names and with typed, checked settings."""

    model_class: type[Model]
    config: Any
    task: Task
    recipe: Recipe
    max_steps: int | None


def resolve(request: Request) -> ResolvedRequest:
    """Return a request with its names and settings resolved.

    Settings are the defaults, changed by the recipe, then by the preset, then by the overrides.
    Presets are tuned for the standard recipe: of a paper's recipe, they change only the budget.

    Raises:
        BenchError: A name or a value is wrong.
    """
    check_numbers(request)
    if request.weights is not None:
        check_untrained(request)
    model_class, task_class = MODELS.get(request.model), get_task(request.task)
    preset = named_preset(request.preset, request.model, model_class)
    for_model = {**preset.model, **request.overrides.get("model", {})}
    config = override(model_class.Config(), for_model, section="model")
    recipe, for_task = named_recipe(request.recipe, request.task, model_class, config)
    smaller = preset.recipe if request.recipe == "standard" else preset.budget
    for_recipe = {**smaller, **request.overrides.get("recipe", {})}
    if request.epochs is not None:
        for_recipe["epochs"] = request.epochs
    recipe = override(recipe, for_recipe, section="recipe")
    model_class.check_recipe(config, recipe)
    for_task = {**for_task, **request.overrides.get("task", {})}
    options = override(task_class.Options(), for_task, section="task")
    max_steps = request.max_steps or preset.max_steps
    return ResolvedRequest(model_class, config, task_class(options), recipe, max_steps)


def check_numbers(request: Request) -> None:
    """Check the numbers of a request that was made in Python.

    Raises:
        BenchError: A number has another type, is not finite, or is out of its bounds.
    """
    hints = get_type_hints(Request)
    for known in run_options():
        value = getattr(request, known.name)
        if known.low is None or (value is None and known.default is None):
            continue
        share = known.high == 1
        whole = float not in (hints[known.name], *get_args(hints[known.name]))
        high = known.high or (LARGEST_WHOLE if whole else sys.float_info.max)
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not (fits and known.low <= value <= high) or (share and value == 0):
            kind = "whole number" if whole else "number"
            bounds = f"above 0 and at most {high}" if share else f"from {known.low} to {high:g}"
            raise BenchError(
                f"{argument(known.name)} is a {kind} {bounds}; got {str(value)[:40]!r}."
            )


def named_preset(name: str, model: str, model_class: type[Model]) -> Preset:
    """Return a preset of a model; "paper" and every preset of a fitted model change nothing."""
    if name == "paper" or (issubclass(model_class, FittedModel) and name in ("smoke", "quick")):
        return Preset()
    if name not in model_class.presets:
        have = ", ".join(["paper", *model_class.presets])
        raise BenchError(f"{model} has no preset '{name}'. It has: {have}.")
    return model_class.presets[name]


def named_recipe(
    name: str, task: str, model_class: type[Model], config: Any
) -> tuple[Recipe, dict[str, object]]:
    """Return a recipe and its task options; the standard recipe has no task options."""
    if name == "standard":
        return Recipe(), {}
    if name == "paper":
        return model_class.paper_recipe(config), dict(model_class.paper_options.get(task, {}))
    raise BenchError(f"no recipe is called '{name}'. There are: standard, paper.")


def data_folder(request: Request, task: type[Task], console: Console = SILENT) -> Path:
    """Return the folder of a request's data, after a simulation or download if requested.

    Raises:
        BenchError: There is no such data.
    """
    if request.simulate_rows is None:
        if request.download and request.data is None:
            return locate.fetch(task, request.task, console)
        return locate.find(task, request.task, request.data)
    if request.data is not None:
        both = f"{argument('simulate_rows')} and {argument('data')}"
        raise BenchError(f"{both} exclude each other: give one of them.")
    return locate.simulated(task, request.task, rows=request.simulate_rows, seed=0)
