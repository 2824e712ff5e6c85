"""Initial weights against limits worked out by hand, and one-hot channels against a loop."""

import math

import pytest
import torch

from bench.models._layers.keras import fans, glorot_uniform_, variance_scaling_
from bench.models._layers.one_hot import OneHot
from bench.models._layers.scalar_head import ScalarHead
from bench.registry import MODELS


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ((60, 512), (60, 512)),  # a dense layer
        ((15, 512, 1), (7680, 15)),  # a depthwise kernel
        ((512, 8, 512), (4096, 262_144)),  # Keras' attention: dim counts as receptive field
        ((8, 512, 512), (4096, 4096)),  # its output projection
        ((1, 2, 1, 48), (2, 96)),  # Sonnet's attention bias
    ],
)
def test_fans_are_counted_as_tensorflow_does(
    kernel: tuple[int, ...], expected: tuple[int, int]
) -> None:
    assert fans(*kernel) == expected


def test_glorot_fills_up_to_its_limit_and_not_beyond() -> None:
    torch.manual_seed(0)
    weight = torch.empty(200, 300)
    glorot_uniform_(weight, 300, 200)
    limit = math.sqrt(6 / 500)
    assert 0.999 * limit < weight.abs().max() <= limit
    assert weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.01)


def test_variance_scaling_has_the_variance_it_promises_and_is_cut() -> None:
    torch.manual_seed(0)
    weight = torch.empty(400, 500)
    variance_scaling_(weight, 500, 400, scale=2)
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 500), rel=0.01)
    assert weight.abs().max() <= 2 * math.sqrt(2 / 500) / 0.8796


def test_proformer_draws_its_query_within_keras_own_narrow_limit() -> None:
    model_class = MODELS.get("proformer")
    torch.manual_seed(0)
    model = model_class(model_class.Config(dim=32, blocks=1, attention_heads=4, k=3), 200)
    state = model.state_dict()
    limit = math.sqrt(6 / (4 * 32 + 32 * 32))
    assert 0.98 * limit < state["blocks.0.attention.query.weight"].abs().max() <= limit
    assert not state["blocks.0.attention.query.bias"].any()
    limit = math.sqrt(6 / (18 + 32))
    assert 0.95 * limit < state["kmer.weight"].abs().max() <= limit


def test_madlab_opens_its_forget_gates_and_closes_its_attention() -> None:
    model_class = MODELS.get("madlab")
    state = model_class(model_class.Config(hidden=12, units=3), 110).state_dict()
    assert (state["lstm.bias"][..., 3:6] == 1).all()
    assert state["lstm.bias"].sum() == 2 * 3
    assert not state["transformer.0.attention.out.weight"].any()
    recurrent = state["lstm.recurrent"][0]
    torch.testing.assert_close(recurrent @ recurrent.T, torch.eye(3))  # orthogonal


@pytest.mark.parametrize("channels", [4, 6])
def test_one_hot_has_a_one_where_the_letter_is(channels: int) -> None:
    tokens = torch.tensor([[0, 3, 4, 5, 2]], dtype=torch.uint8)
    hot = OneHot(channels)(tokens)
    for position, token in enumerate(tokens[0].tolist()):
        column = [1.0 if channel == token else 0.0 for channel in range(channels)]
        assert hot[0, :, position].tolist() == column


def test_predictions_in_bfloat16_have_the_digits_of_float32() -> None:
    torch.manual_seed(0)
    head, x = ScalarHead(16), torch.randn(1000, 16)
    with torch.autocast("cpu", torch.bfloat16):
        predictions = head(x)
    expected = x.double() @ head.weight[0].double() + head.bias.double()
    torch.testing.assert_close(predictions.double(), expected, rtol=1e-5, atol=1e-6)
