"""A bidirectional LSTM with swish in place of tanh, and a backward pass written by hand.

Automatic differentiation would keep a dozen tensors a position and run one small operation after
another. Here every operation that does not depend on the position before is one operation over all
positions; only the gradients of the states go from position to position.

Shapes: L positions, 2 directions, B rows, U units; the last axis has the gates input, forget, cell
and output, U each.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .channels_last import linear
from .keras import variance_scaling_


class SwishBiLSTM(nn.Module):
    """A bidirectional LSTM that returns the last state of each direction."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        # Axis 0: forward, backward.
        self.kernel = nn.Parameter(torch.empty(2, inputs, 4 * units))
        self.recurrent = nn.Parameter(torch.empty(2, units, 4 * units))
        self.bias = nn.Parameter(torch.zeros(2, 1, 4 * units))
        with torch.no_grad():
            self.bias[..., units : 2 * units] = 1  # Keras opens the forget gate
        self.draw()

    def draw(self) -> None:
        """Draw the kernels of both directions as Keras does: He-normal and orthogonal."""
        for kernel, recurrent in zip(self.kernel, self.recurrent, strict=True):
            variance_scaling_(kernel, *kernel.shape, scale=2)
            nn.init.orthogonal_(recurrent)

    def forward(self, x: Tensor) -> Tensor:
        """Return the last states, ``(B, L, inputs)`` -> ``(B, 2U)``."""
        gates = linear(x, self.kernel.transpose(1, 2).flatten(0, 1), self.bias.flatten())
        ahead, back = gates.float().transpose(0, 1).chunk(2, dim=-1)  # (L, B, 4U)
        gates = torch.stack([ahead, back.flip(0)], dim=1)  # (L, 2, B, 4U)
        with torch.autocast(x.device.type, enabled=False):  # rounding would add up over L steps
            h: Tensor = LastState.apply(gates, self.recurrent)  # type: ignore[no-untyped-call]
        return h.transpose(0, 1).flatten(1)


class LastState(torch.autograd.Function):
    """The recurrence: from the inputs' part of the gates ``(L, 2, B, 4U)`` to the last states.

    The recurrent weights are ``(2, U, 4U)``, the last states ``(2, B, U)``. The function has no
    second derivative.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, recurrent: Tensor) -> Tensor:
        """Return the last states; gates and states of all positions are saved for backward."""
        units = recurrent.shape[1]
        h = c = gates.new_zeros(*gates.shape[1:3], units)
        states, cells, opened = [h], [c], []
        for step in gates.unbind():
            z = torch.baddbmm(step, h, recurrent)
            i, f, g, o = z.sigmoid().chunk(4, dim=-1)
            c = torch.addcmul(f * c, i, g * z[..., 2 * units : 3 * units])
            h = o * functional.silu(c)
            opened.append(z)
            states.append(h)
            cells.append(c)
        ctx.save_for_backward(
            torch.stack(opened), torch.stack(states[:-1]), torch.stack(cells), recurrent
        )
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of gates and weights; ``dh`` and ``dc`` are those of the states."""
        z, h, c, recurrent = ctx.saved_tensors
        i, f, g, o = z.sigmoid().chunk(4, dim=-1)
        swish = z.chunk(4, dim=-1)[2] * g
        gate_c = c[1:].sigmoid()
        swish_c = c[1:] * gate_c
        # Derivatives of the state by its cell, then of cell and state by the gates.
        by_cell = (o * (gate_c + swish_c * (1 - gate_c))).unbind()
        by_gates = torch.cat(
            [swish * i * (1 - i), c[:-1] * f * (1 - f), i * (g + swish * (1 - g))], dim=-1
        ).unbind()
        by_output = (swish_c * o * (1 - o)).unbind()
        dh, dc, back = grad, torch.zeros_like(grad), recurrent.transpose(1, 2)
        keep, dz = f.unbind(), []
        for t in reversed(range(len(z))):
            dc = torch.addcmul(dc, dh, by_cell[t])
            dz.append(torch.cat([by_gates[t] * dc.repeat(1, 1, 3), by_output[t] * dh], dim=-1))
            dc = dc * keep[t]
            dh = dz[-1] @ back
        gates = torch.stack(dz[::-1])
        return gates, torch.einsum("ldbu,ldbg->dug", h, gates)
