"""Checks of a model on the engine's machinery: files, resumed runs, several ranks, compilation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from bench.contract import ranks
from bench.contract.attributes import changed, unsaved
from bench.contract.report import fail, several, skip
from bench.contract.specimen import Specimen, predicted
from bench.errors import BenchError
from bench.model import Model
from bench.training.checkpoints import Checkpoints, State
from bench.training.loop import Trained, train
from bench.training.monitor import Controls
from bench.training.schedule import Plan
from bench.training.step import Objective

_BATCH, _ROWS, _EPOCHS = 16, 32, 3  # two steps an epoch
_CLOSE = 1e-3  # relative difference of losses that counts as another order of summation
_ROUNDING = 1e-5  # of the largest of the loss and its gradients; at most 1.4e-6 was measured


@pytest.mark.needs("shape", "deterministic under a seed", "nothing outside the state dict")
def test_safetensors_round_trip(specimen: Specimen, tmp_path: Path) -> None:
    """The weights of a run are stored as safetensors; predictions read them again."""
    model, file = specimen.ready(), tmp_path / "model.safetensors"
    save_model(model, str(file))
    other = specimen.make(seed=1)
    random = changed(unsaved(model), unsaved(other))
    load_model(other, str(file))
    one, two = (predicted(m.eval(), specimen.batch(16)) for m in (model, other))
    if not torch.equal(one, two):
        fail(
            "predictions differ after saving and loading the weights: prediction needs "
            f"{several(random) or 'something'}, which is not in the state dict; make it a buffer "
            "by register_buffer"
        )


class _KilledError(Exception):
    """The training ends here, as if it were killed."""


class _Killer:
    """A progress that ends the training at one of its validations; 0 for none."""

    def __init__(self, at: int = 0) -> None:
        self._at, self._seen = at, 0

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        """Ignore the steps."""

    def epoch(self, step: int, metrics: dict[str, float]) -> None:
        """Count the validations."""
        self._seen += 1
        if self._seen == self._at:
            raise _KilledError


@pytest.mark.needs(
    "finite output",
    "nothing outside the state dict",
    "gradient reaches every parameter",
    "training state saved",
    "safetensors round trip",
    "bfloat16",  # a validation needs different predictions
)
def test_resume(specimen: Specimen, tmp_path: Path) -> None:
    """A training that is killed and resumed has the losses and weights of one that is not."""
    if specimen.fitted:
        skip("fitted at once: there is nothing to resume")
    whole, checkpoints = specimen.make(), Checkpoints(tmp_path, minutes=0)
    told = _train(specimen, whole, _Killer())
    with pytest.raises(_KilledError):
        _train(specimen, specimen.make(), _Killer(at=_EPOCHS - 1), checkpoints)
    state, _ = checkpoints.load(lambda state: None)
    resumed = specimen.make(seed=1)
    again = _train(specimen, resumed, _Killer(), state=state)
    different = [
        n for n, t in whole.state_dict().items() if not torch.equal(t, resumed.state_dict()[n])
    ]
    if different or (told.losses != again.losses).any():  # type: ignore[union-attr]
        fail(
            f"a resumed training differs from an uninterrupted one ({several(different)}): keep "
            "what changes in training in the state dict, and draw noise with torch only"
        )


def _train(
    specimen: Specimen,
    model: Model,
    progress: _Killer,
    checkpoints: Checkpoints | None = None,
    state: State | None = None,
) -> Trained:
    recipe = specimen.recipe(batch_size=_BATCH, epochs=_EPOCHS, passes=1, warmup=0)
    return train(
        model,
        specimen.loader.training(),
        specimen.loader.validation(),
        recipe,
        Plan.of(recipe, _ROWS),
        seed=0,
        progress=progress,
        controls=Controls(checkpoints=checkpoints),
        state=state,
    )


@pytest.mark.needs(
    "loss reads the target",
    "deterministic under a seed",
    "gradient reaches every parameter",
    "batch independence",
)
def test_two_ranks(specimen: Specimen) -> None:
    """Two devices that share every batch have the losses of one device."""
    if specimen.fitted:
        skip("fitted on one device")
    if specimen.target.what is None:
        skip("the class has no file that two processes could import")
    noisy = _noisy(specimen)
    if noisy and _has_batch_norm(specimen.make()):
        skip("batch norm together with noise of its own gives two ranks other noise")
    alone = ranks.losses(specimen, micro_batches=2 if noisy else 1)
    try:
        shared, weights = ranks.on_two(specimen)
    except BenchError as error:
        fail(str(error))
    if weights != ranks.digest(specimen.make()):
        fail(
            "the initial weights differ in another process, although the seed is the same: do not "
            "use hash(), id(), the order of a set, or the time"
        )
    worst = max(abs(a - b) / max(abs(a), 1e-3) for a, b in zip(alone, shared, strict=True))
    if not worst <= _CLOSE:
        fail(
            f"two ranks have other losses than one, by {worst:.1%}: the loss must be a mean over "
            "the rows of its batch, and norms over rows must be nn.BatchNorm1d"
        )


def _noisy(specimen: Specimen) -> bool:
    """Return whether the loss of a model without dropout depends on the seed."""
    model, found = ranks.without_dropout(specimen.make()), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(Objective(model, 0.0)(specimen.batch(_BATCH))[0].item())
    return found[0] != found[1]


def _has_batch_norm(model: Model) -> bool:
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


@pytest.mark.needs("training state saved", "prints nothing")
def test_traces_for_compile(specimen: Specimen) -> None:
    """`--compile` follows the loss in one piece, without a return to Python."""
    if specimen.fitted:
        skip("fitted at once: there is nothing to compile")
    breaks = torch._dynamo.utils.counters["graph_break"]
    breaks.clear()
    _compiled(specimen, backend="eager")
    if breaks:
        _fail_to_trace(_reason(next(iter(breaks))))


@pytest.mark.slow
@pytest.mark.needs("shape", "traces for compile")
def test_compiled(specimen: Specimen) -> None:
    """A loss compiled to machine code is the same."""
    if specimen.fitted:
        skip("fitted at once: there is nothing to compile")
    if not any(map(shutil.which, ("g++", "c++", "clang++"))) and not torch.cuda.is_available():
        skip("no C++ compiler here (g++, clang++)")
    _compiled(specimen, backend="inductor")


def _compiled(specimen: Specimen, *, backend: str) -> None:
    """Compare the loss and its gradients with those of the compiled loss."""
    plain = _loss_and_gradients(specimen, None)
    torch.compiler.reset()
    try:
        with torch._dynamo.config.patch(allow_rnn=backend == "eager"):  # no fault of the model's
            traced = _loss_and_gradients(specimen, backend)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        fail(f"the loss is followed in one piece, but compiling it fails ({_reason(error)})")
    except torch._dynamo.exc.TorchDynamoException as error:
        _fail_to_trace(_reason(error))
    finally:
        torch.compiler.reset()
    # The gradient of a bias before batch norm is zero, but for the rounding of larger numbers.
    rounding = _ROUNDING * max(float(value.abs().max()) for value in plain.values())
    for name, value in plain.items():
        scale = float(value.abs().max())
        if not float((value - traced[name]).abs().max()) <= _CLOSE * scale + rounding:
            fail(f"{name} differs between compiled and plain training")


def _fail_to_trace(reason: str) -> NoReturn:
    fail(
        f"torch.compile cannot follow the loss in one piece ({reason}): do not turn tensors into "
        "numbers (item(), int(x), if x > 0, numpy())"
    )


def _reason(told: object) -> str:
    """Return the first line with text of what a compiler tells, which may begin with empty ones."""
    return next((line.strip()[:200] for line in str(told).splitlines() if line.strip()), "")


def _loss_and_gradients(specimen: Specimen, backend: str | None) -> dict[str, Tensor]:
    model = ranks.without_dropout(specimen.make())
    objective: nn.Module = Objective(model, 0.0)
    if backend == "inductor":
        objective = torch.compile(objective, options={"fallback_random": True})  # type: ignore[assignment]
    elif backend is not None:
        objective = torch.compile(objective, backend=backend)  # type: ignore[assignment]
    torch.manual_seed(0)
    loss, _ = objective(specimen.batch(_BATCH))
    loss.backward()
    gradients = {
        f"the gradient of {n}": p.grad for n, p in model.named_parameters() if p.grad is not None
    }
    return {"the loss": loss.detach(), **gradients}
