"""Stages of plain convolutional networks, each with batch norm and ReLU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from bench.errors import BenchError

Padding = Literal["same", "valid"]
"""Whether a convolution keeps the length, or has no zeros around the sequence."""


def zeros(width: int, padding: Padding) -> nn.ZeroPad1d:
    """Return the zeros around a sequence; "same" has one more on the right for an even width."""
    return nn.ZeroPad1d(((width - 1) // 2, width // 2) if padding == "same" else 0)


def convolution(
    channels: int, width: int, norm: nn.BatchNorm1d, *, pool: int, padding: Padding = "same"
) -> nn.Sequential:
    """Return a convolution with as many filters as ``norm`` has, then norm, ReLU, max pooling.

    Positions that are left over at the end of the pooling are dropped, as in Keras and PyTorch.
    """
    conv = nn.Conv1d(channels, norm.num_features, width)
    return nn.Sequential(zeros(width, padding), conv, norm, nn.ReLU(), nn.MaxPool1d(pool))


def dense(inputs: int, norm: nn.BatchNorm1d, *, dropout: float) -> nn.Sequential:
    """Return a linear layer with as many outputs as ``norm`` has, then norm, ReLU, dropout."""
    return nn.Sequential(nn.Linear(inputs, norm.num_features), norm, nn.ReLU(), nn.Dropout(dropout))


def pooled_length(
    positions: int, widths: Sequence[int], pools: Sequence[int], padding: Padding = "same"
) -> int:
    """Return the number of positions after convolutions of these widths, each with a pooling.

    Raises:
        BenchError: The sequences are too short, so that no position is left.
    """
    length = positions
    for width, pool in zip(widths, pools, strict=True):
        length = (length - (width - 1) * (padding == "valid")) // pool
        if length < 1:
            raise BenchError(
                f"sequences of {positions} nt are too short for filters of width "
                f"{', '.join(map(str, widths))} ({padding} padding) and pooling by "
                f"{', '.join(map(str, pools))}: no position is left."
            )
    return length
