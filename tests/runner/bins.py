"""A model in one file with an input of its own and an output of its own.

The target is a mean sorting bin. A row that was seen in one single bin has a whole number; training
tells the network so by a flag, which is 0 for rows to be predicted. The output are logits of the
bins; the loss is their cross-entropy with the two bins next to the target, the prediction their
mean.

    tokens    (B, L)    letters
    singleton (B,)      1 for a whole number, else 0
    output    (B, K)    logits of bins 0 .. K - 1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.data.dataset import Split
from bench.model import Batch, Model
from bench.recipe import Recipe


@settings
class BinsConfig:
    bins: int = setting(18, "sorting bins, from 0 on", low=2)
    width: int = setting(8, "of the hidden layer", low=1)


class Bins(Model[BinsConfig]):
    card = ModelCard(
        summary="a distribution over sorting bins, and a flag for rows of one bin",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )

    def __init__(self, config: BinsConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.letters = nn.Embedding(6, 4)
        self.hidden = nn.Linear(4 * positions + 1, config.width)
        self.noise = nn.Dropout(0.1)
        self.head = nn.Linear(config.width, config.bins)

    @classmethod
    def paper_recipe(cls, config: BinsConfig) -> Recipe:
        return Recipe()

    @classmethod
    def input_columns(cls, config: BinsConfig, rows: Split) -> Mapping[str, NDArray[Any]]:
        """The targets of validation and test rows are NaN, which cannot become an integer."""
        return {"singleton": rows.target == np.rint(rows.target)}

    def forward(self, tokens: Tensor, singleton: Tensor) -> Tensor:
        x = torch.cat([self.letters(tokens.long()).flatten(1), singleton.float()[:, None]], dim=1)
        return self.head(self.noise(torch.relu(self.hidden(x))))

    def expectation(self, output: Tensor) -> Tensor:
        bins = torch.arange(self.config.bins, device=output.device, dtype=torch.float32)
        return self.scale.standardized(output.float().softmax(dim=1) @ bins)

    def loss(self, batch: Batch) -> Tensor:
        output = self(batch.tokens, **batch.columns)
        return functional.cross_entropy(output, self.soft_target(self.scale.raw(batch.target)))

    def soft_target(self, mean: Tensor) -> Tensor:
        """Return the probabilities of the two bins beside a mean, ``(B,)`` -> ``(B, K)``."""
        bins = torch.arange(self.config.bins, device=mean.device)
        return (1 - (mean[:, None] - bins).abs()).clamp(min=0)
