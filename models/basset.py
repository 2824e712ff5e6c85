"""Basset, adapted to short sequences: three convolutions and two dense layers (Kelley et al. 2016).

Shapes, with the default sizes:

    tokens    (B, L)        L 110 in DREAM; the original's sequences have 600 nt
    letters   (B, 4, L)     one-hot bases; N is all zeros
    x         (B, 200, 13)  after filters of widths 19, 11 and 7, each pooled by two
    hidden    (B, 1000)     two dense layers
    output    (B,)
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.errors import BenchError
from bench.model import Model
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.one_hot import OneHot
from ._layers.scalar_head import ScalarHead
from ._layers.stages import convolution, dense, pooled_length


@settings
class BassetConfig:
    """Sizes of the network; the defaults are the paper's, except for padding and pools."""

    filters: tuple[int, ...] = setting((300, 200, 200), "filters of every convolution", low=1)
    widths: tuple[int, ...] = setting((19, 11, 7), "width of every convolution, in bases", low=1)
    pools: tuple[int, ...] = setting(
        (2, 2, 2), "positions pooled into one after every convolution; the paper: 3, 4, 4", low=1
    )
    padding: Literal["same", "valid"] = setting("same", "zeros around a sequence; the paper: none")
    hidden: tuple[int, ...] = setting((1000, 1000), "units of every dense layer", low=1)
    dropout: float = setting(0.3, "dropout after every dense layer", low=0, high=1)

    def __post_init__(self) -> None:
        """Check that every convolution has a width and a pool."""
        if not len(self.filters) == len(self.widths) == len(self.pools):
            raise BenchError(
                f"model.filters has {len(self.filters)} numbers, model.widths {len(self.widths)} "
                f"and model.pools {len(self.pools)}. Give one of each per convolution."
            )


class Basset(Model[BassetConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "padding": Choice(("same", "valid")),
        "dropout": Range(0, 0.6),
    }
    card = ModelCard(
        summary="three wide convolutions with pooling, two dense layers; adapted to short DNA",
        source=Source(
            citation="Kelley et al., Genome Research 26:990 (2016), doi:10.1101/gr.200535.115",
            url="https://github.com/davek44/Basset/tree/5301a7c3dff36dc9813fb58a1683be893adc1c03",
            license="MIT; written anew from its description",
        ),
        variants=(
            ("model.padding=valid model.pools=3,4,4", "as published, for sequences of 600 nt"),
        ),
        differences=(
            "Adapted to the task's length: pools of 2, 2 and 2 in place of 3, 4 and 4, and "
            "convolutions that keep the length. The original's leave nothing of 110 nt. Nobody "
            "has published one way to do this, so no score of the original is shown beside it.",
            "One linear output in place of 164 probabilities, and the recipe's loss in place of "
            "the cross-entropy: a task has one number per sequence.",
            "The norm of every row of weights is not capped at 7 after each step: no recipe has "
            "such a step.",
            "The scale of every batch norm starts at 1; Torch7 drew it uniformly from 0 to 1.",
            "The loss of a batch is a mean, not a sum; RMSProp divides the factor out again.",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"filters": (64, 48, 48), "hidden": (200, 200)},
            recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"filters": (150, 100, 100), "hidden": (500, 500)},
            recipe={"batch_size": 256, "epochs": 10},
            max_steps=5_000,
        ),
    }

    def __init__(self, config: BassetConfig, positions: int) -> None:
        super().__init__(config, positions)
        length = pooled_length(positions, config.widths, config.pools, config.padding)
        self.one_hot = OneHot(4)
        channels = (4, *config.filters)
        self.convolutions = nn.Sequential(
            *[
                convolution(a, width, nn.BatchNorm1d(b), pool=pool, padding=config.padding)
                for (a, b), width, pool in zip(
                    pairwise(channels), config.widths, config.pools, strict=True
                )
            ]
        )
        sizes = (length * config.filters[-1], *config.hidden)
        self.dense = nn.Sequential(
            *[dense(a, nn.BatchNorm1d(b), dropout=config.dropout) for a, b in pairwise(sizes)]
        )
        self.head = ScalarHead(config.hidden[-1])

    @classmethod
    def paper_recipe(cls, config: BassetConfig) -> Recipe:
        """Return the program's recipe: RMSProp, whose decay the authors call momentum."""
        return Recipe(
            optimizer="rmsprop",
            lr=2e-3,
            rho=0.98,
            schedule="constant",
            warmup=0,
            batch_size=128,
            epochs=100,
            early_stop=10,
            clip_norm=0,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predictions, ``(B, L)`` -> ``(B,)``."""
        x = self.convolutions(self.one_hot(tokens))  # (B, filters, pooled positions)
        return self.head(self.dense(x.flatten(1)))
