"""Optimizers and gradient clipping of a recipe."""

from __future__ import annotations

import torch
from torch import nn

from bench.recipe import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of the parameters that are trained."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    betas = (recipe.beta1, recipe.beta2)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, recipe.lr, betas, recipe.eps, fused=True)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters, recipe.lr, betas, recipe.eps, recipe.weight_decay, fused=True
        )
    if recipe.optimizer == "lion":
        return Lion(parameters, recipe.lr, betas, recipe.weight_decay)
    return torch.optim.RMSprop(parameters, lr=recipe.lr, alpha=recipe.rho, eps=recipe.eps)


def set_rates(optimizer: torch.optim.Optimizer, rate: float, betas: tuple[float, float]) -> None:
    """Set the learning rate of the next step and, where there are any, the moments' decays."""
    for group in optimizer.param_groups:
        group["lr"] = rate
        if "betas" in group:
            group["betas"] = betas


class Lion(torch.optim.Optimizer):
    """The update rule of Chen et al. (2023), arXiv:2302.06675, which torch does not have.

    A weight moves by the learning rate against the sign of beta1 m + (1 - beta1) g, where g is its
    gradient and m the mean of earlier ones, and shrinks by ``weight_decay`` times the learning
    rate. Then m becomes beta2 m + (1 - beta2) g.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the parameters that have a gradient."""
        for group in self.param_groups:
            (beta1, beta2), rate = group["betas"], group["lr"]
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["mean"] = torch.zeros_like(weight)
            means = [self.state[weight]["mean"] for weight in weights]
            moves = torch._foreach_lerp(means, gradients, 1 - beta1)
            torch._foreach_sign_(moves)
            torch._foreach_mul_(weights, 1 - rate * group["weight_decay"])
            torch._foreach_add_(weights, moves, alpha=-rate)
            torch._foreach_lerp_(means, gradients, 1 - beta2)


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
