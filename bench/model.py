"""The contract of a model: a network, its configuration, its recipe and its card.

A new architecture is one file: a frozen dataclass of settings and a class like this one. See
CONTRIBUTING.md for a complete example.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.cards import ModelCard
from bench.data.layout import Layout
from bench.recipe import Preset, Recipe
from bench.search_space import Spaces


class Model(nn.Module):
    """A network that reads DNA and predicts one number a sequence.

    Args:
        config: An instance of the class's ``Config``.
        positions: Tokens a sequence has once laid out, both strands counted.
    """

    card: ClassVar[ModelCard]
    Config: ClassVar[type[Any]]
    presets: ClassVar[Mapping[str, Preset]] = {}
    """Smaller budgets by name: "smoke" is a minute on two cores, "quick" a lunch break."""
    space: ClassVar[Spaces] = {}
    """What ``bench search`` varies, by field of ``Config``."""
    paper_options: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Task options that belong to the paper's recipe, by task."""

    def __init__(self, config: Any, positions: int) -> None:
        super().__init__()
        self.config, self.positions = config, positions

    @classmethod
    def layout(cls, config: Any) -> Layout:
        """Say how sequences are to be trimmed, padded and doubled for this configuration."""
        return Layout()

    @classmethod
    def paper_recipe(cls, config: Any) -> Recipe:
        """Return how the authors trained it."""
        raise NotImplementedError

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``(B, positions)`` uint8 to standardized predictions ``(B,)``."""
        raise NotImplementedError

    def loss(self, tokens: Tensor, target: Tensor) -> Tensor:
        """Return the training loss of a batch: the mean squared error, unless overridden."""
        return torch.nn.functional.mse_loss(self(tokens), target)

    def l2_parameters(self) -> Iterable[nn.Parameter]:
        """List the weights that a recipe's ``l2`` acts on: matrices and kernels by default."""
        return [parameter for parameter in self.parameters() if parameter.ndim > 1]


FITTED_ROWS = 1 << 13
"""Rows a batch when a model is fitted in one go."""


class FittedModel(Model):
    """A model that is fitted in one go, with no training loop; all else is the same."""

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the model's buffers from all training rows, which come once, batch by batch.

        Args:
            batches: Tokens ``(B, positions)`` and targets ``(B,)``, B at most ``FITTED_ROWS``.
        """
        raise NotImplementedError


def count_parameters(model: Model) -> int:
    """Count weights and statistics as Keras does: moving averages are parameters too."""
    buffers = list(model.named_buffers())
    if not isinstance(model, FittedModel):  # whose buffers are all fitted
        buffers = [(n, b) for n, b in buffers if n.rpartition(".")[2] in _STATISTICS]
    return sum(tensor.numel() for tensor in [*model.parameters(), *(b for _, b in buffers)])


_STATISTICS = ("running_mean", "running_var")
