"""DREAM-Attn: Proformer's macaron blocks in the organisers' version, with classes for bins.

Shapes, with the organisers' sizes (D 256, 4 blocks, 4 attention heads):

    tokens    (B, L)       L 150: the plasmid, the insert and the right flank
    channels  (B, 6, L)    A, G, C, T, reverse strand, singleton
    x         (B, L, D)    filters of width 7, plus a learned vector a position; four blocks
    output    (B, 18)      mean over positions: logits of the sorting bins

Classes, their loss and the prediction: :mod:`bench.models._layers.sorting_bins`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.cards import ModelCard
from bench.config import setting, settings
from bench.errors import BenchError
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.channels_last import Depthwise, Linear
from ._layers.dream_nets import DIFFERENCES, SOURCE, dream_recipe
from ._layers.efficient_block import convolved
from ._layers.he_out import he_out_
from ._layers.macaron import FeedForward
from ._layers.same_length import Conv
from ._layers.sorting_bins import SixChannels, SortingBins, SortingBinsConfig


@settings
class DreamAttnConfig(SortingBinsConfig):
    """Sizes of the network; the defaults are the organisers'."""

    dim: int = setting(256, "width of the network; a multiple of attention_heads", low=1)
    blocks: int = setting(4, "macaron blocks", low=1)
    attention_heads: int = setting(
        4, "heads; the organisers' block ignores the 8 it is given", low=1
    )
    first_width: int = setting(7, "width of the first filters, in bases", low=1)
    kernel: int = setting(15, "width of the depthwise convolution", low=1)
    ffn: int = setting(4, "width of the feed-forward layers before their gate, in dims", low=1)
    dropout: float = setting(0.1, "in feed-forward layers and after the convolution", low=0, high=1)

    def __post_init__(self) -> None:
        """Check that the fields fit together."""
        if self.dim % self.attention_heads:
            raise BenchError(
                f"model.dim ({self.dim}) is not a multiple of model.attention_heads "
                f"({self.attention_heads})."
            )
        if self.dim * self.ffn % 2:
            raise BenchError("model.dim x model.ffn must be even: one half gates the other.")


class DreamAttn(SortingBins[DreamAttnConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "dim": Choice((64, 128, 256)),
        "blocks": Range(1, 6),
        "attention_heads": Choice((1, 2, 4, 8)),
        "kernel": Choice((7, 15, 31)),
        "dropout": Range(0, 0.3),
    }
    card = ModelCard(
        summary="the organisers' attention network: Proformer's blocks, one pooled head",
        source=SOURCE,
        variants=(
            ("model.attention_heads=8", "as the organisers' notebook asks; their block ignores it"),
            ("model.context=false", "N in place of the yeast plasmid, for other DNA"),
        ),
        differences=DIFFERENCES,
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"dim": 32, "blocks": 1, "dropout": 0.0},
            recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"dim": 48, "blocks": 2},
            recipe={"batch_size": 256, "epochs": 10},
            max_steps=5_000,
        ),
    }

    def __init__(self, config: DreamAttnConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.channels = SixChannels()
        self.first = nn.Sequential(*convolved(SixChannels.count, config.dim, config.first_width))
        self.position = nn.Parameter(torch.empty(positions, config.dim))
        self.blocks = nn.Sequential(*[Block(config) for _ in range(config.blocks)])
        self.head = Conv(config.dim, config.bins, 1, bias=True)
        nn.init.normal_(self.position)
        for part in (self.first, self.head):  # the blocks keep PyTorch's initial weights
            part.apply(he_out_)

    @classmethod
    def paper_recipe(cls, config: DreamAttnConfig) -> Recipe:
        """Return the organisers' recipe."""
        return dream_recipe(lr=0.001)

    def forward(self, tokens: Tensor, reverse_strand: Tensor, singleton: Tensor) -> Tensor:
        """Return the logits of the classes, ``(B, L)`` and two flags ``(B,)`` -> ``(B, bins)``."""
        x = self.first(self.channels(tokens, reverse_strand, singleton))
        x = self.blocks(x.transpose(1, 2) + self.position)
        return self.head(x.transpose(1, 2)).float().mean(dim=2)


class Block(nn.Module):
    """A macaron block. Unlike Proformer's, it also adds the normalized x before the convolution."""

    def __init__(self, config: DreamAttnConfig) -> None:
        super().__init__()
        dim = config.dim
        self.first = FeedForward(dim, config.ffn * dim, dropout=config.dropout)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.conv = LocalMix(config)
        self.attention_norm = nn.LayerNorm(dim, eps=1e-6)
        self.attention = Attention(dim, config.attention_heads)
        self.second = FeedForward(dim, config.ffn * dim, dropout=config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, D)`` to the same shape."""
        x = x + 0.5 * self.first(x)
        v = self.norm(x)
        x = self.attention_norm(x + v + self.conv(v))
        x = x + self.attention(x)
        return x + 0.5 * self.second(x)


class LocalMix(nn.Module):
    """A depthwise convolution over positions, a linear map of channels, ReLU and dropout."""

    def __init__(self, config: DreamAttnConfig) -> None:
        super().__init__()
        self.depthwise = Depthwise(config.dim, config.kernel)
        self.pointwise = Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, D)`` to the same shape."""
        return self.dropout(self.pointwise(self.depthwise(x)).relu())


class Attention(nn.Module):
    """Multi-head attention with the initial weights of ``nn.MultiheadAttention``."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = Linear(dim, 3 * dim)  # queries, keys, values
        self.out = Linear(dim, dim)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, D)`` to the same shape."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, L, D / heads)
            for part in self.project(x).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))
