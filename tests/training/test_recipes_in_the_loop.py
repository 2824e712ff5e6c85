"""Recipes of the loop: losses, cuts and ends; resumed and shared trainings are equal."""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError, DivergedError
from bench.model import Batch, Model
from bench.recipe import Recipe
from bench.training.checkpoints import State
from bench.training.distributed import ALONE, Ranks
from bench.training.loop import train
from bench.training.micro_batches import MicroBatches
from bench.training.monitor import Controls
from bench.training.schedule import Plan
from bench.training.state_check import check_state
from bench.training.step import TrainStep
from tests.forked import on_ranks
from tests.training.test_loop import Constant, Letters, Watch, gc_content, run
from tests.training.test_monitor import Kept

ROWS = 160  # five steps an epoch of 32 rows


class Terms(Model):
    """A model with batch norm and dropout, whose loss has two terms."""

    def __init__(self, noise: float = 0.3) -> None:
        super().__init__(None, 24)
        self.letters = nn.Embedding(6, 4)
        self.hidden = nn.Linear(96, 8)
        self.norm = nn.BatchNorm1d(8)
        self.noise = nn.Dropout(noise)
        self.head = nn.Linear(8, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.hidden(self.letters(tokens.long()).flatten(1))))
        return self.head(self.noise(x)).squeeze(1)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        output = self(batch.tokens)
        return {"error": self.criterion(output, batch.target), "size": 0.1 * output.abs().mean()}


BASE: dict[str, Any] = {"batch_size": 32, "epochs": 4, "lr": 0.02}
RECIPES = {
    "one cycle": Recipe(
        **BASE,
        optimizer="adamw",
        weight_decay=0.1,
        schedule="one_cycle",
        warmup=0.3,
        warmup_unit="share",
        cycle_momentum=True,
        average_weights="ema",
        ema_decay=0.8,
        loss="huber",
    ),
    "plateau": Recipe(
        **BASE,
        optimizer="lion",
        weight_decay=0.1,
        schedule="plateau",
        plateau_patience=0,
        plateau_factor=0.5,
        warmup=0,
        average_weights="swa",
        swa_start=0.4,
        early_stop=2,
        keep="last",
        loss="l1",
    ),
    "standard": Recipe(**BASE),
}


class Saved(Kept):
    """Checkpoints that keep every state as it is read from a file."""

    def __init__(self) -> None:
        super().__init__(is_due=True)

    def save(self, step: int, state: State) -> None:
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        self.states.append(torch.load(file, weights_only=True))


def trained(recipe: Recipe, **options: Any) -> tuple[Any, ...]:
    """Train from one seed; return losses, terms, metrics, the kept step and the weights."""
    torch.manual_seed(0)
    model, watch = Terms(), Watch()
    done = train(
        *(model, gc_content(ROWS, seed=1), gc_content(61, seed=2), recipe, Plan.of(recipe, ROWS)),
        seed=5,
        progress=watch,
        **options,
    )
    assert done.losses is not None
    assert done.terms is not None
    state = {name: value.tolist() for name, value in model.state_dict().items()}
    return done.losses.tolist(), done.terms, watch.epochs, done.best_step, state


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_resumes_from_any_state_to_the_same_bits(name: str) -> None:
    recipe, saved = RECIPES[name], Saved()
    losses, terms, epochs, kept, weights = trained(recipe, controls=Controls(checkpoints=saved))
    plan = Plan.of(recipe, ROWS)
    assert len(saved.states) > 5
    for state in saved.states:
        check_state(state, Terms(), recipe, plan)
        again = trained(recipe, state=state)
        assert (again[0], again[3:]) == (losses, (kept, weights))
        np.testing.assert_array_equal(again[1], terms)
        assert again[2] == {step: told for step, told in epochs.items() if step > state["step"]}


