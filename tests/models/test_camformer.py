"""Camformer in both sizes against a float64 computation, its channels and its sizes by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import BenchError
from bench.registry import MODELS
from tests.models import float64 as by_hand

Camformer, Mini = MODELS.get("camformer"), MODELS.get("camformer-mini")


@pytest.mark.parametrize(
    ("model_class", "purines", "parameters"),
    [
        (Camformer, False, 16_611_073),
        (Mini, False, 1_444_801),
        (Mini, True, 1_446_721),
    ],
)
def test_they_have_the_published_number_of_parameters(
    model_class: Any, purines: bool, parameters: int
) -> None:
    model = model_class(model_class.Config(purines=purines), 110)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_published_mini_model_has_the_fifth_channel() -> None:
    model = Mini(Mini.Config(), 110)
    assert sum(p.numel() for p in model.parameters()) == 1_446_721
    assert Mini.paper_recipe(Mini.Config()).loss == "mse"


def test_the_mini_dropouts_are_the_published_ones() -> None:
    """Of three digits, from .156 to .344."""
    dropouts = [m for m in Mini(Mini.Config(), 110).modules() if isinstance(m, nn.Dropout)]
    rates = [round(dropout.p, 3) for dropout in dropouts]
    assert rates == [0.156, 0.194, 0.231, 0.269, 0.306, 0.344]


def max_pool(x: by_hand.Array, width: int, stride: int) -> by_hand.Array:
    starts = range(0, x.shape[1] - width + 1, stride)
    return np.stack([x[:, i : i + width].max(axis=1) for i in starts], axis=1)


def layer(x: by_hand.Array, w: by_hand.Weights, number: int, pads: tuple[int, int]) -> Any:
    x = by_hand.conv(x, w, f"layers.{number}.conv", pads)
    return by_hand.relu(by_hand.batch_norm(x, w, f"layers.{number}.norm"))


def rows(length: int) -> list[str]:
    rng = np.random.default_rng(1)
    return ["".join(rng.choice(list("ACGTN"), length)) for _ in range(5)]


def test_the_original_equals_a_float64_computation() -> None:
    """Layer 3 is pooled: its output after the pool is added to that of layer 4."""
    config = Camformer.Config(
        channels=(4, 4, 6, 6), widths=(4, 3, 2, 10), pooled_layer=3, pool=5, stride=2, hidden=16
    )
    model = Camformer(config, 20).eval()
    w = by_hand.randomize(model)
    expected = []
    for row in rows(20):
        x = layer(by_hand.one_hot(row), w, 0, (1, 2))
        x = layer(x, w, 1, (1, 1)) + x
        x = max_pool(layer(x, w, 2, (0, 1)), 5, 2)
        x = layer(x, w, 3, (4, 5)) + x
        y = by_hand.relu(by_hand.linear(x.reshape(-1), w, "hidden.0"))
        y = by_hand.relu(by_hand.linear(y, w, "hidden.1"))
        expected.append(by_hand.linear(y, w, "head")[0])
    assert np.std(expected) > 0.01
    assert by_hand.worst(model(by_hand.tokens(*rows(20))), np.array(expected)) < 1e-5


@pytest.mark.parametrize("purines", [False, True])
def test_the_mini_model_equals_a_float64_computation(purines: bool) -> None:
    config = Mini.Config(
        channels=(4, 3, 5), widths=(5, 4, 6), pooled_layer=2, pool=3, hidden=6, purines=purines
    )
    model = Mini(config, 14).eval()
    w = by_hand.randomize(model)
    expected = []
    for row in rows(14):
        x = by_hand.one_hot(row, n=0.25 if purines else 0.0)
        if purines:
            fifth = [{"A": 1.0, "G": 1.0, "N": 0.5}.get(letter, 0.0) for letter in row]
            x = np.vstack([x, fifth])
        x = max_pool(layer(layer(x, w, 0, (5, 5)), w, 1, (5, 5)), 3, 2)
        y = layer(x, w, 2, (5, 5)).reshape(-1)
        y = by_hand.relu(by_hand.linear(y, w, "hidden.0"))
        expected.append(by_hand.linear(y, w, "head")[0])
    assert np.std(expected) > 0.01
    assert by_hand.worst(model(by_hand.tokens(*rows(14))), np.array(expected)) < 1e-5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": (8, 8)}, r"widths has 6 layers, model\.channels has 2"),
        ({"channels": (8, 8, 8, 16, 8, 8)}, "residual needs pairs of layers"),
        ({"padding": 2}, "residual needs pairs of layers"),
        ({"pooled_layer": 4}, r"pooled_layer \(4\) is the second .* Try 3\."),
        ({"pooled_layer": 7}, r"^model\.pooled_layer \(7\) is above the 6 layers .* Try 5\.$"),
        ({"pooled_layer": 7, "residual": False}, r"\(7\) is above the 6 layers .* Try 6\.$"),
    ],
)
def test_layers_that_do_not_fit_together_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        Camformer.Config(**settings)


def test_a_row_that_the_pool_does_not_fit_is_refused() -> None:
    with torch.device("meta"), pytest.raises(BenchError, match=r"^9 nt are too few: .* layer 5"):
        Camformer(Camformer.Config(), 9)
