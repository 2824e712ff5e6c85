"""The LSTM's backward pass against finite differences and automatic differentiation."""

import pytest
import torch
from torch import Tensor

from bench.models._layers.swish_lstm import LastState, SwishBiLSTM


def loop(x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor) -> Tensor:
    """Return the states of one direction from the equations, position by position."""
    h = c = x.new_zeros(len(x), len(recurrent))
    for step in x.unbind(1):
        i, f, g, o = (step @ kernel + h @ recurrent + bias).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * g * torch.sigmoid(g)
        h = torch.sigmoid(o) * c * torch.sigmoid(c)
    return h


@pytest.mark.parametrize("length", [1, 6])
def test_the_gradient_is_that_of_differences(length: int) -> None:
    torch.manual_seed(0)
    gates = torch.randn(length, 2, 3, 8, dtype=torch.float64, requires_grad=True)
    recurrent = torch.randn(2, 2, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LastState.apply, (gates, recurrent))


def test_states_and_all_gradients_equal_a_loop_under_autograd() -> None:
    torch.manual_seed(0)
    lstm = SwishBiLSTM(12, 3)
    x = torch.randn(5, 40, 12, requires_grad=True)
    given = [x, lstm.kernel, lstm.recurrent, lstm.bias]
    ends = [
        loop(sequence, lstm.kernel[number], lstm.recurrent[number], lstm.bias[number])
        for number, sequence in enumerate((x, x.flip(1)))
    ]
    expected, ours = torch.cat(ends, dim=1), lstm(x)
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(5, 6)
    wanted = torch.autograd.grad((expected * weights).sum(), given)
    got = torch.autograd.grad((ours * weights).sum(), given)
    for name, a, b in zip(("x", "kernel", "recurrent", "bias"), got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)


def test_bfloat16_around_it_stays_outside() -> None:
    """The errors of rounded states would add up over the positions."""
    torch.manual_seed(0)
    lstm = SwishBiLSTM(12, 3)
    x = torch.randn(2, 60, 12).bfloat16().float()
    for parameter in lstm.parameters():
        parameter.data = parameter.data.bfloat16().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = lstm(x)
    assert ours.dtype == torch.float32
    expected = loop(x, lstm.kernel[0], lstm.recurrent[0], lstm.bias[0])
    torch.testing.assert_close(ours[:, :3], expected, rtol=0, atol=2e-2)
