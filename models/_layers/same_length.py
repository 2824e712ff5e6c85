"""Convolutions that keep the length of a sequence, and the initial weights of LegNet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Conv(nn.Conv1d):
    """A convolution that keeps the length; an even width has one zero more on the right."""

    def __init__(
        self, channels: int, filters: int, width: int, *, groups: int = 1, bias: bool = False
    ) -> None:
        padding = (width - 1) // 2
        super().__init__(channels, filters, width, padding=padding, groups=groups, bias=bias)
        self.more = (width - 1) % 2

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, channels, L)`` to ``(B, filters, L)``."""
        return super().forward(functional.pad(x, (0, self.more)) if self.more else x)


class ParallelConvs(nn.Module):
    """Convolutions of several widths side by side, each with ReLU and dropout.

    Args:
        channels: Channels of the input.
        filters: Channels of the output, a multiple of the number of widths.
        widths: Width of each convolution, in bases.
        dropout: Dropout probability.
    """

    def __init__(
        self, channels: int, filters: int, widths: Sequence[int], *, dropout: float
    ) -> None:
        super().__init__()
        each = filters // len(widths)
        self.convs = nn.ModuleList([Conv(channels, each, width, bias=True) for width in widths])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, channels, L)`` to ``(B, filters, L)``."""
        return self.dropout(torch.cat([conv(x).relu() for conv in self.convs], dim=1))


def he_out_(module: nn.Module) -> None:
    """Draw the weights of one convolution or linear layer as LegNet's authors do; biases are 0.

    A convolution's weights are normal with variance 2 / (width x filters), also where it is
    grouped; those of a linear layer are normal with std .001. To be given to ``Module.apply``.
    """
    if isinstance(module, nn.Conv1d):
        (width,) = module.kernel_size
        nn.init.normal_(module.weight, std=math.sqrt(2 / (width * module.out_channels)))
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.001)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
