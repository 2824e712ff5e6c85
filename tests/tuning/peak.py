"""A model for tests: its validation score has one peak, at x 3 and y 4, and faults on demand."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.errors import BenchError
from bench.model import Batch, FittedModel
from bench.recipe import Recipe
from bench.search_space import Choice, Range, Spaces


@settings
class PeakConfig:
    x: float = setting(0.0, "where it stands", low=-10, high=10)
    y: int = setting(1, "where it stands, too", low=1)
    size: int = setting(1, "parameters", low=1)
    fault: Literal["none", "bug", "memory", "constant"] = setting("none", "what goes wrong")

    def __post_init__(self) -> None:
        if self.y == 5:
            raise BenchError("model.y cannot be 5.")


class Peak(FittedModel[PeakConfig]):
    card = ModelCard(
        summary="one peak",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )
    space: ClassVar[Spaces] = {"x": Range(-10, 10), "y": Choice((1, 2, 4, 8))}

    weight: Tensor

    def __init__(self, config: PeakConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.register_buffer("weight", torch.zeros(4))
        self.register_buffer("rest", torch.zeros(config.size))

    @classmethod
    def paper_recipe(cls, config: PeakConfig) -> Recipe:
        return Recipe()

    def forward(self, tokens: Tensor) -> Tensor:
        if self.config.fault == "constant":
            return torch.zeros(len(tokens))
        noise = torch.sin(12.9898 * (tokens.float() @ torch.arange(tokens.shape[1]).float()))
        distance = abs(self.config.x - 3) / 10 + abs(self.config.y - 4) / 40
        return letters(tokens) @ self.weight + distance * noise

    def fit(self, batches: Iterable[Batch]) -> None:
        wait()
        if self.config.fault == "bug":
            raise ZeroDivisionError("a bug in the plugin")
        if self.config.fault == "memory":
            torch.empty(1 << 60)
        pairs = [(letters(tokens), target) for tokens, target, _ in batches]
        counts, target = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        self.weight.copy_(torch.linalg.lstsq(counts, target[:, None]).solution[:, 0])


def letters(tokens: Tensor) -> Tensor:
    return torch.stack([(tokens == letter).float().mean(1) for letter in range(4)], dim=1)


def wait() -> None:
    """Say in PEAK_HOLD/PID that a fit has begun, and stay in it as long as PEAK_HOLD/hold is."""
    if folder := os.environ.get("PEAK_HOLD"):
        (Path(folder) / str(os.getpid())).touch()
        while (Path(folder) / "hold").exists():
            time.sleep(0.02)
