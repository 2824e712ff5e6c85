"""DeepSTARR: four convolutions with pooling and two dense layers (de Almeida et al. 2022).

Shapes, with the paper's sizes and sequences of 249 nt:

    tokens    (B, L)           L 249; 110 in DREAM
    letters   (B, 4, L)        one-hot bases; N is all zeros
    x         (B, 120, L/16)   after filters of widths 7, 3, 5 and 3, each pooled by two: 15
    hidden    (B, 256)         two dense layers
    output    (B,)

Readers of the original report that with some seeds it predicts a constant (issue 3 of its
repository).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.errors import BenchError
from bench.model import Model
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.keras import glorot_uniform_
from ._layers.one_hot import OneHot
from ._layers.scalar_head import ScalarHead
from ._layers.stages import convolution, dense, pooled_length


@settings
class DeepStarrConfig:
    """Sizes of the network; the defaults are the paper's."""

    filters: tuple[int, ...] = setting((256, 60, 60, 120), "filters of every convolution", low=1)
    widths: tuple[int, ...] = setting((7, 3, 5, 3), "width of every convolution, in bases", low=1)
    pool: int = setting(2, "positions pooled into one after every convolution", low=1)
    hidden: tuple[int, ...] = setting((256, 256), "units of every dense layer", low=1)
    dropout: float = setting(0.4, "dropout after every dense layer", low=0, high=1)
    norm_momentum: float = setting(
        0.01, "share of a new batch in batch norm's statistics; 1 - Keras' .99", low=0, high=1
    )

    def __post_init__(self) -> None:
        """Check that every convolution has a width."""
        if len(self.filters) != len(self.widths):
            raise BenchError(
                f"model.filters has {len(self.filters)} numbers and model.widths "
                f"{len(self.widths)}. Give one of each per convolution."
            )


class DeepStarr(Model[DeepStarrConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {"pool": Choice((2, 3)), "dropout": Range(0, 0.6)}
    card = ModelCard(
        summary="four convolutions with pooling, two dense layers; for enhancers of 249 nt",
        source=Source(
            citation="de Almeida et al., Nature Genetics 54:613 (2022), "
            "doi:10.1038/s41588-022-01048-5",
            url="https://github.com/bernardo-de-almeida/DeepSTARR/blob/"
            "0e4a2e7b0cf5d2092a7ca705d155d554c76c6beb/DeepSTARR/DeepSTARR_training.ipynb",
            license="MIT; written anew from its description",
        ),
        differences=(
            "Adapted to the task's length: the dense layers read as many positions as the "
            "poolings leave, 6 of 110 nt and 15 of the original's 249. The paper's scores are of "
            "another assay and another length, so none is shown beside this model.",
            "One output in place of two (developmental and housekeeping enhancers): a task has "
            "one number per sequence. With 249 nt and the second output the network has the "
            "original's 622,722 trained weights.",
            "The paper recipe trains on the rows as they are; whether the authors' files hold "
            "both strands of every enhancer was not checked.",
            "The best epoch has the best validation Pearson; the authors take the smallest loss.",
            "Targets are standardized here; the authors train on log2 values as they are.",
            "Adam's epsilon is added after bias correction (PyTorch), not before (Keras).",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        # After 400 steps of .99 the initial variance of 1 would still outweigh that of the first
        # filters' outputs, about .01, and predictions would be far off the targets.
        "smoke": Preset(
            model={"norm_momentum": 0.1},
            recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(recipe={"batch_size": 256, "epochs": 10}, max_steps=5_000),
    }

    def __init__(self, config: DeepStarrConfig, positions: int) -> None:
        super().__init__(config, positions)
        depth = len(config.filters)
        norm = partial(nn.BatchNorm1d, eps=1e-3, momentum=config.norm_momentum)
        length = pooled_length(positions, config.widths, [config.pool] * depth)
        self.one_hot = OneHot(4)
        self.convolutions = nn.Sequential(
            *[
                convolution(channels, width, norm(filters), pool=config.pool)
                for (channels, filters), width in zip(
                    pairwise((4, *config.filters)), config.widths, strict=True
                )
            ]
        )
        sizes = (length * config.filters[-1], *config.hidden)
        self.dense = nn.Sequential(
            *[dense(a, norm(b), dropout=config.dropout) for a, b in pairwise(sizes)]
        )
        self.head = ScalarHead(config.hidden[-1])
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                out, *rest = module.weight.shape  # Keras: width, channels, filters
                glorot_uniform_(module.weight, *rest[::-1], out)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    @classmethod
    def paper_recipe(cls, config: DeepStarrConfig) -> Recipe:
        """Return the notebook's recipe: Keras' Adam at a constant rate, until it stagnates."""
        return Recipe(
            lr=2e-3,
            eps=1e-7,
            schedule="constant",
            warmup=0,
            batch_size=128,
            epochs=100,
            early_stop=10,
            clip_norm=0,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predictions, ``(B, L)`` -> ``(B,)``."""
        x = self.convolutions(self.one_hot(tokens))  # (B, filters, L / pool**depth)
        x = self.dense(x.transpose(1, 2).flatten(1))  # position by position, as Keras flattens
        return self.head(x)
