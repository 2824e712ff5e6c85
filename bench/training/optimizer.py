"""Optimizers and gradient clipping of a recipe."""

from __future__ import annotations

import torch
from torch import nn

from bench.recipe import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of the parameters that are trained."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if recipe.optimizer == "adam":
        betas = (recipe.beta1, recipe.beta2)
        return torch.optim.Adam(parameters, recipe.lr, betas, recipe.eps, fused=True)
    return torch.optim.RMSprop(parameters, lr=recipe.lr, alpha=recipe.rho, eps=recipe.eps)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def clip_gradients(model: nn.Module, recipe: Recipe) -> None:
    """Clip gradients by element, then by norm, the order of Keras' optimizers.

    Nothing here waits for the device.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    if recipe.clip_value:
        nn.utils.clip_grad_value_(parameters, recipe.clip_value)
    if recipe.clip_norm and recipe.clip_by == "global":
        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
    elif recipe.clip_norm:
        gradients = [p.grad for p in parameters if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))
        scales = recipe.clip_norm / norms.clamp_min(recipe.clip_norm)
        torch._foreach_mul_(gradients, list(scales.unbind()))
