"""A network for tests: it learns nothing, and validates the worse the larger ``noise`` is."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.model import Model
from bench.recipe import Recipe
from bench.search_space import Choice, Spaces


@settings
class HillConfig:
    noise: float = setting(0.0, "how bad it is", low=0)


class Hill(Model[HillConfig]):
    card = ModelCard(
        summary="no learning",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )
    space: ClassVar[Spaces] = {"noise": Choice((0.0, 1.0, 2.0))}

    def __init__(self, config: HillConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.shift = nn.Parameter(torch.zeros(()))

    @classmethod
    def paper_recipe(cls, config: HillConfig) -> Recipe:
        return Recipe()

    def forward(self, tokens: Tensor) -> Tensor:
        noise = torch.sin(12.9898 * (tokens.float() @ torch.arange(tokens.shape[1]).float()))
        return (tokens == 3).float().mean(1) + self.config.noise * noise + self.shift
