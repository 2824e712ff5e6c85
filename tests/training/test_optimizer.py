"""Clipping and optimizers against values worked out by hand."""

import pytest
import torch
from torch import nn

from bench.recipe import Recipe
from bench.training.optimizer import clip_gradients, make_optimizer


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


def test_frozen_parameters_are_not_trained() -> None:
    model = two_tensors([2.0], [2.0])
    first, second = model.parameters()
    second.requires_grad_(False)
    make_optimizer(model, Recipe()).step()
    assert (first.item() != 0, second.item()) == (True, 0.0)
