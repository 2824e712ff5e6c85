"""The entry of team wztr: a residual network of dilated convolutions over both strands.

Shapes, with the submitted sizes (L 142, S 1024, C 256, 6 stages):

    tokens    (B, 2L)      a row, N behind it, then the reverse complement of both
    letters   (B, 4, 2L)   N inside a row is .25; the N that fill a row are zeros
    stem      (B, C, 2L)   width 5 to S, width 3 to C
    stages    (B, C, 5)    three residual blocks and a halving, six times: 284, 142, 71, 36 ... 5
    output    (B,)         a dense network of the flattened C x 5, and a ReLU with ``last_relu``

A block has four convolutions side by side, with the dilations 1, 2, 4 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.data.layout import Layout
from bench.data.sequences import N
from bench.errors import BenchError
from bench.model import Model
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.one_hot import OneHot
from ._layers.scalar_head import ScalarHead


@settings
class WztrConfig:
    """Sizes of the network; the defaults are the submitted ones."""

    length: int = setting(142, "nt a strand, after filling or cropping", low=1)
    stem_channels: int = setting(1024, "filters of the first convolution", low=1)
    stem_width: int = setting(5, "width of the first convolution, in nt; odd", low=1)
    channels: int = setting(256, "channels of all stages; a multiple of len(dilations)", low=1)
    width: int = setting(3, "width of all other convolutions; odd", low=1)
    dilations: tuple[int, ...] = setting((1, 2, 4, 6), "one convolution a block each", low=1)
    stages: int = setting(6, "stages, each of which halves the length", low=0)
    blocks: int = setting(3, "residual blocks a stage", low=0)
    hidden: int = setting(256, "width of the dense layers", low=1)
    hidden_layers: int = setting(2, "dense layers with dropout, after one without", low=0)
    dropout: float = setting(0.2, "dropout of these", low=0, high=1)
    last_relu: bool = setting(True, "no prediction below 0 of the target's own unit")

    def __post_init__(self) -> None:
        """Check that the widths are odd, and that the dilations can share the channels."""
        for name in ("stem_width", "width"):
            if (width := getattr(self, name)) % 2 == 0:
                raise BenchError(f"model.{name} must be odd; got {width}. Try {width + 1}.")
        if self.channels % (count := len(self.dilations)):
            raise BenchError(
                f"model.channels ({self.channels}) is not a multiple of the {count} dilations. "
                f"Try {max(self.channels // count, 1) * count}."
            )


class Wztr(Model[WztrConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "stem_channels": Choice((128, 256, 512, 1024)),
        "channels": Choice((64, 128, 256)),
        "stages": Range(2, 6),
        "blocks": Range(1, 4),
        "dropout": Range(0, 0.4),
    }
    card = ModelCard(
        summary="residual dilated convolutions over both strands, dense head",
        source=Source(
            citation="wztr, DREAM Challenge 2022; in Rafi et al., Nature Biotechnology (2024), "
            "doi:10.1038/s41587-024-02414-w",
            url="https://github.com/de-Boer-Lab/random-promoter-dream-challenge-2022/tree/17d20713"
            "/dream_submissions/wztr",
            license="MIT; written anew from its description",
        ),
        variants=(
            ("model.length=110", "no zeros behind DREAM's rows of 110 nt"),
            ("model.last_relu=false", "for targets below 0"),
        ),
        differences=(
            "The last ReLU is at 0 of the target's own unit. The authors train on raw bins (as "
            "the paper recipe does), where this is the same; with standardized targets a ReLU at "
            "0 would cut off every target below the mean (smoke preset on GPRA rows: validation "
            "Pearson .771 in place of .820).",
            "Targets below 0 are never predicted; on targets that are mostly negative all outputs "
            "are 0 and nothing is learned.",
            "On raw targets a small network's outputs can all start below the last ReLU and then "
            "have no gradient: so in the smoke preset for 12 of 40 seeds, at full size for 0 of 8. "
            "Both presets standardize.",
            "An N at the very start or end of a row is a zero, not .25: it cannot be told from "
            "the N that fill a row. No row of the DREAM and GPRA files starts or ends with N.",
            "Training ends after 5 epochs without a better validation Pearson; the authors' "
            "program watched the loss. The learning rate follows the loss in both.",
        ),
    )
    paper_options: ClassVar[Mapping[str, Mapping[str, object]]] = {"dream": {"validation": 0.01}}
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"stem_channels": 32, "channels": 16, "blocks": 1, "hidden": 32},
            recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4, "standardize": True},
            max_steps=400,
        ),
        "quick": Preset(
            model={"stem_channels": 128, "channels": 64, "hidden": 128},
            recipe={"batch_size": 256, "epochs": 10, "standardize": True},
            max_steps=5_000,
        ),
    }

    def __init__(self, config: WztrConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.one_hot = OneHot(4, n=0.25)
        self.stem = nn.Sequential(
            Convolution(4, config.stem_channels, config.stem_width),
            Convolution(config.stem_channels, config.channels, config.width),
        )
        self.stages = nn.Sequential()
        for _ in range(config.stages):
            self.stages.extend(Hybrid(config) for _ in range(config.blocks))
            self.stages.append(Halve())
            positions = -(-positions // 2)
        self.first = nn.Linear(config.channels * positions, config.hidden)
        self.hidden = nn.ModuleList(
            nn.Linear(config.hidden, config.hidden) for _ in range(config.hidden_layers)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = ScalarHead(config.hidden)

    @classmethod
    def layout(cls, config: WztrConfig) -> Layout:
        """Return the layout: flanks kept, N behind the row, both strands."""
        return Layout(length=config.length, pad="right", crop="right", reverse_complement=True)

    @classmethod
    def paper_recipe(cls, config: WztrConfig) -> Recipe:
        """Return the authors' recipe: raw bins, Adam, the rate falls when validation stands."""
        return Recipe(
            lr=1e-3,
            schedule="plateau",
            warmup=0,
            plateau_factor=0.1,
            plateau_patience=1,
            batch_size=512,
            epochs=100,  # the program sets no end; early stopping comes first
            early_stop=5,
            clip_norm=0,
            standardize=False,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predicted expression, ``(B, 2L)`` -> ``(B,)``."""
        letters = self.one_hot(tokens) * within_row(tokens)[:, None]  # (B, 4, 2L)
        x = self.stages(self.stem(letters)).flatten(1)
        x = quick_gelu(self.first(x))
        for layer in self.hidden:
            x = self.dropout(quick_gelu(layer(x)))
        output = self.head(x)
        if not self.config.last_relu:
            return output
        return output.clamp(min=-self.scale.mean / self.scale.std)  # 0 of the target's own unit


def within_row(tokens: Tensor) -> Tensor:
    """Return whether a position is in a row, not in the N that fill it, ``(B, 2L)``.

    These N come last on a row's own strand and first on the other one, whichever is shown first.
    """
    known = torch.unflatten(tokens != N, 1, (2, -1))  # (B, 2, L)
    begun = known.cumsum(dim=2) > 0
    goes_on = known.flip(2).cumsum(dim=2).flip(2) > 0
    return (begun & goes_on).flatten(1)


def quick_gelu(x: Tensor) -> Tensor:
    """Return the authors' approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


class Halve(nn.Module):
    """Means of two positions; a last single position stays.

    AvgPool1d(2, ceil_mode=True) is the same, but compiled (torch 2.13, CPU) its gradient is wrong.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, L)`` to ``(B, C, ceil(L / 2))``."""
        return functional.avg_pool1d(functional.pad(x, (0, x.shape[2] % 2), mode="replicate"), 2)


class Convolution(nn.Module):
    """A convolution that keeps the length, batch norm and ReLU."""

    def __init__(self, inputs: int, channels: int, width: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (width // 2)
        self.conv = nn.Conv1d(inputs, channels, width, padding=padding, dilation=dilation)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, L)`` to ``(B, channels, L)``."""
        return functional.relu(self.norm(self.conv(x)))


class Hybrid(nn.Module):
    """A residual block of convolutions side by side, one for each dilation."""

    def __init__(self, config: WztrConfig) -> None:
        super().__init__()
        channels, each = config.channels, config.channels // len(config.dilations)
        self.branches = nn.ModuleList(
            Convolution(channels, each, config.width, dilation) for dilation in config.dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, L)`` to the same shape."""
        return x + torch.cat([branch(x) for branch in self.branches], dim=1)
