"""Length and GC share counted in text, and weights by scikit-learn's least squares."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from bench.model import Batch
from bench.registry import MODELS

Ours: Any = MODELS.get("length-gc")
LETTERS = "ACGTN"


def rows(number: int, *, lengths: bool) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """Random tokens, filled with N up to 40 nt, and their facts, counted in text."""
    draw = np.random.default_rng(0)
    texts = []
    for _ in range(number):
        size = draw.integers(20, 41) if lengths else 40
        texts.append("".join(draw.choice(list("ACGT"), size, p=draw.dirichlet([5] * 4))))
    table = [(len(t), (t.count("G") + t.count("C")) / len(t)) for t in texts]
    padded = [t + "N" * (40 - len(t)) for t in texts]
    tokens = [[LETTERS.index(letter) for letter in text] for text in padded]
    return torch.tensor(tokens, dtype=torch.uint8), np.array(table)


@pytest.mark.parametrize("lengths", [True, False])
def test_predictions_are_those_of_least_squares(lengths: bool) -> None:
    tokens, facts = rows(500, lengths=lengths)
    noise = np.random.default_rng(1).normal(size=500)
    target = torch.from_numpy(facts @ [0.1, -3.0] + 7 + noise).float()
    model = Ours(Ours.Config(), 40)
    parts = zip(torch.split(tokens, 64), torch.split(target, 64), strict=True)
    model.fit(Batch(*part, {}) for part in parts)
    direct = LinearRegression().fit(facts, target.double().numpy())
    np.testing.assert_allclose(model.weight, direct.coef_, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(model(tokens), direct.predict(facts), rtol=1e-5)


def test_one_row_of_another_length_in_many_has_a_weight() -> None:
    tokens = torch.zeros(50_000, 40, dtype=torch.uint8)
    tokens[7, 39] = 4
    target = torch.zeros(50_000)
    target[7] = 3.0
    model = Ours(Ours.Config(), 40)
    model.fit([Batch(tokens, target, {})])
    np.testing.assert_allclose(model(tokens[:8]), [0.0] * 7 + [3.0], atol=1e-3)


@pytest.mark.parametrize("token", [0, 2, 4])
def test_rows_all_alike_are_predicted_by_the_mean(token: int) -> None:
    tokens = torch.full((10, 40), token, dtype=torch.uint8)
    model = Ours(Ours.Config(), 40)
    model.fit([Batch(tokens, torch.arange(10.0), {})])
    np.testing.assert_allclose(model(tokens), 4.5, rtol=1e-6)
