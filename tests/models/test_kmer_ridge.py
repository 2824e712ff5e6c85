"""Counts against a loop over letters; weights against scikit-learn on the counts themselves."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from bench.model import Batch
from bench.models._layers.kmer_counts import kmer_counts
from bench.registry import MODELS

Ours: Any = MODELS.get("kmer-ridge")


def test_words_are_counted_and_those_with_n_are_not() -> None:
    tokens = torch.randint(5, (20, 30), dtype=torch.uint8)
    counts = kmer_counts(tokens, 3)
    for row, letters in zip(counts, tokens.tolist(), strict=True):
        expected = np.zeros(64)
        for a, b, c in zip(letters, letters[1:], letters[2:], strict=False):
            if max(a, b, c) < 4:
                expected[16 * a + 4 * b + c] += 1
        np.testing.assert_array_equal(row.numpy(), expected)


@pytest.mark.parametrize("rows", [40, 500])  # fewer rows than words, and more
def test_moments_give_the_weights_of_a_ridge_on_the_counts(rows: int) -> None:
    torch.manual_seed(0)
    tokens = torch.randint(4, (rows, 40), dtype=torch.uint8)
    target = torch.randn(rows) + kmer_counts(tokens, 3)[:, 5]
    model = Ours(Ours.Config(k=3, alpha=2.0), 40)
    model.fit([Batch(tokens, target, {})])
    counts = kmer_counts(tokens, 3).double().numpy()
    direct = Ridge(alpha=2.0).fit(counts, target.double().numpy())
    np.testing.assert_allclose(model.weight, direct.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model(tokens), direct.predict(counts), rtol=1e-4, atol=1e-5)


def test_fitting_in_chunks_equals_fitting_at_once() -> None:
    torch.manual_seed(0)
    tokens, target = torch.randint(5, (100, 30), dtype=torch.uint8), torch.randn(100)
    whole, parts = Ours(Ours.Config(k=2), 30), Ours(Ours.Config(k=2), 30)
    whole.fit([Batch(tokens, target, {})])
    pieces = zip(torch.split(tokens, 7), torch.split(target, 7), strict=True)
    parts.fit(Batch(*piece, {}) for piece in pieces)
    torch.testing.assert_close(whole.weight, parts.weight)


@pytest.mark.parametrize("letters", [1, 2, 30])
def test_rows_without_words_or_all_alike_are_predicted_by_the_mean(letters: int) -> None:
    tokens = torch.zeros(10, letters, dtype=torch.uint8)
    model = Ours(Ours.Config(k=3), letters)
    model.fit([Batch(tokens, torch.arange(10.0), {})])
    np.testing.assert_allclose(model(tokens), 4.5)
