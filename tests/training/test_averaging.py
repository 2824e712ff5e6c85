"""Averages of weights against sums in float64 over the weights of every step."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.model import Model
from bench.recipe import Recipe
from bench.training.averaging import WeightAverage
from bench.training.predict import predict
from bench.training.schedule import Plan
from tests.training.test_loop import Letters, gc_content, run

STEPS = 20


class Normed(Model):
    """A model with weights, running statistics, a count and a buffer that is set anew."""

    last: Tensor

    def __init__(self) -> None:
        super().__init__(None, 24)
        self.weights = nn.Parameter(torch.zeros(6))
        self.norm = nn.BatchNorm1d(1)
        self.register_buffer("last", torch.zeros(2))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.weights[tokens.long()].sum(dim=1)
        if self.training:
            self.last = torch.stack([x.detach().mean(), x.detach().amax()])
        return self.norm(x[:, None])[:, 0]


def wanted(recipe: Recipe, states: list[dict[str, np.ndarray[Any, Any]]]) -> Any:
    """Return the weighted mean of the states after every step, in float64."""
    count = len(states)
    if recipe.average_weights == "ema":
        shares = [recipe.ema_decay ** (count - 1 - number) for number in range(count)]
    else:
        shares = [float(number >= int(recipe.swa_start * STEPS)) for number in range(count)]
    return {
        name: sum(share * state[name] for share, state in zip(shares, states, strict=True))
        / sum(shares)
        for name in states[0]
    }


RECIPES = {
    "ema": Recipe(average_weights="ema", ema_decay=0.9),
    "ema without memory": Recipe(average_weights="ema", ema_decay=0.0),
    "swa": Recipe(average_weights="swa", swa_start=0.75),
    "swa of all": Recipe(average_weights="swa", swa_start=0.0),
}


@pytest.mark.parametrize("name", RECIPES)
def test_an_average_is_the_mean_of_the_weights_of_its_steps(name: str) -> None:
    torch.manual_seed(0)
    model, recipe = Normed().double(), RECIPES[name]
    average, states = WeightAverage(model, recipe, STEPS), []
    for step in range(1, STEPS + 1):
        for value in model.parameters():
            value.data.normal_()
        model.train()(next(gc_content(8, seed=step).in_order(8)).tokens)
        average.add(step)
        states.append({n: v.numpy().copy() for n, v in model.state_dict().items()})
        fresh = {n: v.clone() for n, v in model.state_dict().items()}
        begun = recipe.average_weights == "ema" or step > recipe.swa_start * STEPS
        for found in (average.weights(), shown(average, model)):
            for part, value in (wanted(recipe, states) if begun else states[-1]).items():
                if part == "norm.num_batches_tracked":
                    assert found[part].item() == step
                else:
                    np.testing.assert_allclose(found[part], value, rtol=1e-9, err_msg=part)
        assert all(torch.equal(v, fresh[n]) for n, v in model.state_dict().items())


def shown(average: WeightAverage, model: Model) -> dict[str, Tensor]:
    with average.shown():
        return {name: value.clone() for name, value in model.state_dict().items()}


def test_weights_come_back_after_an_error() -> None:
    model = Letters()
    average = WeightAverage(model, RECIPES["swa of all"], STEPS)
    average.add(1)
    model.weights.data[:] = 7.0
    seen: list[float] = []
    with pytest.raises(ZeroDivisionError), average.shown():
        seen.append(model.weights.sum().item() + 1 // len(seen))
    assert model.weights.tolist() == [7.0] * 6


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averaged_weights_are_the_ones_validated_and_kept(kind: Any, keep: Any) -> None:
    """The weights of every step are recorded by a plain run, whose steps are the same."""
    base: dict[str, Any] = {"batch_size": 64, "epochs": 4, "lr": 0.05}
    steps: list[np.ndarray[Any, Any]] = []

    class Recorded(Letters):
        def loss(self, batch: Any) -> Tensor:
            steps.append(self.weights.detach().double().numpy().copy())
            return super().loss(batch)

    plain = Recorded()
    run(plain, Recipe(**base, keep="last"))
    weights = [{"weights": w} for w in [*steps[1:], plain.weights.detach().double().numpy()]]
    recipe = Recipe(**base, average_weights=kind, ema_decay=0.8, keep=keep, swa_start=0.5)
    model = Letters()
    trained, watch = run(model, recipe)
    assert Plan.of(recipe, 640).steps == len(weights) == 40
    validation = gc_content(200, seed=2)
    ends = {}
    for step in (10, 20, 30, 40):
        begun = kind == "ema" or step > 20
        shares = [0.8 ** (step - 1 - n) if kind == "ema" else float(n >= 20) for n in range(step)]
        if not begun:
            shares[-1] = 1.0
        mean = np.average([w["weights"] for w in weights[:step]], axis=0, weights=shares)
        ends[step] = mean
        predictions = mean[validation._tokens].sum(axis=1)
        error = ((predictions - validation.target.numpy()) ** 2).mean()
        assert watch.epochs[step]["validation/mse"] == pytest.approx(error, rel=1e-4)
    assert trained.best_step == 40 or keep == "best"
    np.testing.assert_allclose(model.weights.detach(), ends[trained.best_step], rtol=1e-4)
    mse = ((predict(model, validation) - validation.target.numpy()) ** 2).mean()
    assert mse == pytest.approx(watch.epochs[trained.best_step]["validation/mse"], rel=1e-5)
