"""The network of Camformer in all its sizes: a stack of convolutions and a dense head.

Shapes, with the sizes of the original (F 512, H 256) and, in brackets, of the mini model:

    tokens    (B, L)       L 110 with flanks; N behind shorter rows
    letters   (B, 4, L)    N is all zeros; with ``purines`` (B, 5, L), the fifth channel A + G
    layers    (B, F, 26)   six convolutions; after the fifth [fourth] a max pool
    output    (B,)         a dense network of the flattened F x 26 [192 x 76]

With ``residual`` the layers are pairs: y = odd(x), then even(y) + y.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.config import setting, settings
from bench.data.layout import Layout
from bench.errors import BenchError
from bench.model import Model
from bench.recipe import Recipe

from .one_hot import OneHot
from .same_length import Conv
from .scalar_head import ScalarHead

CITATION = "Camformers, DREAM Challenge 2022; gautammalik-git/Camformer"
URL = "https://github.com/gautammalik-git/Camformer/tree/5c5eb0b"
DIFFERENCES = (
    "Training rows of any length with any number of N are used. The authors kept those of 107 to "
    "113 nt with at most 3 N: rows are a choice of the task, the same for every model.",
    "A tenth is held out at random; the authors' repeated trainings split by quantiles of "
    "expression, 5% to validate and 5% to test.",
    "The best epoch has the best validation Pearson, which early stopping watches, too; the "
    "authors add Spearman to it for both.",
    "Initial weights are torch's; one of the authors' later programs draws them as He does.",
)


@settings
class CamformerConfig:
    """Sizes of the network; the defaults are the original's."""

    length: int = setting(110, "nt, after filling or cropping", low=1)
    purines: bool = setting(False, "a fifth channel, 1 for A and G; N is .25 four times and .5")
    channels: tuple[int, ...] = setting((512,) * 6, "filters of every layer", low=1)
    widths: tuple[int, ...] = setting((10,) * 6, "filter width of every layer", low=1)
    padding: int = setting(0, "zeros on each side of every layer; 0: keep the length", low=0)
    residual: bool = setting(True, "add the output of every odd layer to that of the next")
    pooled_layer: int = setting(5, "layer that the max pool follows, from 1 on; 0: none", low=0)
    pool: int = setting(10, "width of the max pool", low=1)
    stride: int = setting(4, "stride of the max pool", low=1)
    dropout: float = setting(0.3, "dropout of the first layer", low=0, high=1)
    last_dropout: float = setting(0.3, "of the last layer; even steps between", low=0, high=1)
    hidden: int = setting(256, "width of the dense layers", low=1)
    hidden_layers: int = setting(2, "dense layers before the output", low=0)

    def __post_init__(self) -> None:
        """Check that the layers fit together."""
        count = len(self.channels)
        if len(self.widths) != count:
            raise BenchError(
                f"model.widths has {len(self.widths)} layers, model.channels has {count}. "
                "Give both the same number."
            )
        if self.pooled_layer > count:
            raise BenchError(
                f"model.pooled_layer ({self.pooled_layer}) is above the {count} layers of "
                f"model.channels. Try {count - self.residual}."
            )
        if self.residual:
            pairs = zip(self.channels[::2], self.channels[1::2], strict=False)
            if count % 2 or any(odd != even for odd, even in pairs) or self.padding:
                raise BenchError(
                    "model.residual needs pairs of layers with equal channels and padding 0. "
                    "Try model.residual=false."
                )
            if self.pooled_layer and self.pooled_layer % 2 == 0:
                raise BenchError(
                    f"model.pooled_layer ({self.pooled_layer}) is the second of a residual pair. "
                    f"Try {self.pooled_layer - 1}."
                )


class CamformerNetwork(Model[CamformerConfig]):
    """See the module docstring; the models of this family have a card, sizes and a recipe."""

    def __init__(self, config: CamformerConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.one_hot = OneHot(4, n=0.25 if config.purines else 0.0)
        self.layers = nn.ModuleList()
        inputs, step = 4 + config.purines, config.last_dropout - config.dropout
        last = max(len(config.channels) - 1, 1)
        for number, (channels, width) in enumerate(
            zip(config.channels, config.widths, strict=True)
        ):
            pooled = number + 1 == config.pooled_layer
            dropout = config.dropout + step * number / last
            layer = Layer(inputs, channels, width, config, pooled=pooled, dropout=dropout)
            self.layers.append(layer)
            inputs, positions = channels, layer.positions(positions)
            if positions < 1:
                raise BenchError(
                    f"{self.positions} nt are too few: nothing is left after layer {number + 1}. "
                    "Try a smaller model.pool."
                )
        sizes = [inputs * positions, *[config.hidden] * config.hidden_layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.head = ScalarHead(sizes[-1])

    @classmethod
    def layout(cls, config: CamformerConfig) -> Layout:
        """Return the layout: flanks kept, N behind shorter rows, longer rows cropped."""
        return Layout(length=config.length, pad="right", crop="right")

    @classmethod
    def paper_recipe(cls, config: CamformerConfig) -> Recipe:
        """Return the original's recipe: L1 loss, AdamW, the rate falls when validation stands."""
        return Recipe(
            optimizer="adamw",
            lr=1e-3,
            weight_decay=1e-3,
            schedule="plateau",
            warmup=0,
            plateau_factor=0.1,
            plateau_patience=10,
            batch_size=256,
            epochs=50,  # the submitted run's best was the 24th
            early_stop=10,
            clip_norm=0,
            standardize=False,
            loss="l1",
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predicted expression, ``(B, L)`` -> ``(B,)``."""
        x = self.one_hot(tokens)  # (B, 4, L)
        if self.config.purines:
            x = torch.cat([x, x[:, 0:1] + x[:, 2:3]], dim=1)  # A and G; half of an N
        for number, layer in enumerate(self.layers):
            even = self.config.residual and number % 2 == 1
            x = layer(x) + x if even else layer(x)
        x = x.flatten(1)
        for linear in self.hidden:
            x = functional.relu(linear(x))
        return self.head(x)


class Layer(nn.Module):
    """Convolution, batch norm, ReLU, where asked for a max pool, and dropout."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        width: int,
        config: CamformerConfig,
        *,
        pooled: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.conv: nn.Conv1d = (
            nn.Conv1d(inputs, channels, width, padding=config.padding)
            if config.padding
            else Conv(inputs, channels, width, bias=True)
        )
        self.longer = 2 * config.padding - width + 1 if config.padding else 0
        self.norm = nn.BatchNorm1d(channels)
        self.pooling = (config.pool, config.stride) if pooled else None
        self.dropout = nn.Dropout(dropout)

    def positions(self, before: int) -> int:
        """Return the number of positions after the layer, given the number before it."""
        after = before + self.longer
        if self.pooling is None:
            return after
        width, stride = self.pooling
        return (after - width) // stride + 1

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, positions)`` to ``(B, channels, positions after it)``."""
        x = functional.relu(self.norm(self.conv(x)))
        return self.dropout(functional.max_pool1d(x, *self.pooling) if self.pooling else x)
