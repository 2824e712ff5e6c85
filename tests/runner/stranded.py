"""A model in one file that reads which strand it is shown, a flag of its own, and a plasmid.

tokens          (B, L)  letters
singleton       (B,)    1 for a whole number, else 0
reverse_strand  (B,)    whether the row is reversed
output          (B,)    standardized predictions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.data.dataset import Split
from bench.data.layout import Layout
from bench.model import Model


@settings
class StrandedConfig:
    width: int = setting(8, "of the hidden layer", low=1)


class Stranded(Model[StrandedConfig]):
    columns = ("reverse_strand",)
    card = ModelCard(
        summary="a hidden layer over letters in a plasmid, a flag and the strand",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )

    def __init__(self, config: StrandedConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.letters = nn.Embedding(6, 4)
        self.hidden = nn.Linear(4 * positions + 2, config.width)
        self.head = nn.Linear(config.width, 1)

    @classmethod
    def layout(cls, config: StrandedConfig) -> Layout:
        return Layout(context_left="GATTACA", length=16, pad="left", crop="left")

    @classmethod
    def input_columns(cls, config: StrandedConfig, rows: Split) -> Mapping[str, NDArray[Any]]:
        return {"singleton": rows.target == np.rint(rows.target)}

    def forward(self, tokens: Tensor, singleton: Tensor, reverse_strand: Tensor) -> Tensor:
        flags = torch.stack([singleton, reverse_strand], dim=1).float()  # (B, 2)
        x = torch.cat([self.letters(tokens.long()).flatten(1), flags], dim=1)
        return self.head(torch.relu(self.hidden(x))).squeeze(1)
