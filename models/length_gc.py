"""Least squares on a sequence's length and GC share: the floor of every model.

tokens   (B, L)   the sequence, flanks kept
features (B, 2)   number of bases without N, and the share of G and C among them
output   (B,)     features · weight + intercept
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from bench.cards import ModelCard, Source
from bench.config import NoSettings
from bench.model import Batch, FittedModel
from bench.recipe import Recipe


class LengthGc(FittedModel[NoSettings]):
    """See the module docstring."""

    card = ModelCard(
        summary="least squares on length and GC share; the floor, no training loop",
        source=Source(
            citation="Legendre, Nouvelles méthodes pour la détermination des orbites des comètes "
            "(1805)",
            url="https://scikit-learn.org/stable/modules/generated/"
            "sklearn.linear_model.LinearRegression.html",
            license="BSD-3-Clause (scikit-learn)",
        ),
        differences=(
            "A feature that is the same in every row gets the weight 0, so that a task whose "
            "sequences all have one length is predicted by the GC share alone.",
            "Sequences longer than the task's usual length are cropped, as for every model.",
        ),
    )

    weight: Tensor
    intercept: Tensor

    def __init__(self, config: NoSettings, positions: int) -> None:
        super().__init__(config, positions)
        self.register_buffer("weight", torch.zeros(2))
        self.register_buffer("intercept", torch.zeros(()))

    @classmethod
    def paper_recipe(cls, config: NoSettings) -> Recipe:
        """Return the standard recipe; a fitted model uses its standardization only."""
        return Recipe()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predictions, ``(B, L)`` -> ``(B,)``."""
        return (length_and_gc(tokens).float() * self.weight).sum(dim=1) + self.intercept

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the weights from sums over rows; the memory does not depend on the rows' number."""
        sums = torch.zeros(4, 4, dtype=torch.float64, device=self.weight.device)
        for tokens, target, _ in batches:
            one = torch.ones_like(target, dtype=torch.float64)
            table = torch.column_stack([length_and_gc(tokens), target.double(), one])
            sums += table.T @ table  # products of length, GC share, target and 1
        rows = sums[3, 3]
        mean = sums[3, :3] / rows
        covariance = sums[:3, :3] / rows - torch.outer(mean, mean)
        features = covariance[:2, :2]
        # A constant feature has a variance of rounding errors, relative to its square.
        varies = features.diagonal() > 1e-13 * sums.diagonal()[:2] / rows
        weight = torch.zeros_like(mean[:2])
        weight[varies] = (
            torch.linalg.pinv(features[varies][:, varies], hermitian=True)
            @ (covariance[:2, 2][varies])
        )
        self.weight.copy_(weight)
        self.intercept.copy_(mean[2] - mean[:2] @ weight)


def length_and_gc(tokens: Tensor) -> Tensor:
    """Return the length without N (nt) and the GC share of every row, ``(B, 2)`` float64.

    A row without bases has the GC share 0.
    """
    length = (tokens < 4).sum(dim=1).double()
    gc = ((tokens == 1) | (tokens == 2)).sum(dim=1)
    return torch.column_stack([length, gc / length.clamp_min(1)])
