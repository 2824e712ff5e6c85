"""Plans and learning rates: worked out by hand, torch's own schedulers, Vaswani's formula."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.recipe import Recipe
from bench.training.schedule import Plan, Plateau


def plan(rows: int = 105, max_steps: int | None = None, **changes: Any) -> Plan:
    """Plan four epochs of ten updates each, the first of them warm-up, but for some changes."""
    return Plan.of(Recipe(**{"batch_size": 10, "epochs": 4, **changes}), rows, max_steps)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (40, 10, 10)),
        ({"rows": 10}, (4, 1, 1)),
        ({"rows": 109}, (40, 10, 10)),
        ({"rows": 110}, (44, 11, 11)),
        ({"passes": 3}, (120, 30, 30)),  # 3 x 10 whole batches, not 31 of 315 rows
        ({"epochs": 1}, (10, 10, 10)),
        ({"warmup": 0.5}, (40, 10, 5)),
        ({"warmup": 0.0}, (40, 10, 0)),
        ({"warmup": 7.0, "warmup_unit": "steps"}, (40, 10, 7)),
        ({"warmup": 7.0, "warmup_unit": "steps", "passes": 2}, (80, 20, 7)),
        ({"warmup": 6.0}, (40, 10, 60)),  # never at its peak
        ({"warmup": 0.3, "warmup_unit": "share"}, (40, 10, 12)),
        ({"warmup": 1.0, "warmup_unit": "share", "passes": 2}, (80, 20, 80)),
    ],
)
def test_a_plan_counts_whole_batches(
    changes: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    assert plan(**changes) == Plan(*expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_steps": 20}, (20, 10, 5)),
        ({"max_steps": 4}, (4, 4, 1)),
        ({"max_steps": 1}, (1, 1, 0)),
        ({"max_steps": 40}, (40, 10, 10)),
        ({"max_steps": 41}, (40, 10, 10)),
        ({"max_steps": None}, (40, 10, 10)),
        ({"max_steps": 10, "warmup": 8.0, "warmup_unit": "steps"}, (10, 10, 2)),
        ({"max_steps": 60, "passes": 3}, (60, 30, 15)),
        ({"max_steps": 20, "warmup": 0.3, "warmup_unit": "share"}, (20, 10, 6)),
    ],
)
def test_a_limit_shortens_warm_up_in_proportion(
    changes: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    assert plan(**changes) == Plan(*expected)


def test_the_standard_recipe_warms_up_for_one_of_twenty_epochs() -> None:
    assert Plan.of(Recipe(), 512 * 100 + 511) == Plan(2000, 100, 100)


@pytest.mark.parametrize(
    ("rows", "batch_size", "instead"),
    [(511, 512, 256), (256, 512, 256), (255, 256, 128), (1, 2, 1), (1000, 1024, 512), (6, 7, 4)],
)
def test_fewer_rows_than_a_batch_are_refused(rows: int, batch_size: int, instead: int) -> None:
    with pytest.raises(BenchError) as raised:
        plan(rows=rows, batch_size=batch_size)
    assert str(raised.value) == (
        f"{rows} training rows make no batch of {batch_size}. Try recipe.batch_size={instead}."
    )
    assert plan(rows=rows, batch_size=instead).steps_per_epoch >= 1


def test_no_rows_at_all_are_not_told_to_try_another_batch_size() -> None:
    with pytest.raises(BenchError) as raised:
        plan(rows=0)
    assert "batch_size=" not in str(raised.value)


@pytest.mark.parametrize(
    ("schedule", "step", "rate"),
    [
        ("cosine", 0, 0.1),
        ("cosine", 4, 0.5),
        ("cosine", 9, 1.0),
        ("cosine", 10, 1.0),
        ("cosine", 20, 0.75),
        ("cosine", 25, 0.5),
        ("cosine", 30, 0.25),
        ("cosine", 40, 0.0),
        ("constant", 0, 0.1),
        ("constant", 9, 1.0),
        ("constant", 10, 1.0),
        ("constant", 39, 1.0),
        ("plateau", 4, 0.5),
        ("plateau", 39, 1.0),
        ("noam", 0, 0.1),
        ("noam", 4, 0.5),
        ("noam", 9, 1.0),
        ("noam", 10, math.sqrt(10 / 11)),
        ("noam", 39, 0.5),
    ],
)
def test_rates_after_ten_updates_of_warm_up_are_those_worked_out(
    schedule: Any, step: int, rate: float
) -> None:
    recipe = Recipe(lr=1.0, schedule=schedule)
    doubled = Recipe(lr=2.0, schedule=schedule)
    made = Plan(steps=40, steps_per_epoch=10, warmup_steps=10)
    assert made.learning_rate(step, recipe) == pytest.approx(rate, abs=1e-15)
    assert made.learning_rate(step, doubled) == pytest.approx(2 * rate, abs=1e-15)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("cosine", [1.0, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4]),
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("noam", [1.0, math.sqrt(1 / 2), math.sqrt(1 / 3), 0.5]),
    ],
)
def test_without_warm_up_the_first_update_has_the_peak_rate(
    schedule: Any, rates: list[float]
) -> None:
    recipe = Recipe(lr=1.0, schedule=schedule)
    made = Plan(steps=4, steps_per_epoch=4, warmup_steps=0)
    assert [made.learning_rate(step, recipe) for step in range(4)] == pytest.approx(rates)


def test_a_training_that_is_all_warm_up_ends_at_its_peak() -> None:
    made = plan(epochs=1)
    rates = [made.learning_rate(step, Recipe(lr=1.0)) for step in range(made.steps)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


@given(st.integers(1, 2048), st.integers(1, 10_000), st.integers(1, 100_000))
def test_noam_is_vaswanis_formula(dim: int, warmup: int, step: int) -> None:
    recipe = Recipe(schedule="noam", lr=(dim * warmup) ** -0.5)
    made = Plan(steps=100_000, steps_per_epoch=100, warmup_steps=warmup)
    expected = dim**-0.5 * min(step**-0.5, step * warmup**-1.5)
    assert made.learning_rate(step - 1, recipe) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 50), st.integers(1, 200))
def test_the_cosine_falls_from_its_peak_as_it_rises_to_it_backwards(
    warmup: int, decay: int
) -> None:
    recipe = Recipe(lr=3.0)
    made = Plan(steps=warmup + decay, steps_per_epoch=1, warmup_steps=warmup)
    rates = [made.learning_rate(step, recipe) for step in range(warmup, warmup + decay + 1)]
    assert rates == sorted(rates, reverse=True)
    mirrored = [3.0 - rate for rate in reversed(rates)]
    assert rates == pytest.approx(mirrored, abs=1e-12)


def one_cycle(steps: int, **changes: Any) -> Recipe:
    cycle = {"schedule": "one_cycle", "warmup": 0.3, "warmup_unit": "share", "lr": 5e-3}
    return Recipe(**{**cycle, **changes})


@pytest.mark.parametrize(("steps", "share"), [(400, 0.3), (10, 0.25), (7, 0.5), (3, 0.5), (5, 1.0)])
def test_one_cycle_is_torchs(steps: int, share: float) -> None:
    recipe = one_cycle(steps, warmup=share, optimizer="adamw", cycle_momentum=True)
    made = Plan(steps, steps, round(share * steps))
    adam = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        adam, max_lr=5e-3, total_steps=steps, pct_start=share
    )
    for step in range(steps):
        (group,) = adam.param_groups
        assert made.learning_rate(step, recipe) == pytest.approx(group["lr"], rel=1e-12)
        assert made.betas(step, recipe) == pytest.approx(group["betas"], rel=1e-12)
        adam.step()
        if step + 1 < steps:
            oracle.step()


def test_one_cycle_without_momentum_keeps_the_recipes_decays() -> None:
    recipe = one_cycle(10, optimizer="lion", beta2=0.99)
    assert [Plan(10, 5, 3).betas(step, recipe) for step in (0, 4, 9)] == [(0.9, 0.99)] * 3


@pytest.mark.parametrize("unit", ["steps", "epochs"])
def test_one_cycle_takes_its_warm_up_in_any_unit(unit: Any) -> None:
    """Ten of forty steps are a quarter of them."""
    warmup = 10 if unit == "steps" else 1
    made = plan(warmup=float(warmup), warmup_unit=unit)
    recipe = one_cycle(40, warmup=float(warmup), warmup_unit=unit)
    wanted = [made.learning_rate(step, one_cycle(40, warmup=0.25)) for step in range(40)]
    assert [made.learning_rate(step, recipe) for step in range(40)] == wanted
    assert wanted[9] == 5e-3


@given(
    st.lists(st.floats(0.1, 1.1) | st.floats(0.9998, 1.0), max_size=40),
    st.integers(0, 3),
    st.sampled_from([0.5, 0.1, 0.0]),
    st.sampled_from([1e-3, 1e-7]),
)
def test_plateaus_are_cut_as_torch_cuts_them(
    losses: list[float], patience: int, factor: float, rate: float
) -> None:
    recipe = Recipe(schedule="plateau", plateau_patience=patience, plateau_factor=factor, lr=rate)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
    cuts = Plateau()
    for loss in [*losses, math.nan, *losses]:
        cuts.note(loss, recipe)
        oracle.step(loss)
        wanted = optimizer.param_groups[0]["lr"]
        assert rate * cuts.scale == pytest.approx(wanted, rel=1e-12, abs=1e-30)


def test_other_schedules_are_not_cut() -> None:
    cuts = Plateau()
    for _ in range(20):
        cuts.note(1.0, Recipe())
    assert cuts == Plateau()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"weight_decay": 0.1},
            "recipe.weight_decay: adam has none. Try recipe.optimizer=adamw.",
        ),
        (
            {"weight_decay": 0.1, "optimizer": "rmsprop"},
            "recipe.weight_decay: rmsprop has none. Try recipe.optimizer=adamw.",
        ),
        (
            {"cycle_momentum": True},
            "recipe.cycle_momentum needs schedule one_cycle, and adam or adamw. "
            "Try recipe.cycle_momentum=false.",
        ),
        (
            {"cycle_momentum": True, "schedule": "one_cycle", "optimizer": "lion"},
            "recipe.cycle_momentum needs schedule one_cycle, and adam or adamw. "
            "Try recipe.cycle_momentum=false.",
        ),
        (
            {"output_shift": 0.1},
            "recipe.output_shift needs an output transform. Try recipe.output=normal_cdf.",
        ),
        (
            {"warmup": 7, "warmup_unit": "share"},
            "recipe.warmup is a share of the steps, at most 1; got 7. Try recipe.warmup=0.3.",
        ),
        ({"beta1": 1}, "recipe.beta1 must be below 1. Try recipe.beta1=0.9."),
        ({"optimizer": "rmsprop", "rho": 1}, "recipe.rho must be below 1. Try recipe.rho=0.9."),
        (
            {"average_weights": "ema", "ema_decay": 1},
            "recipe.ema_decay must be below 1. Try recipe.ema_decay=0.999.",
        ),
        (
            {"average_weights": "swa", "swa_start": 1},
            "recipe.swa_start must be below 1. Try recipe.swa_start=0.75.",
        ),
        (
            {"schedule": "plateau", "plateau_factor": 1},
            "recipe.plateau_factor must be below 1. Try recipe.plateau_factor=0.1.",
        ),
    ],
)
def test_settings_that_exclude_each_other_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BenchError) as raised:
        Recipe(**changes)
    assert str(raised.value) == told
    assert raised.value.field == f"recipe.{told.partition('.')[2].split()[0].rstrip(':')}"
