"""Checks of what a model says about itself: settings, card, presets, recipes."""

from __future__ import annotations

import json

import pytest

from bench.config import as_dict, describe, override
from bench.contract.report import fail, several
from bench.contract.specimen import Specimen
from bench.recipe import Recipe
from bench.search_space import checked
from bench.training.schedule import Plan

_ROWS = 6_000_000  # of a large data set, for plans


def test_presets_and_recipes(specimen: Specimen) -> None:
    """Presets, the paper's recipe and the search space fit the settings, on a large data set."""
    model = specimen.model
    Plan.of(model.paper_recipe(model.Config()), _ROWS)
    for preset in model.presets.values():
        override(model.Config(), preset.model, section="model")
        Plan.of(override(Recipe(), preset.recipe, section="recipe"), _ROWS, preset.max_steps)
    checked({"model": model.space}, {"model": model.Config})


@pytest.mark.needs("presets and recipes")
def test_settings_round_trip(specimen: Specimen) -> None:
    """Settings are stored as JSON in the run folder and read again."""
    kind = specimen.model.Config
    for config in (kind(), specimen.config):
        try:
            text = json.dumps(as_dict(config))
        except TypeError as error:
            fail(f"the settings cannot be written as JSON ({error}): use numbers, texts, tuples")
        if override(kind(), json.loads(text), section="model") != config:
            fail(f"{kind.__name__} read from its JSON differs from what was written: {text}")
    silent = [row["name"] for row in describe(kind) if not row["meaning"]]
    if silent:
        fail(f"{several(silent)}: say what it means by setting(default, 'meaning')")


def test_card(specimen: Specimen) -> None:
    """`bench models NAME` shows the card; a reader follows its address to the original."""
    card = getattr(specimen.model, "card", None)
    if card is None:
        fail("there is no card: card = ModelCard(summary=…, source=Source(…))")
    if not card.summary or not card.source.url.startswith("https://"):
        fail("the card needs a summary, and a source whose url begins with https://")