def test_a_checkpoint_without_the_newer_parts_resumes() -> None:
    saved, recipe = Saved(), RECIPES["standard"]
    losses, terms, _, kept, weights = trained(recipe, controls=Controls(checkpoints=saved))
    state = saved.states[3]
    for name in ("terms", "average", "plateau"):
        del state[name]
    check_state(state, Terms(), recipe, Plan.of(recipe, ROWS))
    again = trained(recipe, state=state)
    assert (again[0], again[3:]) == (losses, (kept, weights))
    assert np.isnan(again[1]["size"][: state["step"]]).all()
    np.testing.assert_array_equal(again[1][state["step"] :], terms[state["step"] :])
    assert all(math.isfinite(metrics["train/loss_size"]) for metrics in again[2].values())


FORGED: dict[str, Any] = {
    "terms": [[1], {1: torch.zeros(3)}, {"a": torch.zeros(2)}, {"a": 1}],
    "average": [{}, [1], {"x": torch.zeros(1)}],
    "plateau": [
        *({}, 3, {"best": "x", "stale": 0, "scale": 1.0}),
        *({"best": 1.0, "stale": -1, "scale": 1.0}, {"best": math.nan, "stale": 0, "scale": 1.0}),
    ],
    "best_weights": [{"x": torch.zeros(1)}],
}


@pytest.mark.parametrize("name", FORGED)
def test_other_newer_parts_are_an_error_of_one_line(name: str) -> None:
    recipe, saved = RECIPES["plateau"], Saved()
    trained(recipe, controls=Controls(checkpoints=saved))
    state = saved.states[-1]
    for forged in FORGED[name]:
        with pytest.raises(ValueError, match=r"^it.*[^\n]$") as raised:
            check_state({**state, name: forged}, Terms(), recipe, Plan.of(recipe, ROWS))
        assert len(str(raised.value)) < 200


def on_one_rank(ranks: Ranks, name: str) -> Any:
    torch.manual_seed(ranks.rank)
    model, watch, recipe = Terms(noise=0.0), Watch(), RECIPES[name]
    done = train(
        *(model, gc_content(ROWS, seed=1), gc_content(61, seed=2), recipe, Plan.of(recipe, ROWS)),
        seed=5,
        progress=watch,
        controls=Controls(ranks=ranks),
    )
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    return done.losses, done.terms, watch.epochs, done.best_step, weights


@pytest.mark.parametrize("name", ["one cycle", "plateau"])
def test_two_ranks_train_as_one(name: str) -> None:
    """The oracle is one process; batch norm spans the ranks. Rounding grows with the steps."""
    (losses, terms, epochs, kept, weights), other = on_ranks(2, on_one_rank, name)
    np.testing.assert_array_equal(losses, other[0])
    np.testing.assert_array_equal(terms, other[1])
    assert (kept, weights) == other[3:]
    whole = on_one_rank(ALONE, name)
    np.testing.assert_allclose(losses, whole[0], rtol=0.1)
    np.testing.assert_allclose(losses[:5], whole[0][:5], rtol=1e-4)
    for part in terms.dtype.names:
        np.testing.assert_allclose(terms[part][:5], whole[1][part][:5], rtol=1e-4)
    for step, metrics in whole[2].items():
        assert epochs[step] == pytest.approx(metrics, rel=0.1, abs=0.05)


def test_terms_are_recorded_apart_and_add_up() -> None:
    for per_device in (None, 8):
        controls = Controls(batch_per_device=per_device)
        losses, terms, epochs, _, _ = trained(RECIPES["standard"], controls=controls)
        assert terms.dtype.names == ("error", "size")
        np.testing.assert_allclose(terms["error"] + terms["size"], losses, rtol=1e-5)
        for step, metrics in epochs.items():
            last = terms[step - 5 : step]
            assert metrics["train/loss_error"] == pytest.approx(last["error"].mean(), rel=1e-5)
            assert metrics["train/loss_size"] == pytest.approx(last["size"].mean(), rel=1e-5)


def test_a_single_term_is_the_loss_alone() -> None:
    done, watch = run(Letters(), Recipe(batch_size=64, epochs=1))
    assert done.terms is None
    assert not [name for name in watch.epochs[10] if name.startswith("train/loss_")]


