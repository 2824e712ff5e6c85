"""LegNet's block: a gated branch beside its input, and a convolution over both.

Shapes, for a block from a to b channels with w inner channels and r gate units:

    x       (B, a, L)
    branch  (B, a, L)   widened to w, convolved in groups, gated, narrowed
    output  (B, b, L)   convolution over the 2a channels of x and branch
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from .same_length import Conv

GateKind = Literal["bilinear", "simple"]


class Gate(nn.Module):
    """A squeeze-excitation gate: a factor a channel, from the means over positions."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, units)
        self.excite = nn.Linear(units, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, channels, L)`` to the same shape."""
        return x * self.excite(self.units(x.mean(dim=2))).sigmoid().unsqueeze(2)

    def units(self, mean: Tensor) -> Tensor:
        """Return the values that decide the factors, from means ``(B, channels)``."""
        return functional.silu(self.squeeze(mean))


class BilinearGate(Gate):
    """A gate whose factors also depend on products of its units.

    Args:
        channels: Channels of the input.
        units: Gate units r; r // 2 sums of their products are computed.
    """

    def __init__(self, channels: int, units: int) -> None:
        super().__init__(channels, units)
        self.mix = nn.Linear(units, units)
        self.products = Products(units, units // 2)
        self.excite = nn.Linear(units + units // 2, channels)

    def units(self, mean: Tensor) -> Tensor:
        """Return units and products, ``(B, channels)`` -> ``(B, r + r // 2)``."""
        y = self.mix(functional.silu(self.squeeze(mean)))  # no activation after the second layer
        return functional.silu(torch.cat([y, self.products(y)], dim=1))


class Products(nn.Module):
    """Sums over products of every two inputs, ``(B, r)`` -> ``(B, q)``.

    The weights, a tensor (r, r, q), are a sum of R outer products of three vectors. R is chosen
    for half as many numbers as the tensor has.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        size = inputs * inputs * outputs
        rank = max(round(0.5 * size / (2 * inputs + outputs)), 1)
        self.left, self.right, self.out = (
            nn.Parameter(torch.empty(rows, rank)) for rows in (inputs, inputs, outputs)
        )
        self.weights = nn.Parameter(torch.ones(rank))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-1, 1))
        # The tensor then has a std of .00075, whatever its size.
        std = (0.00075 / math.sqrt(rank)) ** (1 / 3)
        for factor in (self.left, self.right, self.out):
            nn.init.normal_(factor, std=std)

    def forward(self, y: Tensor) -> Tensor:
        """Map ``(B, r)`` to ``(B, q)``."""
        return (y @ self.left * (y @ self.right) * self.weights) @ self.out.T + self.bias


class EfficientBlock(nn.Module):
    """See the module docstring.

    Args:
        channels: Channels a of the input.
        filters: Channels b of the output.
        inner: Channels w inside the branch, a multiple of ``group``.
        width: Width of the grouped convolution and of the last one, in bases.
        group: Channels of a group.
        units: Units r of the gate.
        gate: Kind of the gate.
        branch_first: Whether the branch stands before the input, for the last convolution.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        *,
        inner: int,
        width: int,
        group: int,
        units: int,
        gate: GateKind,
        branch_first: bool = False,
    ) -> None:
        super().__init__()
        self.branch_first = branch_first
        self.branch = nn.Sequential(
            *convolved(channels, inner, 1),
            *convolved(inner, inner, width, groups=inner // group),
            (BilinearGate if gate == "bilinear" else Gate)(inner, units),
            *convolved(inner, channels, 1),
        )
        self.merge = nn.Sequential(*convolved(2 * channels, filters, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, a, L)`` to ``(B, b, L)``."""
        branch = self.branch(x)
        return self.merge(torch.cat([branch, x] if self.branch_first else [x, branch], dim=1))


def convolved(channels: int, filters: int, width: int, *, groups: int = 1) -> list[nn.Module]:
    """Return a convolution without bias, a batch norm and a SiLU."""
    return [Conv(channels, filters, width, groups=groups), nn.BatchNorm1d(filters), nn.SiLU()]
