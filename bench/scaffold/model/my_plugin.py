"""MyPlugin: filters that scan both the bases and nothing else; a place to start from.

tokens   (B, L)      bases as numbers: A 0, C 1, G 2, T 3, N 4; shorter rows end with N
letters  (B, 4, L)   one-hot bases; N is all zeros
found    (B, F)      the largest response of every filter
output   (B,)        standardized prediction
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.model import Model
from bench.recipe import Preset
from bench.search_space import Choice, Spaces


@settings
class MyPluginConfig:
    """Sizes of the network."""

    filters: int = setting(64, "filters", low=1)
    width: int = setting(9, "bases that a filter reads", low=1)


class MyPlugin(Model[MyPluginConfig]):
    """See the module docstring."""

    eye: Tensor
    space: ClassVar[Spaces] = {"filters": Choice((32, 64, 128)), "width": Choice((7, 9, 13))}
    card = ModelCard(
        summary="one layer of filters, their largest responses, one linear map",
        source=Source(
            citation="authors, journal, year, doi",
            url="https://example.org/address-of-the-original-program",
            license="licence of the original program",
        ),
        differences=(),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(model={"filters": 32}, recipe={"batch_size": 128}, max_steps=400)
    }

    def __init__(self, config: MyPluginConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.register_buffer("eye", torch.eye(5)[:, :4].clone(), persistent=False)
        self.scan = nn.Conv1d(4, config.filters, config.width, padding=config.width // 2)
        self.head = nn.Linear(config.filters, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return standardized predictions, ``(B, L)`` -> ``(B,)``."""
        letters = nn.functional.embedding(tokens.long(), self.eye).transpose(1, 2)
        found = self.scan(letters).relu().amax(dim=2)
        with torch.autocast(found.device.type, enabled=False):  # bfloat16 has three digits
            return self.head(found.float()).squeeze(1)
