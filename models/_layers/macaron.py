"""The feed-forward layers of a macaron block: half of one before attention, half of one after."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from .channels_last import Linear


class FeedForward(nn.Module):
    """A gated feed-forward: norm, widening, gate by the second half, projection.

    Args:
        dim: Width D of the network.
        wide: Width before the gate, an even number.
        dropout: Dropout probability after the gate and after the projection.
        gate: Function of the second half, which multiplies the first.
    """

    def __init__(
        self,
        dim: int,
        wide: int,
        *,
        dropout: float,
        gate: Callable[[Tensor], Tensor] = functional.silu,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.widen = Linear(dim, wide, bias=False)
        self.narrow = Linear(wide // 2, dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, D)`` to the same shape."""
        value, gate = self.widen(self.norm(x)).chunk(2, dim=-1)
        return self.dropout(self.narrow(self.dropout(value * self.gate(gate))))
