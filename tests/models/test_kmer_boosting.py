"""Trees evaluated by PyTorch against scikit-learn's own predictions, on measured sequences."""

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.ensemble import HistGradientBoostingRegressor

from bench.data.dataset import Split
from bench.model import Batch
from bench.models.kmer_boosting import _choice
from bench.registry import MODELS

Ours: Any = MODELS.get("kmer-boosting")


def counted(texts: list[str], k: int) -> NDArray[np.float64]:
    """Counts of the words of 1 to k letters, from text."""
    words = ["".join(w) for size in range(1, k + 1) for w in product("ACGT", repeat=size)]
    rows = []
    for text in texts:
        found = Counter(text[i : i + n] for n in range(1, k + 1) for i in range(len(text) - n + 1))
        rows.append([found[word] for word in words])
    return np.array(rows, dtype=np.float64)


@pytest.fixture(scope="module")
def rows(real_data: Path) -> tuple[list[str], NDArray[np.float64]]:
    lines = (real_data / "gpra2020" / "train_sequences.txt").read_text().splitlines()[:1500]
    texts, values = zip(*[line.split("\t") for line in lines], strict=True)
    target = np.array(values, dtype=np.float64)
    return list(texts), (target - target.mean()) / target.std()


def batch(texts: list[str], target: NDArray[np.float64]) -> Batch:
    tokens = Split.of(texts, target).sequences.tokens
    return Batch(torch.from_numpy(np.array(tokens)), torch.from_numpy(target).float(), {})


def pieces(whole: Batch, rows: int, size: int) -> list[Batch]:
    """Cut the first rows of a batch into smaller batches."""
    starts = range(0, rows, size)
    return [Batch(whole.tokens[i : i + size], whole.target[i : i + size], {}) for i in starts]


@pytest.mark.parametrize(("depth", "rows_per_leaf"), [(4, 5), (2, 1), (6, 300)])
def test_predictions_are_those_of_scikit_learn(
    rows: tuple[list[str], NDArray[np.float64]], depth: int, rows_per_leaf: int
) -> None:
    """With 300 rows at an end, branches are of unequal length."""
    texts, target = rows
    config = Ours.Config(k=3, trees=30, depth=depth, rows_per_leaf=rows_per_leaf)
    whole = batch(texts, target)
    model = Ours(config, whole.tokens.shape[1])
    model.fit(pieces(whole, 1200, 400))
    fitted = HistGradientBoostingRegressor(
        max_iter=30,
        max_depth=depth,
        max_leaf_nodes=None,
        min_samples_leaf=rows_per_leaf,
        early_stopping=False,
    )
    counts = counted(texts, 3)
    fitted.fit(counts[:1200], whole.target[:1200].double().numpy())
    wanted = fitted.predict(counts)
    assert np.std(wanted) > 0.1
    np.testing.assert_allclose(model(whole.tokens), wanted, rtol=0, atol=1e-5)


def test_a_count_equal_to_a_threshold_leads_to_the_left() -> None:
    """Rows with one A or three make a threshold of two; a row with two A is like one with one."""
    tokens = torch.tensor([[0, 1, 1, 1], [0, 0, 0, 1]] * 30, dtype=torch.uint8)
    model = Ours(Ours.Config(k=1, trees=1, depth=2, learning_rate=1.0), 4)
    model.fit([Batch(tokens, torch.tensor([-1.0, 1.0] * 30), {})])
    assert model.threshold[0, 0] == 2
    between = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]], dtype=torch.uint8)
    found = model(between).tolist()
    assert found[0] == found[1] == pytest.approx(-1)
    assert found[2] == pytest.approx(1)


def test_trees_survive_the_weights_file(
    rows: tuple[list[str], NDArray[np.float64]], tmp_path: Path
) -> None:
    texts, target = rows
    data = batch(texts[:300], target[:300])
    config = Ours.Config(k=2, trees=5, depth=3)
    model, other = Ours(config, data.tokens.shape[1]), Ours(config, data.tokens.shape[1])
    model.fit([data])
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert model(data.tokens).std() > 0.1
    assert torch.equal(model(data.tokens), other(data.tokens))


def test_a_choice_of_rows_is_fair_and_keeps_rows_whole_and_in_order() -> None:
    tokens = torch.arange(30, dtype=torch.uint8)[:, None]
    whole = Batch(tokens, tokens[:, 0].float() * 2, {})
    parts = pieces(whole, 30, 8)
    taken: Counter[int] = Counter()
    torch.manual_seed(0)
    for _ in range(600):
        chosen, target = _choice(parts, 10)
        numbers = chosen[:, 0].tolist()
        assert len(numbers) == 10
        assert numbers == sorted(set(numbers))
        assert torch.equal(target, chosen[:, 0].float() * 2)
        taken.update(numbers)
    assert set(taken) == set(range(30))
    # 600 draws with probability 1/3: mean 200, standard deviation 11.5.
    assert 150 < min(taken.values()) <= max(taken.values()) < 250


def test_more_rows_than_allowed_are_drawn_by_the_seed(
    rows: tuple[list[str], NDArray[np.float64]],
) -> None:
    data = batch(*rows)

    def predicted(seed: int, most: int) -> torch.Tensor:
        torch.manual_seed(seed)
        model = Ours(Ours.Config(k=2, trees=5, max_rows=most), data.tokens.shape[1])
        model.fit([data])
        return model(data.tokens)

    assert torch.equal(predicted(0, 200), predicted(0, 200))
    assert not torch.equal(predicted(0, 200), predicted(1, 200))
    assert torch.equal(predicted(0, 1500), predicted(1, 1500))


@pytest.mark.parametrize("letters", [1, 2, 300])
def test_rows_all_alike_are_predicted_by_the_mean(letters: int) -> None:
    tokens = torch.zeros(60, letters, dtype=torch.uint8)
    model = Ours(Ours.Config(k=3, trees=5), letters)
    model.fit([Batch(tokens, torch.arange(60.0), {})])
    np.testing.assert_allclose(model(tokens), 29.5, rtol=1e-6)
