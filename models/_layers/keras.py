"""Initial weights as Keras and Sonnet draw them, for models first written in TensorFlow.

Both count fans from the shape of *their* kernels: the last two axes are (in, out), all earlier
ones the receptive field. For a kernel of more than two axes that is not what PyTorch would count:
Keras' attention projects (dim, heads, key_dim) and takes dim for a receptive field.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Standard deviation of a normal distribution cut at two: TensorFlow divides by it.
_CUT_DEVIATION = 0.87962566103423978


def fans(*kernel: int) -> tuple[int, int]:
    """Return fan-in and fan-out of a TensorFlow kernel with this shape."""
    field = math.prod(kernel[:-2])
    return kernel[-2] * field, kernel[-1] * field


@torch.no_grad()
def glorot_uniform_(weight: Tensor, *kernel: int) -> None:
    """Fill ``weight`` uniformly within the Glorot limit of a TensorFlow kernel shape."""
    fan_in, fan_out = fans(*kernel)
    limit = math.sqrt(6 / (fan_in + fan_out))
    weight.uniform_(-limit, limit)


@torch.no_grad()
def variance_scaling_(weight: Tensor, *kernel: int, scale: float) -> None:
    """Fill with a cut normal of variance ``scale`` / fan-in; scale 2 is He's."""
    fan_in, _ = fans(*kernel)
    deviation = math.sqrt(scale / fan_in) / _CUT_DEVIATION
    torch.nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)
