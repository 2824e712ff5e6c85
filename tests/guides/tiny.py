"""A convolution and a mean."""

import torch
from torch import Tensor, nn

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.data.layout import Layout
from bench.model import Model


@settings
class TinyConfig:
    filters: int = setting(32, "filters of the convolution", low=1)


class Tiny(Model[TinyConfig]):
    card = ModelCard(
        summary="one convolution, one mean",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )

    def __init__(self, config: TinyConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.letters = nn.Embedding(6, 8)
        self.scan = nn.Conv1d(8, config.filters, 9)
        self.head = nn.Linear(config.filters, 1)

    @classmethod
    def layout(cls, config: TinyConfig) -> Layout:
        return Layout(flanks="trim", length=100, pad="both")

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.letters(tokens.long()).transpose(1, 2)  # (B, 8, positions)
        x = self.scan(x).relu().mean(dim=2)  # (B, filters)
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would round predictions
            return self.head(x.float()).squeeze(1)  # (B,)
