"""States of real trainings pass; whatever else torch can read is an error, never a crash later."""

import hashlib
import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.recipe import Recipe
from bench.training.checkpoints import Checkpoints
from bench.training.loop import train
from bench.training.monitor import Controls
from bench.training.schedule import Plan
from bench.training.state_check import check_state
from tests.training.test_loop import Letters, Watch, gc_content

STEPS = 40
RECIPES = {
    name: Recipe(batch_size=64, epochs=4, optimizer=name, lr=0.01) for name in ("adam", "rmsprop")
}


@pytest.fixture(scope="module", params=RECIPES)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A recipe, and the content of the checkpoint that its training saved last."""
    recipe, data = RECIPES[request.param], gc_content(640, seed=1)
    folder = tmp_path_factory.mktemp("saved")
    controls = Controls(checkpoints=Checkpoints(folder, minutes=0))
    plan = Plan.of(recipe, len(data), None)
    assert plan.steps == STEPS
    train(Letters(), data, gc_content(320, 2), recipe, plan, seed=0, progress=Watch(),
          controls=controls)  # fmt: skip
    return recipe, plan, max(folder.glob("*.pt"))


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def test_a_state_of_the_training_passes(saved: Any) -> None:
    recipe, plan, path = saved
    check_state(load(path), Letters(), recipe, plan)


def test_a_state_before_the_first_validation_passes(saved: Any) -> None:
    recipe, plan, path = saved
    state = load(path)
    state.update(best=-float("inf"), best_step=0, best_weights={})
    check_state(state, Letters(), recipe, plan)


Forgery = Callable[[dict[str, Any]], Any]


def instead(value: Any) -> Forgery:
    return lambda state: value


def put(**fields: Any) -> Forgery:
    return lambda state: {**state, **fields}


def drop(name: str) -> Forgery:
    return lambda state: {key: value for key, value in state.items() if key != name}


def moments(change: Callable[[dict[Any, Any]], Any]) -> Forgery:
    def forged(state: dict[str, Any]) -> dict[str, Any]:
        change(state["optimizer"]["state"])
        return state

    return forged


def group(**fields: Any) -> Forgery:
    def forged(state: dict[str, Any]) -> dict[str, Any]:
        state["optimizer"]["param_groups"][0].update(fields)
        return state

    return forged


W = {"weights": torch.zeros(6)}
FORGERIES: dict[str, Forgery] = {
    **{f"{value!r}"[:20]: instead(value) for value in ([1], 3, "x", None, {"a": 1}, W)},
    **{f"no {name}": drop(name) for name in (
        "step", "model", "optimizer", "losses", "best", "best_step", "best_weights", "seconds",
        "validation_seconds",
    )},
    **{f"step {value!r}": put(step=value) for value in (
        -1, 0, "40", 40.0, True, None, STEPS + 1, 1 << 70, torch.tensor(40),
    )},
    **{f"best_step {value!r}": put(best_step=value) for value in (-1, 0, "1", 41, None, 1.0)},
    **{f"best {value!r}": put(best=value) for value in (
        "x", None, float("nan"), -float("inf"), float("inf"), 1, torch.tensor(0.5),
    )},
    **{f"seconds {value!r}": put(seconds=value) for value in (-1.0, float("nan"), "1", None)},
    "model list": put(model=[1]),
    "model empty": put(model={}),
    "model more": put(model={**W, "more": torch.zeros(1)}),
    "model shape": put(model={"weights": torch.zeros(7)}),
    "model stretched": put(model={"weights": torch.zeros(1).expand(1 << 40)}),
    "model double": put(model={"weights": torch.zeros(6, dtype=torch.float64)}),
    "model whole": put(model={"weights": torch.zeros(6, dtype=torch.int64)}),
    "model sparse": put(model={"weights": torch.zeros(6).to_sparse()}),
    "model number": put(model={"weights": 1.0}),
    "weights shape": put(best_weights={"weights": torch.zeros(2, 3)}),
    "weights empty": put(best_weights={}),
    "losses short": put(losses=torch.zeros(3)),
    "losses list": put(losses=[0.0] * STEPS),
    "losses double": put(losses=torch.zeros(STEPS, dtype=torch.float64)),
    "optimizer list": put(optimizer=[]),
    "optimizer empty": put(optimizer={}),
    "groups": put(optimizer={"state": {}, "param_groups": []}),
    "groups of text": put(optimizer={"state": {}, "param_groups": ["x"]}),
    "moments gone": moments(lambda state: state[0].popitem()),
    "moments more": moments(lambda state: state[0].update(more=torch.zeros(6))),
    "moments shape": moments(lambda state: state[0].update(
        {name: torch.zeros(2, 2) for name in list(state[0])})),
    "moments double": moments(lambda state: state[0].update(
        {name: value.double() for name, value in state[0].items()})),
    "moments of another": moments(lambda state: state.update({7: state[0]})),
    "moments of text": moments(lambda state: state.update({"a": state[0]})),
    "moments list": moments(lambda state: state.update({0: [1]})),
    "parameters": group(params=[0, 1]),
    "learning rate": group(lr="x"),
    "eps": group(eps=5.0),
    "maximize": group(maximize=True),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_another_content_is_an_error_of_one_line(name: str, saved: Any) -> None:
    recipe, plan, path = saved
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        check_state(FORGERIES[name](load(path)), Letters(), recipe, plan)
    assert str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


def noted(path: Path, content: bytes) -> None:
    """Write a checkpoint of any bytes with their hash."""
    path.write_bytes(content)
    note = {"step": 2, "sha256": hashlib.sha256(content).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(note))


def test_bytes_of_any_kind_are_a_damaged_checkpoint_or_a_state(saved: Any, tmp_path: Path) -> None:
    recipe, plan, path = saved
    whole, chance = path.read_bytes(), random.Random(0)
    plain = pickle.dumps({"step": 1, "x": [1.5, "a", (2, None)]}, 2)
    for number in range(300):
        content = bytearray(whole if number % 3 else plain)
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if number % 5 == 0:
            del content[chance.randrange(len(content)) :]
        noted(tmp_path / "000000002.pt", bytes(content))
        checkpoints = Checkpoints(tmp_path, minutes=1)
        state, damaged = checkpoints.load(lambda s: check_state(s, Letters(), recipe, plan))
        assert (state is None) == (len(damaged) == 1)
        assert not any("\n" in line for line in damaged)
