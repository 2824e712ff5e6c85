"""The check of a checkpoint's content: a state of this model, recipe and plan, or an error.

A file with other content, which torch can read, would fail in the middle of the training. A state
with the right names, shapes and types but other numbers cannot be told from a real one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from bench.model import Model
from bench.recipe import Recipe
from bench.training.averaging import averaged, share_of
from bench.training.optimizer import make_optimizer
from bench.training.schedule import Plan, Plateau


def check_state(state: object, model: Model, recipe: Recipe, plan: Plan) -> None:
    """Raise a ValueError if a value is not a state of a training; see :class:`TrainState`.

    Args:
        state: Content of a checkpoint.
        model: Model of the training.
        recipe: Recipe of the training, for its optimizer and for what it keeps.
        plan: Schedule of the training, for its number of steps.
    """
    known = _fields(state, "it", "step", "model", "optimizer", "losses", "best", "best_step",
                    "best_weights", "seconds", "validation_seconds")  # fmt: skip
    step = _whole(known["step"], "step", 1, plan.steps)
    best_step = _whole(known["best_step"], "best_step", 0, step)
    weights = model.state_dict()
    _same_tensors(known["model"], weights, "model")
    copied = best_step and recipe.keep == "best"
    _same_tensors(known["best_weights"], weights if copied else {}, "best_weights")
    _same_tensors({"": known["losses"]}, {"": torch.empty(step)}, "losses")
    _check_newer_parts(known, weights, recipe, plan)
    best = known["best"]
    if type(best) is not float or (math.isfinite(best) != (best_step > 0)):
        raise ValueError(f"its best is {best!r}")
    for name in ("seconds", "validation_seconds"):
        if type(known[name]) is not float or not 0 <= known[name] < math.inf:
            raise ValueError(f"its {name} is {known[name]!r}")
    _check_optimizer(known["optimizer"], [p for p in model.parameters() if p.requires_grad], recipe)


def _check_newer_parts(
    known: Mapping[str, Any], weights: Mapping[str, Tensor], recipe: Recipe, plan: Plan
) -> None:
    """Raise a ValueError for wrong parts that checkpoints of earlier versions lack."""
    terms, cuts = known.get("terms", {}), known.get("plateau", asdict(Plateau()))
    if not isinstance(terms, dict) or not all(isinstance(name, str) for name in terms):
        raise ValueError("its terms have no names")
    _same_tensors(terms, dict.fromkeys(terms, torch.empty(known["step"])), "terms")
    begun = share_of(known["step"], recipe, plan.steps) > 0
    _same_tensors(known.get("average", {}), averaged(weights) if begun else {}, "average")
    for name, kind in (("best", float), ("stale", int), ("scale", float)):
        if type(_fields(cuts, "its plateau", name)[name]) is not kind or not cuts[name] >= 0:
            raise ValueError(f"its plateau's {name} is {cuts[name]!r}")


def _check_optimizer(found: object, parameters: list[nn.Parameter], recipe: Recipe) -> None:
    """Raise a ValueError if a value is not the state of the recipe's optimizer."""
    fields, like, group = _example(recipe)
    known = _fields(found, "its optimizer", "state", "param_groups")
    groups, states = known["param_groups"], known["state"]
    if not isinstance(groups, list) or len(groups) != 1 or not isinstance(states, Mapping):
        raise ValueError("its optimizer has other groups")
    settings = _fields(groups[0], "its optimizer's group", "params", "lr")
    if settings["params"] != list(range(len(parameters))) or type(settings["lr"]) is not float:
        raise ValueError("its optimizer has other parameters")
    changing = {"params", "lr", *(["betas"] if recipe.cycle_momentum else [])}
    for name in (group.keys() & settings.keys()) - changing:
        if settings[name] != group[name]:
            raise ValueError(f"its optimizer's {name} is {settings[name]!r}")
    for number, values in states.items():
        if type(number) is not int or not 0 <= number < len(parameters):
            raise ValueError("its optimizer has other parameters")
        shape = parameters[number].shape
        wanted = {n: torch.empty(shape if n in like else (), device="meta") for n in fields}
        _same_tensors(values, wanted, f"optimizer of parameter {number}")


def _example(recipe: Recipe) -> tuple[set[str], set[str], dict[str, Any]]:
    """Return what an optimizer keeps of a parameter, from a step with one small parameter.

    Returns:
        Names of all values, names of those of the parameter's shape, and settings of the group.
    """
    parameter = nn.Parameter(torch.zeros(2, 3))
    parameter.grad = torch.zeros(2, 3)
    optimizer = make_optimizer(nn.ParameterList([parameter]), recipe)
    optimizer.step()
    kept = optimizer.state[parameter]
    like = {name for name, value in kept.items() if value.shape == parameter.shape}
    return set(kept), like, optimizer.state_dict()["param_groups"][0]


def _fields(value: object, what: str, *names: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no dictionary but {type(value).__name__}")
    for name in names:
        if name not in value:
            raise ValueError(f"{what} has no {name}")
    return value


def _whole(value: object, name: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"its {name} is {str(value)[:40]}, not {low} to {high}")
    return value


def _same_tensors(found: object, wanted: Mapping[str, Any], what: str) -> None:
    """Raise a ValueError if names, shapes or types differ."""
    if not isinstance(found, dict) or found.keys() != wanted.keys():
        raise ValueError(f"its {what} has other names")
    for name, value in wanted.items():
        other = found[name]
        if type(other) is not type(value) and not isinstance(other, Tensor):
            raise ValueError(f"its {what} has a {type(other).__name__} as {name}")
        if isinstance(value, Tensor) and (other.shape, other.dtype, other.layout) != (
            *(value.shape, value.dtype, value.layout),
        ):
            raise ValueError(f"its {what} has another shape or type of {name}")
