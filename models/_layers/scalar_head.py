"""The last linear map of a model that predicts one number."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ScalarHead(nn.Linear):
    """A linear map to one number in float32, also where autocast computes in bfloat16.

    Bfloat16 has three digits: many predictions would be equal, and ranks would be lost.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, ..., inputs)`` to ``(B, ...)``."""
        with torch.autocast(x.device.type, enabled=False):
            return functional.linear(x.float(), self.weight, self.bias).squeeze(-1)
