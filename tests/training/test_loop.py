"""The loop on a task with a known answer: the share of G and C in random DNA."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.sequences import Sequences, Tokens
from bench.errors import DivergedError
from bench.model import Batch, Model
from bench.recipe import Recipe
from bench.training.batches import Batches
from bench.training.loop import train
from bench.training.monitor import Controls
from bench.training.predict import predict
from bench.training.schedule import Plan


def gc_content(rows: int, seed: int) -> Batches:
    tokens = np.random.default_rng(seed).integers(0, 4, (rows, 24), dtype=np.uint8)
    share = ((tokens == 1) | (tokens == 2)).mean(axis=1)
    return batches_of(tokens, ((share - 0.5) * 10).astype(np.float32))


def batches_of(
    tokens: Tokens, target: NDArray[np.float32], *, reverse_complement: bool = False, **columns: Any
) -> Batches:
    lengths = np.full(len(tokens), tokens.shape[1], dtype=np.int32)
    return Batches(
        Sequences(tokens, lengths),
        target,
        lambda rows: rows.tokens,
        reverse_complement=reverse_complement,
        device=torch.device("cpu"),
        columns=columns,
    )


class Letters(Model):
    """A model with a weight a base, which can learn GC content exactly."""

    def __init__(self) -> None:
        super().__init__(None, 24)
        self.weights = nn.Parameter(torch.zeros(6))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.weights[tokens.long()].sum(dim=1)


class Watch:
    """A progress that keeps the loop's reports."""

    def __init__(self) -> None:
        self.epochs: dict[int, dict[str, float]] = {}
        self.steps: list[int] = []

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        self.steps.append(step)

    def epoch(self, step: int, figures: dict[str, float]) -> None:
        self.epochs[step] = figures


def run(model: Model, recipe: Recipe, *, seed: int = 0, **options: Any) -> tuple[Any, Watch]:
    training, watch = gc_content(640, seed=1), Watch()
    plan = Plan.of(recipe, len(training), options.pop("max_steps", None))
    trained = train(
        model, training, gc_content(200, seed=2), recipe, plan, seed=seed, progress=watch, **options
    )
    return trained, watch


def test_it_learns_what_there_is_to_learn() -> None:
    trained, watch = run(Letters(), Recipe(batch_size=64, lr=0.05, epochs=5))
    assert watch.epochs[50]["validation/pearson"] > 0.999
    assert list(watch.epochs) == [10, 20, 30, 40, 50]
    assert trained.steps == 50


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    weights = []
    for seed in (3, 3, 4):
        model = Letters()
        run(model, Recipe(batch_size=64, epochs=2), seed=seed)
        weights.append(model.weights.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_every_row_is_seen_once_a_pass_in_an_order_of_seed_and_pass_alone() -> None:
    batches = gc_content(100, seed=0)
    first = batches.order(7, 0)
    assert sorted(first.tolist()) == list(range(100))
    assert torch.equal(first, gc_content(100, seed=9).order(7, 0))
    assert not torch.equal(first, batches.order(7, 1))
    assert not torch.equal(first, batches.order(8, 0))


def test_passes_within_an_epoch_are_shuffled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    order = Batches.order

    def ask(self: Batches, seed: int, number: int) -> Tensor:
        asked.append((seed, number))
        return order(self, seed, number)

    monkeypatch.setattr(Batches, "order", ask)
    _, watch = run(Letters(), Recipe(batch_size=64, epochs=2, passes=3))
    assert asked == [(0, number) for number in range(6)]
    assert list(watch.epochs) == [30, 60]


class Peaked(Letters):
    """The initial weights are good and training makes them worse: the first validation is best."""

    def __init__(self) -> None:
        super().__init__()
        self.weights.data[1:3] = 0.1
        self.seen = 0

    def loss(self, batch: Batch) -> Tensor:
        self.seen += 1
        goal = (
            torch.tensor([0, 1, 1, 0, 0, 0.0])
            if self.seen <= 10
            else torch.tensor([1, 0, 0, 1, 0, 0.0])
        )
        return ((self.weights - goal) ** 2).sum()


def test_the_best_validation_gives_the_weights_not_the_last() -> None:
    model = Peaked()
    trained, watch = run(model, Recipe(batch_size=64, lr=0.3, epochs=6, warmup=0))
    figures = [epoch["validation/pearson"] for epoch in watch.epochs.values()]
    assert figures[-1] < max(figures) - 0.01
    assert trained.best_step == list(watch.epochs)[int(np.argmax(figures))]
    predictions = predict(model, gc_content(200, seed=2))
    target = gc_content(200, seed=2).target.numpy()
    assert np.corrcoef(predictions, target)[0, 1] == pytest.approx(max(figures), abs=1e-6)


def test_l2_adds_its_multiple_of_the_squared_weights_without_a_half() -> None:
    """The model's own loss is 0, so the gradient at weights w is that of c·Σw², which is 2cw."""

    class Flat(Letters):
        def loss(self, batch: Batch) -> Tensor:
            return self.weights.sum() * 0

        def l2_parameters(self) -> list[nn.Parameter]:
            return [self.weights]

    model = Flat()
    model.weights.data[:] = torch.arange(6.0)
    grads: list[Tensor] = []
    model.weights.register_hook(lambda g: grads.append(g.clone()))  # type: ignore[no-untyped-call]
    run(model, Recipe(batch_size=64, l2=0.25, clip_norm=0), max_steps=1)
    torch.testing.assert_close(grads[0], 2 * 0.25 * torch.arange(6.0))


class Broken(Letters):
    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) * float("nan")


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    with pytest.raises(DivergedError, match=r"loss became nan by step .* Try recipe\.lr="):
        run(Broken(), Recipe(batch_size=64))