def test_a_loss_below_a_model_with_terms_is_refused() -> None:
    with pytest.raises(BenchError, match=r"^Lossy\.loss would not be used: .*Override losses\.$"):

        class Lossy(Terms):
            def loss(self, batch: Batch) -> Tensor:
                return super().loss(batch) * 2


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_the_recipes_loss_is_that_of_predicted_numbers(loss: Any) -> None:
    """The first step of a model that predicts 0, by the definitions of the three losses."""
    target = next(gc_content(640, seed=1).shuffled(64, 0)).target.double().abs().numpy()
    wanted = {
        "mse": (target**2).mean(),
        "l1": target.mean(),
        "huber": np.where(target < 1, target**2 / 2, target - 0.5).mean(),
    }
    assert (target > 1).any()
    assert (target < 1).any()
    done, _ = run(Letters(), Recipe(batch_size=64, loss=loss), max_steps=2)
    assert done.losses[0] == pytest.approx(wanted[loss], rel=1e-6)


class Scripted(Letters):
    """Weights that a script sets: validations follow it, whatever the optimizer does."""

    def __init__(self, script: list[float]) -> None:
        super().__init__()
        self.script, self.calls = script, 0

    def forward(self, tokens: Tensor) -> Tensor:
        x = super().forward(tokens) * 0 + (tokens == 1).sum(dim=1) + (tokens == 2).sum(dim=1)
        if self.training:
            return x
        # The target is (share - .5) * 10 of 24 bases; noise by the row makes a validation worse.
        error = self.script[self.calls]
        self.calls += 1
        return (x / 24 - 0.5) * 10 + error * torch.sin(torch.arange(len(x)) * 1.7)


def test_the_learning_rate_is_cut_where_the_validation_stays() -> None:
    """Patience 1: the second validation in a row that is no better cuts the rate after it."""
    recipe = Recipe(
        batch_size=64, epochs=7, lr=0.1, warmup=0, schedule="plateau", plateau_factor=0.5
    )
    _, watch = run(Scripted([0.9, 0.5, 0.6, 0.7, 0.4, 0.4, 0.4]), recipe)
    rates = [metrics["train/learning_rate"] for metrics in watch.epochs.values()]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05])


def test_the_cut_rate_is_that_of_the_step() -> None:
    """Adam's first step has the size of the learning rate, whatever the gradient."""
    model, recipe = Letters(), Recipe(batch_size=64, lr=0.1, warmup=0, eps=0.0)
    batches, plan = gc_content(640, seed=1), Plan(10, 10, 0)
    step = TrainStep(model, recipe, plan, MicroBatches.of(64, ALONE), ALONE, seed=0)
    step(0, batches.shuffled(64, 0), 0.25)
    moved = model.weights[:4].abs().tolist()
    assert moved == pytest.approx([0.025] * 4, rel=1e-4)


@pytest.mark.parametrize(
    ("script", "steps", "best"),
    [
        ([0.5, 0.4, 0.5, 0.45, 0.3, 0.2], 40, 20),
        ([0.5, 0.4, 0.5, 0.3, 0.4, 0.2], 60, 60),
        ([0.5, 0.6, 0.7], 30, 10),
    ],
)
def test_a_training_ends_two_epochs_after_its_best_validation(
    script: list[float], steps: int, best: int
) -> None:
    recipe = Recipe(batch_size=64, epochs=6, early_stop=2)
    done, watch = run(Scripted(script), recipe)
    assert (done.steps, done.best_step, list(watch.epochs)[-1]) == (steps, best, steps)
    assert len(done.losses) == steps


def test_the_last_weights_are_kept_where_the_recipe_says_so() -> None:
    done, watch = run(Scripted([0.1, 0.5, 0.9]), Recipe(batch_size=64, epochs=3, keep="last"))
    pearsons = [metrics["validation/pearson"] for metrics in watch.epochs.values()]
    assert pearsons == sorted(pearsons, reverse=True)
    assert done.best_step == 30


def test_a_training_of_constants_fails_and_early_stopping_makes_it_short() -> None:
    watch = Watch()
    recipe = Recipe(batch_size=64, epochs=50, early_stop=3, keep="last")
    with pytest.raises(DivergedError, match="no validation gave a correlation"):
        train(
            *(Constant(), gc_content(640, 1), gc_content(200, 2), recipe, Plan.of(recipe, 640)),
            seed=0,
            progress=watch,
        )
    assert list(watch.epochs) == [10, 20, 30]
