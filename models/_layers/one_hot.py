"""Tokens to one-hot channels on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneHot(nn.Module):
    """Look up one row of a small identity matrix a token: ``(B, L)`` -> ``(B, channels, L)``.

    Channels are A C G T N and, with six, the mask; tokens beyond the channels become all zeros.
    """

    eye: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("eye", torch.eye(6)[:, :channels].clone(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return float channels for uint8 tokens."""
        return nn.functional.embedding(tokens.long(), self.eye).transpose(1, 2)
