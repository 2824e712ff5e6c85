"""Checks of a model: randomness, state, independence of the rows, gradients."""

from __future__ import annotations

from fnmatch import fnmatchcase
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.parametrizations import _SpectralNorm

from bench.contract.attributes import changed, unsaved
from bench.contract.report import fail, several, skip
from bench.contract.specimen import Specimen, chosen, predicted, total_loss
from bench.contract.surroundings import seeded_anew
from bench.model import Model

_NOISE = (
    *(_DropoutNd, _NormBase, nn.RNNBase, nn.MultiheadAttention, nn.RReLU),
    _SpectralNorm,  # it improves its estimate in every training step
)
_STEPS = 4
_WEIGHT = "the initial weight"
_SHARE = 1e-3  # of the predictions' std that counts as rounding


@pytest.mark.needs("shape", "finite output")
def test_deterministic_under_a_seed(specimen: Specimen) -> None:
    """The same seed gives the same weights, predictions and losses; another gives others."""
    if calls := seeded_anew(lambda: _used(specimen)):
        fail(
            f"the model calls {several(calls)}, so all seeds of a run are the same: leave it out, "
            "or draw from a torch.Generator with this seed"
        )
    before = unsaved(specimen.make())
    runs = [_run(specimen, seed) for seed in (0, 0, 0, 1)]
    if found := changed(before, unsaved(specimen.make())):
        fail(f"a new model differs by {several(found)}, which earlier ones left: use no globals")
    for name, value in runs[0].items():
        if any(not torch.equal(value, other[name]) for other in runs[1:3]):
            fail(
                f"{name} differs between two models with the same seed: draw random numbers with "
                "torch, whose seed a run sets, not with random or numpy; use no time and no set"
            )
    weights = [name for name in runs[0] if name.startswith(_WEIGHT)]
    if not specimen.fitted and all(torch.equal(runs[0][n], runs[3][n]) for n in weights):
        fail("the seed changes no initial weight: draw them with torch's generator")


def _used(specimen: Specimen) -> None:
    """Make a model and use it once, without a seed."""
    model = specimen.model(specimen.config, specimen.loader.transform.positions)
    if not specimen.fitted:
        total_loss(model.train(), specimen.batch())


def _run(specimen: Specimen, seed: int) -> dict[str, Tensor]:
    """Return the weights, predictions and the loss of a new model."""
    model = specimen.make(seed) if not specimen.fitted else specimen.ready()
    weights = {f"{_WEIGHT} {n}": t.clone() for n, t in model.state_dict().items()}
    found = {**weights, "the prediction": predicted(model.eval(), specimen.batch(), seed)}
    if not specimen.fitted:
        torch.manual_seed(seed)
        found["the loss"] = total_loss(model.train(), specimen.batch()).detach()
    return found


@pytest.mark.needs("shape", "nothing outside the state dict", "deterministic under a seed")
def test_no_state_between_calls(specimen: Specimen) -> None:
    """A prediction does not depend on what was predicted before."""
    model = specimen.ready()
    if _modes(model, training=True):
        skip("model.eval() has no effect; see 'declared noise only'")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = predicted(model, specimen.batch(8))
    if _modes(model, training=True):
        skip("forward calls train(); see 'declared noise only'")
    predicted(model.train().eval(), specimen.batch(8, first=8))
    different = [n for n, t in model.state_dict().items() if not torch.equal(t, before[n])]
    if different:
        fail(f"eval() or a prediction changes {several(different)}: do so only if self.training")
    if not torch.equal(first, predicted(model, specimen.batch(8))):
        fail("the same rows have another prediction after other rows: keep no state in forward")


@pytest.mark.needs("shape", "input unchanged", "no state between calls")
def test_declared_noise_only(specimen: Specimen) -> None:
    """Training differs from evaluation by dropout, batch norm and declared modules alone."""
    model = specimen.ready()
    if left := _modes(model, training=True):
        fail(f"model.eval() leaves {several(left)} in training mode: train() is overridden")
    batch = specimen.batch(16)
    calm = predicted(model, batch, seed=0)
    if left := _modes(model, training=True):
        fail(f"forward puts {several(left)} into training mode: it calls train()")
    if not torch.equal(calm, predicted(model, batch, seed=1)):
        fail(
            "predictions are random in evaluation: nn.Dropout stops by itself, "
            "functional.dropout only with training=self.training"
        )
    noise = _quieted(specimen, model)
    quiet = predicted(model, batch)
    if not _close(calm, quiet):
        fail(
            "training mode changes predictions although dropout and batch norm are off: move what "
            "depends on self.training into a module, and name its class in noise_modules"
        )
    if specimen.fitted:
        return
    model.train()
    acting = any(_acts(m, specimen.model) for m in noise)
    if acting and _same_losses(specimen, model):
        fail("dropout has no effect in training: forward calls eval(), or leaves it out")
    if left := _modes(model, training=False):
        fail(f"a training step leaves {several(left)} in evaluation mode: do not call eval()")


def _modes(model: Model, *, training: bool) -> list[str]:
    return [name or "the model" for name, m in model.named_modules() if m.training is training]


def _quieted(specimen: Specimen, model: Model) -> list[nn.Module]:
    """Put the model into training mode and its noise into evaluation mode; return the noise."""
    model.train()
    kinds = (*_NOISE, *specimen.model.noise_modules)
    noise = [module for module in model.modules() if isinstance(module, kinds)]
    for module in noise:
        module.eval()
    return noise