class Constant(Letters):
    def forward(self, tokens: Tensor) -> Tensor:
        return self.weights.sum().expand(len(tokens))


def test_predictions_that_never_vary_have_no_score() -> None:
    with pytest.raises(DivergedError, match="no validation gave a correlation"):
        run(Constant(), Recipe(batch_size=64, epochs=2))


def test_a_time_limit_stops_and_still_validates() -> None:
    trained, watch = run(
        Letters(), Recipe(batch_size=64, epochs=1000), controls=Controls(max_seconds=0.2)
    )
    assert trained.steps < 10_000
    assert trained.steps in watch.epochs


def test_a_step_limit_is_the_protocol_in_miniature() -> None:
    _, watch = run(Letters(), Recipe(batch_size=64, epochs=20), max_steps=25)
    assert list(watch.epochs) == [10, 20, 25]
    assert watch.epochs[25]["train/learning_rate"] < 1e-4  # the end of the cosine


def test_epoch_loss_is_the_mean_over_its_updates() -> None:
    class Counting(Letters):
        calls = 0

        def loss(self, batch: Batch) -> Tensor:
            Counting.calls += 1
            return super().loss(batch) * 0 + Counting.calls

    model = Counting()
    model.weights.data[1] = 1.0
    _, watch = run(model, Recipe(batch_size=64, epochs=3))
    losses = [figures["train/loss"] for figures in watch.epochs.values()]
    assert losses == pytest.approx([5.5, 15.5, 25.5])


def test_prediction_keeps_the_order_and_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.training.predict._BATCH", 7)
    model, batches = Letters(), gc_content(50, seed=0)
    model.weights.data[:] = torch.arange(6.0)
    model.train()
    expected = np.concatenate([tokens.sum(dim=1) for tokens, _, _ in batches.in_order(9)])
    np.testing.assert_allclose(predict(model, batches), expected)
    assert model.training


def test_the_other_strand_is_appended_backwards() -> None:
    tokens = np.array([[0, 0, 1, 2, 4]], dtype=np.uint8)  # AACGN
    batches = batches_of(tokens, np.zeros(1, dtype=np.float32), reverse_complement=True)
    both = next(batches.in_order(3))[0][0].tolist()
    assert "".join("ACGTN"[t] for t in both) == "AACGNNCGTT"


def test_looks_are_at_most_doubled_apart_and_the_last_update_is_seen() -> None:
    """A run shorter than a second takes few snapshots, but one at its end."""
    _, watch = run(Letters(), Recipe(batch_size=64, epochs=1))
    assert watch.steps == [1, 3, 7, 10]
    assert math.isfinite(watch.epochs[10]["train/loss"])
