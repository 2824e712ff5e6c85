"""The initial weights of LegNet."""

from __future__ import annotations

import math

from torch import nn


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