def _acts(module: nn.Module, model: type[Model]) -> bool:
    """Return whether a module makes noise in training that differs from call to call."""
    if isinstance(module, _DropoutNd):
        return 0 < module.p < 1
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
        return module.dropout > 0
    return isinstance(module, nn.RReLU)


def _same_losses(specimen: Specimen, model: Model) -> bool:
    losses = []
    for seed in range(3):
        torch.manual_seed(seed)
        losses.append(total_loss(model, specimen.batch(16)).detach())
    same = all(torch.equal(losses[0], loss) for loss in losses[1:])
    outputs = [predicted(model, specimen.batch(16), seed) for seed in range(3)]
    return same and all(torch.equal(outputs[0], output) for output in outputs[1:])


def _close(one: Tensor, other: Tensor) -> bool:
    """Return whether predictions are equal but for rounding."""
    scale = 1e-5 * one.abs().max() + _SHARE * one.std() + 1e-7
    return bool((one - other).abs().max() <= scale)


@pytest.mark.needs("shape", "odd batch sizes", "input unchanged", "declared noise only")
def test_batch_independence(specimen: Specimen) -> None:
    """The prediction of a row does not depend on the other rows, their order or their number."""
    model, batch = specimen.ready(), specimen.batch(12)
    together = predicted(model, batch)
    alone = torch.cat([predicted(model, chosen(batch, slice(n, n + 1))) for n in range(12)])
    if not _close(together, alone):
        fail(
            "the prediction of a row changes with the other rows of its batch: look for sums or "
            "norms over dim 0, a wrong reshape or transpose, functional.batch_norm(training=True)"
        )
    order = torch.arange(12).roll(5)
    if not _close(together[order], predicted(model, chosen(batch, order))):
        fail("the prediction of a row changes with its place in the batch")


@pytest.mark.needs("shape", "finite output", "input unchanged")
def test_loss_reads_the_target(specimen: Specimen) -> None:
    """The loss is one finite number, and other targets give another one."""
    if specimen.fitted:
        skip("fitted at once, without a loss")
    batch, losses = specimen.batch(16), []
    for target in (batch.target, batch.target.flip(0) * 0.5 + 0.3):
        torch.manual_seed(0)
        terms = specimen.make().losses(batch._replace(target=target))
        for name, value in terms.items():
            if value.shape != ():
                fail(f"the loss '{name}' has the shape {tuple(value.shape)}: return its mean")
        losses.append(torch.stack(list(terms.values())).sum().item())
    if losses[0] == losses[1]:
        fail("the loss is the same for other targets: it ignores batch.target")
    for rows in (2, 3):
        if not total_loss(specimen.make(), specimen.batch(rows)).isfinite():
            fail(f"the loss of a batch of {rows} is NaN or infinite")
    if specimen.model.expectation is Model.expectation:
        target = specimen.batch(16).target
        right = _loss_of(specimen, target)
        for what, other in {
            "the negative targets: it has the wrong sign": -target,
            "the raw targets: batch.target is standardized, and so are predictions": (
                specimen.loader.transform.scale.raw(target)
            ),
        }.items():
            if _loss_of(specimen, other) < right:
                fail(f"the loss of perfect predictions is higher than that of {what}")


def _loss_of(specimen: Specimen, predictions: Tensor) -> float:
    """Return the loss of given predictions of the first rows."""
    model = specimen.make()
    torch.manual_seed(0)
    with mock.patch.object(model, "forward", return_value=predictions):
        return float(total_loss(model, specimen.batch(len(predictions))))


@pytest.mark.needs(
    "loss reads the target", "nothing outside the state dict", "deterministic under a seed"
)
def test_training_state_saved(specimen: Specimen) -> None:
    """A resumed run knows only what is in the state dict."""
    if specimen.fitted:
        skip("fitted at once")
    model = specimen.make()
    before = unsaved(model)
    for first in (0, 16):
        total_loss(model, specimen.batch(16, first))
    if found := changed(before, unsaved(model)):
        fail(
            f"training changes {several(found)}, which is not in the state dict, so a resumed "
            "run would lose it: make it a buffer by register_buffer(name, value)"
        )


@pytest.mark.needs("shape", "finite output", "loss reads the target")
def test_gradient_reaches_every_parameter(specimen: Specimen) -> None:
    """A weight without a gradient is never trained, and several devices refuse it."""
    if specimen.fitted:
        skip("fitted at once, without gradients")
    model = specimen.make()
    named = {
        n: p
        for n, p in model.named_parameters()
        if not any(fnmatchcase(n, pattern) for pattern in specimen.model.idle_parameters)
    }
    if frozen := [n for n, p in named.items() if not p.requires_grad]:
        fail(f"{several(frozen)} is frozen (requires_grad=False): make a constant a buffer")
    moving: set[str] = set()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for step in range(_STEPS):  # a projection that starts at zero lets gradients pass later
        optimizer.zero_grad()
        total_loss(model, specimen.batch(32, 32 * step)).backward()  # type: ignore[no-untyped-call]
        if unused := [n for n, p in named.items() if p.grad is None]:
            fail(f"the loss does not use {several(unused)}: remove it, or use it in forward")
        moving |= {n for n, p in named.items() if p.grad is not None and p.grad.any()}
        optimizer.step()
    if dead := [n for n in named if n not in moving]:
        fail(
            f"the gradient of {several(dead)} is zero in {_STEPS} steps: look for detach(), a "
            "factor 0, a dead ReLU; name it in idle_parameters if this is meant"
        )
