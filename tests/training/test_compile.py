"""Training with torch.compile, which changes only the speed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.model import Model, TargetScale
from bench.recipe import Recipe
from bench.registry import MODELS
from bench.training.batches import Batches
from bench.training.loop import train
from bench.training.monitor import Controls
from bench.training.schedule import Plan
from tests.runner.bins import Bins, BinsConfig
from tests.training.test_loop import batches_of
from tests.training.test_recipes_in_the_loop import Terms

Proformer = MODELS.get("proformer")
RECIPE = Recipe(batch_size=16, epochs=2, warmup=0, lr=0.01)  # an epoch is one step
AVERAGED = Recipe(
    batch_size=16,
    epochs=2,
    lr=0.05,
    loss="huber",
    average_weights="ema",
    optimizer="adamw",
    schedule="one_cycle",
    warmup=2,
    warmup_unit="steps",
    cycle_momentum=True,
    weight_decay=0.1,
)


class Losses(list[float]):
    """A progress that keeps the loss of every step."""

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        pass

    def epoch(self, step: int, figures: dict[str, float]) -> None:
        self.append(figures["train/loss"])


def batches(seed: int) -> Batches:
    generator = np.random.default_rng(seed)
    tokens = generator.integers(0, 5, (16, 20), dtype=np.uint8)
    target = generator.normal(size=16).astype(np.float32)
    return batches_of(tokens, target, reverse_complement=True)


def proformer() -> tuple[Model, Batches]:
    sizes = {"dim": 16, "blocks": 1, "attention_heads": 2, "expression_heads": 4, "length": 20}
    chance: dict[str, Any] = {"dropout": 0.0, "mask_ratio": 0.0}  # compiled noise differs
    return Proformer(Proformer.Config(**sizes, **chance), 40), batches(1)


def bins() -> tuple[Model, Batches]:
    """A model with an input column, whose loss uses the scale of the targets."""
    generator = np.random.default_rng(1)
    tokens = generator.integers(0, 5, (16, 40), dtype=np.uint8)
    target = generator.integers(-2, 3, 16).astype(np.float32)
    model = Bins(BinsConfig(), 40)
    model.noise.p, model.scale = 0.0, TargetScale(mean=8.0, std=2.0)
    return model, batches_of(tokens, target, singleton=target > 0)


def terms() -> tuple[Model, Batches]:
    """A model whose loss has two terms."""
    tokens = np.random.default_rng(1).integers(0, 5, (16, 24), dtype=np.uint8)
    return Terms(noise=0.0), batches_of(tokens, batches(1).target.numpy())


def losses(
    make: Callable[[], tuple[Model, Batches]], recipe: Recipe, *, compiled: bool
) -> list[float]:
    torch.manual_seed(0)
    model, training = make()
    told, plan = Losses(), Plan.of(recipe, 16)
    train(
        model,
        training,
        training,
        recipe,
        plan,
        seed=0,
        progress=told,
        controls=Controls(compiled=compiled),
    )
    return told


@pytest.mark.parametrize(
    ("make", "recipe"),
    [
        (proformer, RECIPE),
        (bins, RECIPE),
        pytest.param(terms, AVERAGED, marks=pytest.mark.slow),
    ],
)
@pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="needs a C++ compiler"
)
def test_a_compiled_training_has_the_losses_of_a_plain_one(
    make: Callable[[], tuple[Model, Batches]],
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain = losses(make, recipe, compiled=False)
    assert not list(tmp_path.iterdir())
    torch.compiler.reset()
    try:
        compiled = losses(make, recipe, compiled=True)
    finally:
        torch.compiler.reset()
    assert list(tmp_path.rglob("*.cpp"))
    assert len(plain) == 2
    assert abs(plain[1] - plain[0]) > 0.01
    assert compiled == pytest.approx(plain, abs=1e-4)
