"""The conversion of tokens to one-hot channels on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneHot(nn.Module):
    """One-hot channels of tokens: ``(B, L)`` -> ``(B, channels, L)``.

    The channels are A C G T N and the mask, or the first of these. A token without a channel
    becomes all zeros.
    """

    eye: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("eye", torch.eye(6)[:, :channels].clone(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the float channels of uint8 tokens."""
        return nn.functional.embedding(tokens.long(), self.eye).transpose(1, 2)
