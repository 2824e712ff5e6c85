"""Keras' multi-head attention, whose heads have any width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .channels_last import Linear
from .keras import glorot_uniform_


class Attention(nn.Module):
    """Keras' multi-head attention with ``key_dim`` = dim: every head has the network's width."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.query, self.key, self.value = (Linear(dim, heads * dim) for _ in range(3))
        self.out = Linear(heads * dim, dim)

    def initialize(self) -> None:
        """Draw the kernels within Keras' limits for kernels of three axes."""
        for projection in (self.query, self.key, self.value):
            glorot_uniform_(projection.weight, self.dim, self.heads, self.dim)
        glorot_uniform_(self.out.weight, self.heads, self.dim, self.dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, D)`` to the same shape."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, self.dim)).transpose(1, 2)  # (B, H, T, D)
            for projection in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))
