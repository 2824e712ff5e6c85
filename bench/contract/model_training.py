"""Checks of a model in training: it learns, it fits one batch, it predicts in bfloat16."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bench.contract.learning import Learned, learn
from bench.contract.report import fail, skip
from bench.contract.specimen import Specimen, predicted, total_loss
from bench.data.sequences import N

_ROWS = 16
_STEPS, _RATES = 150, (3e-3, 1e-2)
_FIT = 0.8  # correlation with random targets of 16 rows; chance reaches it once in 10,000 times
_ERROR = 0.1  # of the predictions' std,
_SPREAD = 0.5  # which is this at least: after so short a training predictions differ little
_DISTINCT, _FEW = 0.9, 0.4
_LEAST = 0.3  # correlation on new rows; chance reaches it once in 2,000 times


@pytest.fixture(scope="session")
def learner(specimen: Specimen) -> Learned:
    """The model after a short training on the planted motif."""
    return learn(specimen)


@pytest.mark.needs("finite output", "loss reads the target", "gradient reaches every parameter")
def test_overfits_one_batch(specimen: Specimen) -> None:
    """A network that cannot learn a few rows by heart has a mistake in its loss or its sizes."""
    if specimen.fitted:
        skip("fitted at once")
    batch, found = specimen.batch(_ROWS), []
    for rate in _RATES:
        model = specimen.make()
        optimizer = torch.optim.Adam(model.parameters(), rate)
        for step in range(1, _STEPS + 1):
            optimizer.zero_grad()
            total_loss(model, batch).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step % 10 == 0:
                outputs = torch.stack([predicted(model, batch, n) for n in range(4)]).mean(dim=0)
                found.append(_correlation(outputs, batch.target))
                if found[-1] >= _FIT and outputs.min() < 0 < outputs.max():
                    return
    if max(found) >= _FIT:
        fail(
            f"predictions stay between {outputs.min():.2f} and {outputs.max():.2f}, and "
            "standardized targets are on both sides of 0: end with a linear layer, not with "
            "sigmoid, softplus or relu"
        )
    fail(
        f"after {_STEPS} steps on the same {_ROWS} rows the correlation is {max(found):.2f}: "
        f"{_why(specimen)}"
    )


def _why(specimen: Specimen) -> str:
    """Return why a model may not fit a batch."""
    model, batch = specimen.ready(), specimen.batch(_ROWS)
    known = predicted(model, batch)
    other = torch.where(batch.tokens < N, (batch.tokens + 1) % N, batch.tokens)
    if torch.allclose(known, predicted(model, batch._replace(tokens=other))):
        return "other bases do not change the predictions, so forward reads only where bases are"
    turned = batch.tokens.flip(1)
    if torch.allclose(known, predicted(model, batch._replace(tokens=turned)), atol=1e-5):
        return "reversed rows have the same predictions, so forward does not read the order"
    return "something keeps it from fitting, such as a wrong axis, a loss of its own, saturation"


def _correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nan_to_num(torch.corrcoef(torch.stack([one, other]))[0, 1], nan=-1.0))


@pytest.mark.needs(
    "finite output",
    "loss reads the target",
    "gradient reaches every parameter",
    "overfits one batch",
    "batch independence",
)
def test_planted_motif(
    specimen: Specimen, learner: Learned, record_property: Callable[[str, object], None]
) -> None:
    """New rows with more copies of a motif get a higher prediction."""
    if specimen.fitted:  # it may be a floor, such as the length alone
        record_property("measured", f"r {learner.correlation:.2f} with the number of motifs")
        return
    if learner.correlation < _LEAST:
        fail(
            f"after {learner.steps} steps the correlation with the number of planted motifs is "
            f"{learner.correlation:.2f} on new rows; it should exceed {_LEAST}: the smoke preset "
            "is too small, its learning rate too low, or the model learns rows by heart"
        )


@pytest.mark.needs("shape", "deterministic under a seed", "planted motif")
def test_bfloat16(specimen: Specimen, learner: Learned) -> None:
    """GPUs compute in bfloat16, whose 8 bits must not be the digits of a prediction."""
    model, batch = learner.model, specimen.validation()
    exact = predicted(model, batch)
    rows, of = len(torch.unique(batch.tokens, dim=0)), torch.unique(exact).numel()
    if exact.equal(exact.bfloat16().float()) and of > _FEW * rows:
        fail(
            "predictions are rounded to bfloat16, which has 8 binary digits, in float32, too: "
            "compute the last layer in float32"
        )
    if of < _DISTINCT * rows and not specimen.fitted:
        fail(
            f"{rows} different rows have {of} different predictions: do not round them, and take "
            "the mean of classes, not the likeliest one"
        )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = predicted(model, batch).float()
    scale = exact.std().clamp(min=_SPREAD)
    error = ((rounded - exact).square().mean().sqrt() / scale).item()
    if not error <= _ERROR:
        fail(
            f"bfloat16 changes predictions by {error:.0%} of their std: compute large sums, "
            "exponentials and norms in float32 (x.float() under autocast(enabled=False))"
        )
    values = torch.unique(rounded).numel()
    if values < _DISTINCT * of:
        fail(
            f"in bfloat16 {of} different predictions become {values}: compute the last mean and "
            "layer in float32, under torch.autocast(x.device.type, enabled=False) with x.float()"
        )
