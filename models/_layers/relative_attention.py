"""Attention with relative positions, as in Transformer-XL and Enformer.

Shapes, for L positions, H channels and heads of size H / heads:

    x         (B, L, H)
    features  (2L - 1, F)   basis functions of the distances -(L-1)..L-1
    output    (B, L, H)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .channels_last import Linear
from .keras import variance_scaling_


class RelativeAttention(nn.Module):
    """Transformer-XL attention, with Enformer's basis functions of the distance.

    The logit of query i and key j is (q_i + u)·k_j + (q_i + w)·r_(j-i), where r is a linear map of
    the distance's features and u, w are learned.
    """

    features: Tensor

    def __init__(self, hidden: int, heads: int, positions: int) -> None:
        super().__init__()
        self.heads, self.size = heads, hidden // heads
        # One head's width sets the number of features, as in Enformer's code.
        features = relative_features(positions, self.size // 6 * 6)
        self.register_buffer("features", features, persistent=False)
        self.query, self.key, self.value = (Linear(hidden, hidden, bias=False) for _ in range(3))
        self.relative_key = nn.Linear(features.shape[1], hidden, bias=False)
        self.content_bias = nn.Parameter(torch.empty(1, heads, 1, self.size))
        self.position_bias = nn.Parameter(torch.empty(1, heads, 1, self.size))
        self.out = Linear(hidden, hidden)
        for linear in (self.query, self.key, self.value, self.relative_key):
            variance_scaling_(linear.weight, linear.in_features, linear.out_features, scale=2)
        for bias in (self.content_bias, self.position_bias):
            variance_scaling_(bias, *bias.shape, scale=2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, H)`` to the same shape."""
        length = x.shape[1]
        q = self._split(self.query(x)) * self.size**-0.5  # (B, heads, L, size)
        k, v = self._split(self.key(x)), self._split(self.value(x))
        r = self._split(self.relative_key(self.features)[None])  # (1, heads, 2L - 1, size)
        by_distance = (q + self.position_bias) @ r.transpose(-1, -2)  # (B, heads, L, 2L - 1)
        # Distance j - i is column j - i + L - 1, so entry (i, j) is the flat element
        # i (2L - 2) + L - 1 + j. So a slice and a reshape replace a gather.
        flat = by_distance.flatten(-2)[..., length - 1 : length - 1 + length * (2 * length - 2)]
        position = torch.unflatten(flat, -1, (length, 2 * length - 2))[..., :length]
        mixed = functional.scaled_dot_product_attention(
            q + self.content_bias, k, v, attn_mask=position, scale=1.0
        )
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, -1, (self.heads, self.size)).transpose(1, 2)


def relative_features(length: int, count: int) -> Tensor:
    """Return Enformer's features of the distances -(length-1)..length-1.

    Args:
        length: Number of positions in the sequence.
        count: Number of features, a multiple of six: a third each of exponential decays, central
            masks and gamma densities, first symmetric, then times the distance's sign.

    Returns:
        Float32 features ``(2 length - 1, count)``, computed in float64.
    """
    m = count // 6
    signed = torch.arange(-length + 1, length, dtype=torch.float64)[:, None]
    a = signed.abs()
    half_life = 2 ** torch.linspace(3, math.log2(length), m, dtype=torch.float64)
    exponential = 2 ** (-a / half_life)
    mask = (2 ** torch.arange(1, m + 1, dtype=torch.float64) - 1 > a).double()
    mean = torch.linspace(length / m, length, m, dtype=torch.float64)
    std = length / (2 * m)
    shape, rate = (mean / std) ** 2, mean / std**2
    log_density = torch.xlogy(shape - 1, a) - rate * a - torch.lgamma(shape) + shape * rate.log()
    density = log_density.exp() + 1e-8
    symmetric = torch.cat([exponential, mask, density / density.amax(dim=0)], dim=1)
    return torch.cat([symmetric, signed.sign() * symmetric], dim=1).float()
