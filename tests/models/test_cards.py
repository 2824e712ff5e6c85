"""What every card of a model says, beyond that it has a summary and an address."""

import re

import pytest

from bench.config import override, split_assignments
from bench.model import FittedModel
from bench.registry import MODELS
from bench.search_space import checked

NAMES = list(MODELS.places())


@pytest.mark.parametrize("name", NAMES)
def test_the_source_has_a_year_a_license_and_a_pinned_address(name: str) -> None:
    source = MODELS.get(name).card.source
    assert re.search(r"\b(1[89]|20)\d\d\b", source.citation)
    assert source.license
    if "github.com" in source.url:
        assert re.search(r"/(tree|blob|commit)/[0-9a-f]{7,40}\b", source.url)


@pytest.mark.parametrize("name", NAMES)
def test_differences_are_sentences_and_a_published_network_has_some(name: str) -> None:
    model_class = MODELS.get(name)
    differences = model_class.card.differences
    assert differences or issubclass(model_class, FittedModel)
    assert all(text[0].isupper() and text.endswith(".") for text in differences)
    assert len(set(differences)) == len(differences)


@pytest.mark.parametrize("name", NAMES)
def test_variants_and_the_search_space_name_settings_that_exist(name: str) -> None:
    model_class = MODELS.get(name)
    for arguments, meaning in model_class.card.variants:
        values = split_assignments(arguments.split())
        assert not values["task"]
        override(model_class.Config(), values["model"], section="model")
        assert meaning
    assert len(checked({"model": model_class.space}, {"model": model_class.Config})) == len(
        model_class.space
    )
