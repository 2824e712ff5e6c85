"""Presets and the recipe of a paper: a smaller budget leaves the authors' recipe theirs."""

from dataclasses import asdict

import pytest

from bench.registry import MODELS
from bench.results.options import Request
from bench.runner.request import resolve

WITH_PRESETS = [
    (model, preset) for model in MODELS.places() for preset in MODELS.get(model).presets
]


@pytest.mark.parametrize(("model", "preset"), WITH_PRESETS)
def test_a_preset_changes_only_the_budget_of_a_papers_recipe(model: str, preset: str) -> None:
    small = resolve(Request(model=model, task="dream", recipe="paper", preset=preset))
    authors = asdict(small.model_class.paper_recipe(small.config))
    changed = {name for name, value in asdict(small.recipe).items() if value != authors[name]}
    assert changed <= {"batch_size", "epochs"}
    assert small.max_steps == small.model_class.presets[preset].max_steps


@pytest.mark.parametrize(("model", "preset"), WITH_PRESETS)
def test_a_preset_is_whole_under_the_standard_recipe(model: str, preset: str) -> None:
    recipe = asdict(resolve(Request(model=model, task="dream", preset=preset)).recipe)
    wanted = MODELS.get(model).presets[preset].recipe
    assert {name: recipe[name] for name in wanted} == wanted


def test_what_is_typed_counts_more_than_the_recipe() -> None:
    request = Request(
        model="legnet",
        task="dream",
        recipe="paper",
        preset="smoke",
        overrides={"recipe": {"lr": "0.25", "batch_size": "7"}},
    )
    recipe = resolve(request).recipe
    assert (recipe.lr, recipe.batch_size, recipe.optimizer) == (0.25, 7, "adamw")
