"""Gradient-boosted trees on k-mer counts, fitted by scikit-learn and evaluated by PyTorch.

tokens     (B, L)             the sequence, flanks kept
counts     (B, F)             number of each word of 1 to k bases; words with N do not count
feature    (T, 2**depth - 1)  the count that a node of a tree looks at
threshold  (T, 2**depth - 1)  a count up to the threshold leads to the left child
value      (T, 2**depth)      what a tree adds to the prediction, at each of its ends
output     (B,)               baseline + sum of one value per tree

All trees have one shape: node i has the children 2i + 1 and 2i + 2, down to ``depth`` levels. Where
a branch of scikit-learn's tree is shorter, all ends below it have the same value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.model import Batch, FittedModel
from bench.recipe import Recipe
from bench.search_space import Range, Spaces

from ._layers.kmer_counts import kmer_counts

_ROWS_AT_ONCE = 4096  # rows whose counts are made at once in float32


@settings
class KmerBoostingConfig:
    """Words that are counted, and number and size of the trees."""

    k: int = setting(4, "bases in the longest words that are counted", low=1, high=6)
    trees: int = setting(300, "trees, fitted one after another", low=1, high=5000)
    depth: int = setting(6, "decisions of a tree, one after another", low=1, high=10)
    learning_rate: float = setting(0.1, "factor of the values of every tree", low=0, high=1)
    rows_per_leaf: int = setting(20, "smallest number of training rows at an end", low=1)
    max_rows: int = setting(
        200_000, "largest number of rows to fit; of more, the seed draws this many", low=1
    )


class KmerBoosting(FittedModel[KmerBoostingConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "k": Range(3, 5),
        "trees": Range(100, 1000),
        "depth": Range(3, 8),
        "learning_rate": Range(0.02, 0.3, log=True),
    }
    card = ModelCard(
        summary="gradient-boosted trees on counts of short words; no training loop",
        source=Source(
            citation="Friedman, Annals of Statistics 29:1189 (2001), doi:10.1214/aos/1013203451; "
            "Ke et al., LightGBM, NeurIPS 2017, for the histograms",
            url="https://scikit-learn.org/stable/modules/generated/"
            "sklearn.ensemble.HistGradientBoostingRegressor.html",
            license="BSD-3-Clause (scikit-learn)",
        ),
        variants=(
            ("model.k=5", "1,364 counts in place of 340: four times the time and memory"),
            ("model.max_rows=1000000", "more rows; scikit-learn needs 4 kB for each with k=4"),
        ),
        differences=(
            "The trees are fitted on at most model.max_rows rows, 200,000 unless set: "
            "scikit-learn holds all counts in memory as float64. Of more rows, the run's seed "
            "draws that many; all rows are equally likely.",
            "The number of trees is fixed; scikit-learn's early stopping would hold out a tenth "
            "of the training rows.",
        ),
    )

    feature: Tensor
    threshold: Tensor
    value: Tensor
    baseline: Tensor

    def __init__(self, config: KmerBoostingConfig, positions: int) -> None:
        super().__init__(config, positions)
        ends = 2**config.depth
        self.register_buffer("feature", torch.zeros(config.trees, ends - 1, dtype=torch.int16))
        self.register_buffer("threshold", torch.zeros(config.trees, ends - 1))
        self.register_buffer("value", torch.zeros(config.trees, ends))
        self.register_buffer("baseline", torch.zeros(()))

    @classmethod
    def paper_recipe(cls, config: KmerBoostingConfig) -> Recipe:
        """Return the standard recipe; a fitted model uses its standardization only."""
        return Recipe()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predictions, ``(B, L)`` -> ``(B,)``."""
        counts = word_counts(tokens, self.config.k)  # (B, F)
        tree = torch.arange(self.config.trees, device=tokens.device)  # (T,)
        node = torch.zeros(len(tokens), 1, dtype=torch.int64, device=tokens.device)
        for _ in range(self.config.depth):
            count = counts.gather(1, self.feature[tree, node].long())  # (B, T)
            node = 2 * node + 1 + (count > self.threshold[tree, node])
        ends = self.value[tree, node - self.feature.shape[1]]  # (B, T)
        return self.baseline + ends.sum(dim=1)

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the trees to a random choice of the rows, or to all rows if they are few."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        tokens, target = _choice(batches, self.config.max_rows)
        counts = np.concatenate(
            [
                word_counts(part, self.config.k).to(torch.int16).cpu().numpy()
                for part in torch.split(tokens, _ROWS_AT_ONCE)
            ]
        )
        trees = HistGradientBoostingRegressor(
            learning_rate=self.config.learning_rate,
            max_iter=self.config.trees,
            max_depth=self.config.depth,
            max_leaf_nodes=None,
            min_samples_leaf=self.config.rows_per_leaf,
            early_stopping=False,
            random_state=0,  # draws the rows from which the bins of the histograms are made
        ).fit(counts, target.double().cpu().numpy())
        self.load_trees(trees)

    def load_trees(self, fitted: Any) -> None:
        """Take over the trees of a fitted HistGradientBoostingRegressor of the same settings."""
        for tree, (predictor,) in enumerate(fitted._predictors):
            feature, threshold, value = _full_tree(predictor.nodes, self.config.depth)
            self.feature[tree] = torch.from_numpy(feature)
            self.threshold[tree] = torch.from_numpy(threshold)
            self.value[tree] = torch.from_numpy(value)
        self.baseline.fill_(float(fitted._baseline_prediction.item()))


def word_counts(tokens: Tensor, k: int) -> Tensor:
    """Return the counts of all words of 1 to k bases, ``(B, L)`` -> ``(B, F)`` float32."""
    return torch.cat([kmer_counts(tokens, size) for size in range(1, k + 1)], dim=1)


def _choice(batches: Iterable[Batch], most: int) -> tuple[Tensor, Tensor]:
    """Return tokens and targets of at most ``most`` rows, in order, all rows equally likely.

    Every row draws a number, and the rows with the smallest numbers are kept, so one pass is
    enough and the memory does not depend on the rows' number.
    """
    kept: tuple[Tensor, ...] = ()
    for tokens, target, _ in batches:
        batch = (torch.rand(len(target)).to(target.device), tokens, target)
        kept = tuple(map(torch.cat, zip(kept, batch, strict=True))) if kept else batch
        if len(kept[0]) > most:
            rows = kept[0].argsort()[:most].sort().values
            kept = tuple(part[rows] for part in kept)
    return kept[1], kept[2]


def _full_tree(nodes: NDArray[Any], depth: int) -> tuple[NDArray[Any], ...]:
    """Return the features, thresholds and values of a tree in which every branch has ``depth``.

    Args:
        nodes: Nodes of scikit-learn's tree, the root first.
        depth: Number of decisions of a branch; a shorter one is continued by decisions that lead
            to the same value on both sides.
    """
    at = np.zeros(1, dtype=np.int64)  # scikit-learn's node at every place of a level
    features, thresholds = [], []
    for _ in range(depth):
        level = nodes[at]
        leaf = level["is_leaf"].astype(bool)
        features.append(np.where(leaf, 0, level["feature_idx"]))
        thresholds.append(np.where(leaf, 0, level["num_threshold"]))
        children = [np.where(leaf, at, level[side]) for side in ("left", "right")]
        at = np.stack(children, axis=1).ravel()
    return np.concatenate(features), np.concatenate(thresholds), nodes["value"][at]
