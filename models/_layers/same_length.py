"""Convolutions that keep the length of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import BenchError


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


def check_shares(name: str, channels: int, widths: Sequence[int]) -> None:
    """Check that :class:`ParallelConvs` of these widths can share the channels.

    Args:
        name: Name of the setting that is the number of channels.
        channels: Number of channels, all widths together.
        widths: Width of each convolution.

    Raises:
        BenchError: The channels are not a multiple of the number of widths.
    """
    count = len(widths)
    if channels % count:
        raise BenchError(
            f"model.{name} ({channels}) is not a multiple of the {count} widths. "
            f"Try {max(channels // count, 1) * count}."
        )
