"""Plans and learning rates worked out by hand, and Vaswani et al.'s formula."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.recipe import Recipe
from bench.training.schedule import Plan


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
