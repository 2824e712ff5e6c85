"""The conversion of tokens to one-hot channels on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneHot(nn.Module):
    """One-hot channels of tokens: ``(B, L)`` -> ``(B, channels, L)``.

    The channels are A C G T N and the mask, or the first of these. A token without a channel
    becomes all zeros.

    Args:
        channels: Number of channels.
        order: Order of the bases' channels.
        n: Value of N in the four channels of the bases.
    """

    eye: Tensor

    def __init__(self, channels: int, *, order: str = "ACGT", n: float = 0.0) -> None:
        super().__init__()
        eye = torch.eye(6)
        eye[:4] = eye[[order.index(base) for base in "ACGT"]]
        eye[4, :4] = n
        self.register_buffer("eye", eye[:, :channels].clone(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the float channels of uint8 tokens."""
        return nn.functional.embedding(tokens.long(), self.eye).transpose(1, 2)
