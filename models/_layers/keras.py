"""Initial weights as in Keras and Sonnet, for models that were first written in TensorFlow.

Keras and Sonnet compute fan-in and fan-out from the shape of *their* kernels: the last two axes are
(in, out), and all earlier axes are the receptive field. For a kernel of more than two axes PyTorch
would compute other fans: the kernel of Keras' attention has the shape (dim, heads, key_dim), so
dim counts as the receptive field.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Std of a standard normal distribution truncated at -2 and 2: TensorFlow divides by it.
_TRUNCATED_STD = 0.87962566103423978


def fans(*kernel: int) -> tuple[int, int]:
    """Return fan-in and fan-out of a TensorFlow kernel, given its shape."""
    field = math.prod(kernel[:-2])
    return kernel[-2] * field, kernel[-1] * field


@torch.no_grad()
def glorot_uniform_(weight: Tensor, *kernel: int) -> None:
    """Fill a weight uniformly within the Glorot limit of a TensorFlow kernel shape."""
    fan_in, fan_out = fans(*kernel)
    limit = math.sqrt(6 / (fan_in + fan_out))
    weight.uniform_(-limit, limit)


@torch.no_grad()
def variance_scaling_(weight: Tensor, *kernel: int, scale: float) -> None:
    """Fill a weight from a truncated normal of variance ``scale`` / fan-in; scale 2 is He's."""
    fan_in, _ = fans(*kernel)
    std = math.sqrt(scale / fan_in) / _TRUNCATED_STD
    torch.nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
