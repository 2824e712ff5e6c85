"""Layers with channels last in memory, against torch's own layers and NumPy loops."""

import numpy as np
import pytest
import torch
from torch import nn

from bench.models._layers.channels_last import Depthwise, Linear, as_image

SHAPES = [(3, 7, 5), (1, 7, 5), (3, 1, 5), (3, 7, 1)]  # (B, T, C); each axis may be one


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_and_its_gradients_are_torchs(shape: tuple[int, int, int], bias: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = Linear(shape[2], 6, bias=bias), nn.Linear(shape[2], 6, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(shape, requires_grad=True)
    out, expected = ours(x), theirs(x)
    torch.testing.assert_close(out, expected)
    weights = torch.randn_like(expected)
    got = torch.autograd.grad((out * weights).sum(), [x, *ours.parameters()])
    wanted = torch.autograd.grad((expected * weights).sum(), [x, *theirs.parameters()])
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_channel_has_its_own_centred_filter(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    layer, x = Depthwise(shape[2], 3), torch.randn(shape)
    filters = layer.weight.detach().numpy()[:, 0]
    padded = np.pad(x.numpy(), ((0, 0), (1, 1), (0, 0)))
    out = layer(x).detach().numpy()
    assert out.shape == shape
    for row, place, channel in np.ndindex(*shape):
        expected = filters[channel] @ padded[row, place : place + 3, channel]
        assert out[row, place, channel] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_sequence_is_an_image_without_a_copy() -> None:
    x = torch.randn(3, 7, 5)
    image = as_image(x.transpose(1, 2))
    assert image.shape == (3, 5, 1, 7)
    assert image.data_ptr() == x.data_ptr()
