"""DREAM-CNN: two widths of first convolutions, then LegNet's blocks with a simple gate.

Shapes, with the organisers' sizes (first 320; blocks 128, 128, 64, 64, 64, 64):

    tokens    (B, L)       L 150: the plasmid, the insert and the right flank
    channels  (B, 6, L)    A, G, C, T, reverse strand, singleton
    x         (B, 320, L)  filters of widths 9 and 15, 160 each; then (B, 128, L), ...
    output    (B, 18)      mean over positions: logits of the sorting bins

Classes, their loss and the prediction: :mod:`bench.models._layers.sorting_bins`. The block:
:mod:`bench.models._layers.efficient_block`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from bench.cards import ModelCard
from bench.config import setting, settings
from bench.errors import BenchError
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.dream_nets import DIFFERENCES, SOURCE, dream_recipe
from ._layers.efficient_block import EfficientBlock
from ._layers.he_out import he_out_
from ._layers.same_length import Conv, ParallelConvs, check_shares
from ._layers.sorting_bins import SixChannels, SortingBins, SortingBinsConfig


@settings
class DreamCnnConfig(SortingBinsConfig):
    """Sizes of the network; the defaults are the organisers'."""

    first: int = setting(320, "channels of the first layer, all widths together", low=1)
    first_widths: tuple[int, ...] = setting((9, 15), "widths of its filters, in bases", low=1)
    blocks: tuple[int, ...] = setting((128, 128, 64, 64, 64, 64), "channels after a block", low=1)
    kernel: int = setting(7, "width of the convolutions in blocks, in bases", low=1)
    resize: int = setting(4, "inner channels of a block, in multiples of its output", low=1)
    group: int = setting(2, "channels of a group in a block; 1: depthwise", low=1)
    reduction: int = setting(4, "channels of a block's input per unit of its gate", low=1)
    dropout: float = setting(0.2, "after the first layer", low=0, high=1)

    def __post_init__(self) -> None:
        """Check that the fields fit together."""
        check_shares("first", self.first, self.first_widths)
        for channels, filters in pairwise((self.first, *self.blocks)):
            if filters * self.resize % self.group:
                raise BenchError(
                    f"model.group ({self.group}) does not divide a block's "
                    f"{filters * self.resize} inner channels."
                )
            if channels < self.reduction:
                raise BenchError(
                    f"model.reduction ({self.reduction}) is above the {channels} channels of a "
                    f"block's input. Try {channels}."
                )


class DreamCnn(SortingBins[DreamCnnConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "first": Choice((80, 160, 320)),
        "kernel": Choice((5, 7, 9)),
        "resize": Choice((2, 4, 6)),
        "group": Choice((1, 2, 4)),
        "dropout": Range(0, 0.5),
    }
    card = ModelCard(
        summary="the organisers' best CNN: convolutions of two widths, LegNet's blocks",
        source=SOURCE,
        variants=(("model.context=false", "N in place of the yeast plasmid, for other DNA"),),
        differences=DIFFERENCES,
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"first": 32, "blocks": (16, 16), "dropout": 0.1},
            recipe={"batch_size": 128, "lr": 4e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"first": 48, "blocks": (32, 16, 16)},
            recipe={"batch_size": 256, "epochs": 10},
            max_steps=5_000,
        ),
    }

    def __init__(self, config: DreamCnnConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.channels = SixChannels()
        self.first = ParallelConvs(
            SixChannels.count, config.first, config.first_widths, dropout=config.dropout
        )
        self.blocks = nn.Sequential(
            *[
                EfficientBlock(
                    channels,
                    filters,
                    inner=config.resize * filters,
                    width=config.kernel,
                    group=config.group,
                    units=channels // config.reduction,
                    gate="simple",
                )
                for channels, filters in pairwise((config.first, *config.blocks))
            ]
        )
        self.head = Conv(config.blocks[-1], config.bins, 1, bias=True)
        for part in (self.blocks, self.head):  # the first layer keeps PyTorch's initial weights
            part.apply(he_out_)

    @classmethod
    def paper_recipe(cls, config: DreamCnnConfig) -> Recipe:
        """Return the organisers' recipe."""
        return dream_recipe(lr=0.005)

    def forward(self, tokens: Tensor, reverse_strand: Tensor, singleton: Tensor) -> Tensor:
        """Return the logits of the classes, ``(B, L)`` and two flags ``(B,)`` -> ``(B, bins)``."""
        x = self.blocks(self.first(self.channels(tokens, reverse_strand, singleton)))
        return self.head(x).float().mean(dim=2)
