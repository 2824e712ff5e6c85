"""The network of LegNet, as submitted and optimized: gated convolution blocks, classes for bins.

Shapes, with the submitted sizes (blocks 256, 128, 128, 64, 64, 64, 64):

    tokens    (B, L)       L 150: the plasmid, the insert and the right flank
    channels  (B, 6, L)    A, G, C, T, reverse strand, singleton
    x         (B, 256, L)  after the stem; then (B, 128, L), (B, 128, L), (B, 64, L), ...
    output    (B, 18)      mean over positions: logits of the sorting bins

Classes, their loss and the prediction: :mod:`bench.models._layers.sorting_bins`. The block:
:mod:`bench.models._layers.efficient_block`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn

from bench.config import setting, settings
from bench.errors import BenchError
from bench.recipe import Preset
from bench.search_space import Choice, Spaces

from .efficient_block import EfficientBlock, GateKind, convolved
from .same_length import Conv
from .sorting_bins import CLASSES, SixChannels, SortingBins, SortingBinsConfig

CITATION = "Penzar et al., Bioinformatics 39:btad457 (2023), doi:10.1093/bioinformatics/btad457"
DIFFERENCES = (
    "Six passes over both strands (78,894 steps of 1,024 rows), where "
    "the authors count 80,000 steps: a recipe counts whole passes.",
    "A thousandth of the training rows is held out and watched; the authors' run had no "
    "validation rows. The last weights are kept either way.",
    "A pass leaves out the last partial batch (fewer than 1,024 rows); the authors train on it.",
    f"{CLASSES} The authors' program has no such case.",
)


@settings
class LegNetConfig(SortingBinsConfig):
    """Sizes of the network; the defaults are those of the submitted one."""

    blocks: tuple[int, ...] = setting(
        (256, 128, 128, 64, 64, 64, 64), "channels of the stem, then after every block", low=1
    )
    kernel: int = setting(7, "width of the convolutions, in bases", low=1)
    resize: int = setting(4, "inner channels of a block, in multiples of `resize_of`", low=1)
    resize_of: Literal["output", "input"] = setting("output", "channels that `resize` multiplies")
    group: int = setting(2, "channels of a group in a block; 1: depthwise", low=1)
    gate: GateKind = setting(
        "bilinear", "bilinear: with products of the gate's units; simple: without"
    )
    reduction: int = setting(4, "channels of a block's input per unit of its gate", low=1)
    branch_first: bool = setting(False, "the branch before the block's input, not after it")
    head_silu: bool = setting(True, "SiLU between the last convolution and the mean")

    def __post_init__(self) -> None:
        """Check that groups are whole, and that every gate has the units that it needs."""
        for channels, filters in pairwise(self.blocks):
            inner = self.inner(channels, filters)
            if inner % self.group:
                raise BenchError(
                    f"model.group ({self.group}) does not divide a block's {inner} inner channels."
                )
            least = self.reduction * (2 if self.gate == "bilinear" else 1)
            if channels < least:
                raise BenchError(
                    f"model.blocks: a {self.gate} gate with model.reduction={self.reduction} needs "
                    f"{least} channels before every block; got {channels}."
                )

    def inner(self, channels: int, filters: int) -> int:
        """Return the inner channels of a block."""
        return self.resize * (filters if self.resize_of == "output" else channels)


class LegNetNetwork(SortingBins[LegNetConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "kernel": Choice((5, 7, 9)),
        "resize": Choice((2, 4, 6)),
        "group": Choice((1, 2, 4)),
        "gate": Choice(("bilinear", "simple")),
        "reduction": Choice((2, 4, 8)),
    }
    paper_options: ClassVar[Mapping[str, Mapping[str, object]]] = {"dream": {"validation": 0.001}}
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"blocks": (32, 16, 16)},
            recipe={"batch_size": 128, "lr": 4e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"blocks": (48, 32, 16, 16)},
            recipe={"batch_size": 256, "epochs": 10},
            max_steps=5_000,
        ),
    }

    def __init__(self, config: LegNetConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.channels = SixChannels()
        self.stem = nn.Sequential(*convolved(SixChannels.count, config.blocks[0], config.kernel))
        self.blocks = nn.Sequential(
            *[
                EfficientBlock(
                    channels,
                    filters,
                    inner=config.inner(channels, filters),
                    width=config.kernel,
                    group=config.group,
                    units=channels // config.reduction,
                    gate=config.gate,
                    branch_first=config.branch_first,
                )
                for channels, filters in pairwise(config.blocks)
            ]
        )
        self.head = Conv(config.blocks[-1], config.bins, 1, bias=True)
        self.activation = nn.SiLU() if config.head_silu else nn.Identity()

    def forward(self, tokens: Tensor, reverse_strand: Tensor, singleton: Tensor) -> Tensor:
        """Return the logits of the classes, ``(B, L)`` and two flags ``(B,)`` -> ``(B, bins)``."""
        x = self.blocks(self.stem(self.channels(tokens, reverse_strand, singleton)))
        return self.activation(self.head(x).float()).mean(dim=2)
