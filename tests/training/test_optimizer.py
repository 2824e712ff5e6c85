"""Clipping and optimizers against values worked out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from bench.recipe import Recipe
from bench.training.optimizer import clip_gradients, make_optimizer, set_rates


def two_tensors(*gradients: list[float]) -> nn.Module:
    model = nn.Module()
    for number, gradient in enumerate(gradients):
        parameter = nn.Parameter(torch.zeros(len(gradient)))
        parameter.grad = torch.tensor(gradient)
        model.register_parameter(f"p{number}", parameter)
    return model


def gradients(model: nn.Module) -> list[list[float]]:
    return [p.grad.tolist() for p in model.parameters() if p.grad is not None]


def test_global_norm_scales_all_tensors_by_one_factor() -> None:
    model = two_tensors([3.0], [0.0, 4.0])  # norm 5
    clip_gradients(model, Recipe(clip_norm=1.0))
    assert gradients(model)[0] == pytest.approx([0.6], rel=1e-5)
    assert gradients(model)[1] == pytest.approx([0.0, 0.8], rel=1e-5)


def test_tensor_norm_scales_each_by_its_own_and_leaves_short_ones() -> None:
    model = two_tensors([3.0, 4.0], [0.0, 0.5], [0.0])
    clip_gradients(model, Recipe(clip_norm=1.0, clip_by="tensor"))
    assert gradients(model) == [pytest.approx([0.6, 0.8]), [0.0, 0.5], [0.0]]


def test_values_are_cut_before_norms_as_keras_does() -> None:
    """(3, 0.4) -> (0.5, 0.4) of norm 0.6403; the other order would give (0.5, 0.132)."""
    model = two_tensors([3.0, 0.4])
    clip_gradients(model, Recipe(clip_value=0.5, clip_norm=0.5, clip_by="tensor"))
    assert gradients(model)[0] == pytest.approx([0.25 / 0.640312, 0.2 / 0.640312], rel=1e-5)


def test_without_clipping_gradients_stay() -> None:
    model = two_tensors([300.0, -4.0])
    clip_gradients(model, Recipe(clip_norm=0.0))
    assert gradients(model) == [[300.0, -4.0]]


def test_rmsprop_moves_as_tensorflows_does() -> None:
    """Two steps with gradient 2: s = .1·4 = .4, then .9·.4 + .1·4 = .76; eps outside the root."""
    model = two_tensors([2.0])
    optimizer = make_optimizer(model, Recipe(optimizer="rmsprop", lr=0.1, eps=1e-7))
    optimizer.step()
    optimizer.step()
    moved = -0.1 * 2 / (0.4**0.5 + 1e-7) - 0.1 * 2 / (0.76**0.5 + 1e-7)
    assert next(model.parameters()).item() == pytest.approx(moved, rel=1e-6)


def test_adam_uses_the_recipes_moments() -> None:
    """The first step's size is the learning rate for any gradient; the second's is not."""
    model = two_tensors([2.0])
    parameter = next(model.parameters())
    optimizer = make_optimizer(model, Recipe(lr=0.1, beta1=0.5, beta2=0.75, eps=0.0))
    optimizer.step()
    assert parameter.item() == pytest.approx(-0.1, rel=1e-6)
    parameter.grad = torch.tensor([1.0])
    optimizer.step()
    m, v = (0.5 * 1 + 0.5 * 1) / (1 - 0.25), (0.75 * 1 + 0.25 * 1) / (1 - 0.5625)
    assert parameter.item() == pytest.approx(-0.1 - 0.1 * m / v**0.5, rel=1e-6)


def test_adamw_shrinks_weights_apart_from_the_gradient() -> None:
    """The first step is the learning rate; the decay is its product with weight and rate."""
    model = two_tensors([2.0])
    parameter = next(model.parameters())
    parameter.data[:] = 3.0
    recipe = Recipe(optimizer="adamw", lr=0.1, weight_decay=0.5, eps=0.0)
    make_optimizer(model, recipe).step()
    assert parameter.item() == pytest.approx(3.0 - 0.1 * 0.5 * 3.0 - 0.1, rel=1e-6)


def test_lion_is_its_papers_rule() -> None:
    """Two steps in float64, element by element; Chen et al. (2023), algorithm 2."""
    generator = np.random.default_rng(0)
    weights, first, second = (generator.normal(size=5) for _ in range(3))
    second[0] = -0.05 * first[0]  # the kept mean of .4 g outweighs the new gradient
    second[1] = -0.15 * first[1]  # and here it does not, as a mean of .8 g would
    model = two_tensors(first.tolist())
    parameter = next(model.parameters())
    parameter.data[:] = torch.tensor(weights)
    recipe = Recipe(optimizer="lion", lr=1.0, beta1=0.2, beta2=0.6, weight_decay=0.25)
    optimizer = make_optimizer(model, recipe)
    mean = np.zeros(5)
    for rate, gradient in ((0.1, first), (0.02, second)):
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        set_rates(optimizer, rate, (0.2, 0.6))
        optimizer.step()
        weights = weights - rate * (np.sign(0.2 * mean + 0.8 * gradient) + 0.25 * weights)
        mean = 0.6 * mean + 0.4 * gradient
    np.testing.assert_allclose(parameter.detach(), weights, rtol=1e-6)


def test_lion_leaves_what_has_no_gradient() -> None:
    model = two_tensors([2.0], [2.0])
    first, second = model.parameters()
    second.grad = None
    optimizer = make_optimizer(model, Recipe(optimizer="lion", lr=0.1))
    optimizer.step()
    optimizer.zero_grad()
    optimizer.step()
    assert first.item() == pytest.approx(-0.1)
    assert second.item() == 0


def test_the_decays_of_a_step_are_those_that_are_set() -> None:
    """With beta1 = 0 at the second step, Adam takes the new gradient alone."""
    model = two_tensors([2.0])
    parameter = next(model.parameters())
    optimizer = make_optimizer(model, Recipe(lr=0.1, eps=0.0))
    optimizer.step()
    parameter.grad = torch.tensor([1.0])
    set_rates(optimizer, 0.2, (0.0, 0.75))
    optimizer.step()
    v = (0.75 * 4 * 0.001 + 0.25 * 1) / (1 - 0.75**2)
    assert parameter.item() == pytest.approx(-0.1 - 0.2 / v**0.5, rel=1e-5)


def test_frozen_parameters_are_not_trained() -> None:
    model = two_tensors([2.0], [2.0])
    first, second = model.parameters()
    second.requires_grad_(False)
    make_optimizer(model, Recipe()).step()
    assert (first.item() != 0, second.item()) == (True, 0.0)
