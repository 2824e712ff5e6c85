"""The contract of every model; a new file in models/ is tested without a new test."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.config import as_dict, describe, override
from bench.data.dataset import Split
from bench.model import REVERSE_STRAND, Batch, FittedModel, Model
from bench.recipe import Recipe
from bench.registry import MODELS
from bench.training.loader import further_inputs
from bench.training.schedule import Plan

ROOT = Path(__file__).parents[2]
NAMES = list(MODELS.places())


def small(name: str) -> Any:
    """Return the model's class and the configuration of its smallest preset."""
    model_class = MODELS.get(name)
    preset = model_class.presets.get("smoke")
    values = preset.model if preset else {}
    return model_class, override(model_class.Config(), values, section="model")


def make(name: str, seed: int = 0) -> tuple[Model, Batch]:
    """Build a small model and a batch of six rows for it, N included, on both strands."""
    model_class, config = small(name)
    positions = model_class.layout(config).positions(110, (17, 13))
    torch.manual_seed(seed)
    model = model_class(config, positions)
    tokens = torch.randint(5, (6, positions), dtype=torch.uint8)
    rows = Split.of(["ACGTN" * 22] * 6, range(6))
    columns = {
        name: torch.from_numpy(np.array(values))
        for name, values in further_inputs(model_class, config, rows).items()
    }
    if REVERSE_STRAND in columns:
        columns[REVERSE_STRAND][::2] = True
    return model, Batch(tokens, torch.randn(6), columns)


def predicted(model: Model, batch: Batch) -> Tensor:
    """Return the predictions of a batch, ``(B,)``."""
    return model.expectation(model(batch.tokens, **batch.columns))


def part(batch: Batch, rows: slice) -> Batch:
    """Return some rows of a batch."""
    columns = {name: values[rows] for name, values in batch.columns.items()}
    return Batch(batch.tokens[rows], batch.target[rows], columns)


@pytest.mark.parametrize("name", NAMES)
def test_predicts_one_finite_number_a_sequence_whatever_the_others_are(name: str) -> None:
    model, batch = make(name)
    if isinstance(model, FittedModel):
        model.fit([batch])
    model.eval()
    together = predicted(model, batch)
    assert together.shape == (6,)
    assert together.dtype == torch.float32
    assert together.isfinite().all()
    rows = [slice(row, row + 1) for row in range(6)]
    alone = torch.cat([predicted(model, part(batch, row)) for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_reaches_every_parameter(name: str) -> None:
    model, batch = make(name)
    if isinstance(model, FittedModel):
        pytest.skip("fitted in one go, without a loss")
    loss = sum(model.losses(batch).values(), torch.zeros(()))
    assert loss.shape == ()
    loss.backward()  # type: ignore[no-untyped-call]
    unreached = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unreached


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides_the_first_weights(name: str) -> None:
    first, second, other = make(name)[0], make(name)[0], make(name, seed=1)[0]
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
    if not isinstance(first, FittedModel):
        changed = [not torch.equal(v, other.state_dict()[k]) for k, v in first.state_dict().items()]
        assert any(changed)


@pytest.mark.parametrize("name", NAMES)
def test_settings_survive_json_and_every_one_says_what_it_means(name: str) -> None:
    model_class = MODELS.get(name)
    config = model_class.Config()
    text = json.dumps(as_dict(config))
    assert model_class.Config(**json.loads(text)) == config
    assert all(row["meaning"] for row in describe(model_class.Config))


@pytest.mark.parametrize("name", NAMES)
def test_recipes_and_presets_can_be_planned_on_the_full_data(name: str) -> None:
    model_class = MODELS.get(name)
    paper = model_class.paper_recipe(model_class.Config())
    assert Plan.of(paper, 6_400_689).steps > 0
    for preset in model_class.presets.values():
        override(model_class.Config(), preset.model, section="model")
        recipe = override(Recipe(), preset.recipe, section="recipe")
        assert Plan.of(recipe, 10_000, preset.max_steps).steps <= (preset.max_steps or 10**9)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_names_a_source_that_can_be_looked_up(name: str) -> None:
    card = MODELS.get(name).card
    assert card.source.url.startswith("https://")
    assert card.summary


@pytest.mark.parametrize("folder", ["models", "tasks", "leaderboards"])
def test_each_plugin_folder_is_one_folder(folder: str) -> None:
    """A copy of the repository that resolves the links would have every model file twice."""
    assert (ROOT / folder).samefile(ROOT / "bench" / folder)
