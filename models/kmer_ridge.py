"""Ridge regression on k-mer counts, the baseline of every network.

tokens   (B, L)      the sequence, flanks kept
counts   (B, 4**k)   number of each k-mer in the sequence; k-mers with N do not count
output   (B,)        counts · weight + intercept
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.model import Batch, FittedModel
from bench.recipe import Recipe
from bench.search_space import Range, Spaces

from ._layers.kmer_counts import kmer_counts


@settings
class KmerRidgeConfig:
    """Length of the k-mers, and penalty."""

    k: int = setting(5, "bases in a k-mer", low=1, high=7)
    alpha: float = setting(100.0, "penalty on squared weights, in counts squared", low=0)


class KmerRidge(FittedModel[KmerRidgeConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {"k": Range(3, 7), "alpha": Range(1, 1e5, log=True)}
    card = ModelCard(
        summary="ridge regression on k-mer counts; no training loop",
        source=Source(
            citation="Hoerl & Kennard, Technometrics 12:55 (1970)",
            url="https://scikit-learn.org/stable/modules/generated/sklearn.linear_model.Ridge.html",
            license="BSD-3-Clause (scikit-learn)",
        ),
    )

    weight: Tensor
    intercept: Tensor

    def __init__(self, config: KmerRidgeConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.register_buffer("weight", torch.zeros(4**config.k))
        self.register_buffer("intercept", torch.zeros(()))

    @classmethod
    def paper_recipe(cls, config: KmerRidgeConfig) -> Recipe:
        """Return the standard recipe; a fitted model uses its standardization only."""
        return Recipe()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predictions, ``(B, L)`` -> ``(B,)``."""
        counts = kmer_counts(tokens, self.config.k)
        with torch.autocast(counts.device.type, enabled=False):  # weights have more than 8 bits
            return counts @ self.weight + self.intercept

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the weights from sums over rows; the memory does not depend on the rows' number."""
        from sklearn.linear_model import Ridge

        size, device = 4**self.config.k, self.weight.device
        gram = torch.zeros(size, size, dtype=torch.float64, device=device)
        sums = torch.zeros(size, dtype=torch.float64, device=device)
        products, total, rows = torch.zeros_like(sums), torch.zeros_like(sums[0]), 0
        for tokens, target, _ in batches:
            counts = kmer_counts(tokens, self.config.k)
            gram += counts.T @ counts  # sums of small integers, exact in float32
            sums += counts.sum(dim=0)
            products += counts.T.double() @ target.double()
            total += target.double().sum()
            rows += len(target)
        mean, target_mean = sums / rows, total / rows
        covariance = (gram - rows * torch.outer(mean, mean)).cpu().numpy()
        moment = (products - rows * mean * target_mean).cpu().numpy()
        # A root R of the Gram matrix replaces the data X: |Rw - z|² and |Xw - y|² differ by a
        # constant, so scikit-learn finds the same weights from at most 4**k rows.
        values, vectors = np.linalg.eigh(covariance)
        # Rows of equal length have equal sums of counts, so the covariance has no full rank.
        kept = values > values[-1] * 1e-12
        root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
        weight = torch.zeros_like(mean)
        if values[-1] > 0:  # else all rows have the same k-mers
            ridge = Ridge(alpha=self.config.alpha, fit_intercept=False)
            ridge.fit(root, vectors[:, kept].T @ moment / np.sqrt(values[kept]))
            weight = torch.from_numpy(ridge.coef_).to(mean.device)
        self.weight.copy_(weight)
        self.intercept.copy_(target_mean - mean @ weight)
