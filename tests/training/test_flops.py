"""Operations counted by hand, and memory that is known beforehand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.config import settings
from bench.model import Model
from bench.registry import MODELS
from bench.training import flops
from bench.training.device import out_of_memory
from tests.training.test_loop import batches_of

LETTERS = 6


@settings
class Config:
    width: int = 7
    kernel: int = 3


class Dense(Model):
    """A model with one-hot bases, a hidden layer and one output."""

    def __init__(self, config: Config, positions: int) -> None:
        super().__init__(config, positions)
        self.hidden = nn.Linear(LETTERS * positions, config.width)
        self.head = nn.Linear(config.width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = functional.one_hot(tokens.long(), LETTERS).float().flatten(1)
        return self.head(torch.relu(self.hidden(x))).squeeze(1)


class Scan(Model):
    """A model with an embedding of bases, a convolution and the mean."""

    def __init__(self, config: Config, positions: int) -> None:
        super().__init__(config, positions)
        self.letters = nn.Embedding(LETTERS, 5)
        self.scan = nn.Conv1d(5, config.width, config.kernel)
        self.head = nn.Linear(config.width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = torch.relu(self.scan(self.letters(tokens.long()).transpose(1, 2)))
        return self.head(x.mean(dim=2)).squeeze(1)


class Frozen(Dense):
    """A model whose hidden layer is frozen, so that its gradient is not computed."""

    def __init__(self, config: Config, positions: int) -> None:
        super().__init__(config, positions)
        self.hidden.requires_grad_(False)


class Listing(Dense):
    """A model that reads values of tensors when it is made, which fake tensors do not have."""

    def __init__(self, config: Config, positions: int) -> None:
        super().__init__(config, positions)
        self.table = torch.arange(positions).tolist()


class Reading(Dense):
    """A model that reads values of tensors in its forward pass."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) * (1 if int(tokens.sum()) else 2)


def dense(positions: int) -> int:
    """Products of both layers: forward, weights' gradients, and the input's of the head only."""
    hidden, head = 2 * LETTERS * positions * 7, 2 * 7
    return 2 * hidden + 3 * head


def scan(positions: int) -> int:
    """As above, but with a learned embedding, so the convolution's input has a gradient, too."""
    return 3 * 2 * 3 * 5 * 7 * (positions - 2) + 3 * 2 * 7


def frozen(positions: int) -> int:
    """Only the head has a gradient; the gradient of its input is not needed."""
    return 2 * LETTERS * positions * 7 + 2 * 2 * 7


@pytest.mark.parametrize(
    ("model", "by_hand"), [(Dense, dense), (Scan, scan), (Frozen, frozen)], ids=lambda x: x.__name__
)
@pytest.mark.parametrize("positions", [10, 33])
def test_operations_are_those_counted_by_hand(
    model: type[Model], by_hand: Any, positions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (2, 7):
        monkeypatch.setattr(flops, "_ROWS", rows)
        assert flops.training_flops(model, Config(), positions) == by_hand(positions)


@pytest.mark.parametrize("model", [Listing, Reading])
def test_what_cannot_be_counted_is_not_guessed(model: type[Model]) -> None:
    assert flops.training_flops(model, Config(), 10) is None


@pytest.mark.parametrize("name", ["proformer", "madlab", "kmer-ridge"])
def test_counting_costs_no_memory_and_draws_no_number(name: str) -> None:
    model, before = MODELS.get(name), torch.get_rng_state()
    counted = flops.training_flops(model, model.Config(), 160)
    assert (counted is None) == (name == "kmer-ridge")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_largest_slice_is_what_free_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense keeps its one-hot input and the inputs of relu and loss: known numbers a row."""
    model = Dense(Config(), 100)
    batches = batches_of(np.zeros((40, 100), dtype=np.uint8), np.zeros(40, dtype=np.float32))
    a_row = 4 * (LETTERS * 100 + 7)  # floats: the input, and relu's outcome; the loss adds few
    for rows in (32, 1000):
        free = int(1.02 * a_row * rows) + 4 * 4 * sum(p.numel() for p in model.parameters())
        monkeypatch.setattr(flops, "free_memory", lambda device, free=free: free)
        found = flops.largest_micro_batch(model, batches, torch.device("cpu"), "auto")
        assert found == {32: 32, 1000: 512}[rows]
    monkeypatch.setattr(flops, "free_memory", lambda device: 0)
    assert flops.largest_micro_batch(model, batches, torch.device("cpu"), "auto") == 0
    monkeypatch.setattr(flops, "free_memory", lambda device: None)
    assert flops.largest_micro_batch(model, batches, torch.device("cpu"), "auto") is None


def test_the_matmul_rate_is_a_rate() -> None:
    """Every machine is faster than 100 MFLOP/s and slower than an exaFLOP/s."""
    assert 1e8 < flops.matmul_rate(torch.device("cpu"), "auto") < 1e18


def test_other_errors_are_no_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory(8, torch.device("cpu")):
        raise RuntimeError("shapes differ")
