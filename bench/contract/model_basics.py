"""Checks of a model: shapes, lengths, numbers, what it does with its input."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.contract.report import explained, fail, several, skip
from bench.contract.specimen import (
    LENGTH,
    Specimen,
    chosen,
    planted,
    predicted,
    taken,
    total_loss,
    with_columns,
)
from bench.data.dataset import Dataset
from bench.data.sequences import N
from bench.errors import BenchError
from bench.metrics import pearson
from bench.model import Batch

_LENGTHS, _LONG = (47, 301), (1023,)
_NOT_FLOAT32 = {
    torch.float64: "use float32",
    torch.float16: "use float32; a run's precision is a field of the recipe",
}
_GIVEN_AWAY = 0.9


@pytest.mark.needs("shape")
def test_float32_inside(specimen: Specimen) -> None:
    """Float64 is 30 times slower on most GPUs and missing on others."""
    if specimen.fitted:
        skip("fitted at once: exact sums take no time")
    found: dict[torch.dtype, list[str]] = {}

    class Looks(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.dtype in _NOT_FLOAT32:
                found.setdefault(result.dtype, []).append(getattr(function, "__name__", ""))
            return result

    model, batch = specimen.ready(), specimen.batch()
    with torch.no_grad(), Looks():
        model(batch.tokens, **batch.columns)
    wide = [n for n, t in model.state_dict().items() if t.dtype == torch.float64]
    if wide:
        fail(f"{several(wide)} is float64: use float32")
    for kind, names in found.items():
        by = several(list(dict.fromkeys(names)))
        fail(f"forward computes in {kind} ({by}): {_NOT_FLOAT32[kind]}")


@pytest.mark.needs("shape")
def test_prints_nothing(specimen: Specimen) -> None:
    """Output of a command is read by other programs."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        model = specimen.ready()
        predicted(model, specimen.batch())
        if not specimen.fitted:
            total_loss(model.train(), specimen.batch())
    if out.getvalue():
        fail(f"the model prints {out.getvalue().splitlines()[0][:60]!r}: remove the print")


@pytest.mark.needs("shape")
def test_finite_output(specimen: Specimen) -> None:
    """Predictions of random rows, poly-A and poly-T are finite, and so is the loss."""
    model, batch = specimen.ready(), specimen.batch(32)
    batch.tokens[0], batch.tokens[1] = 0, 3
    _finite(specimen, batch, "random rows, poly-A and poly-T", "look for exp, log and division")
    if not predicted(model, specimen.validation()).isfinite().all():
        fail(
            "predictions of validation rows are NaN or infinite: their targets are NaN, so "
            "input_columns must not need them"
        )
    if torch.unique(predicted(model, batch)).numel() == 1 and not specimen.fitted:
        other = predicted(specimen.make(seed=1).eval(), batch)
        if torch.unique(other).numel() == 1:
            fail(
                "all rows have the same prediction: forward does not read its tokens, or a layer "
                "is dead or saturated"
            )


@pytest.mark.needs("shape", "finite output")
def test_rows_of_N_only(specimen: Specimen) -> None:  # noqa: N802
    """A row may have nothing but N, alone and among others."""
    batch = specimen.batch(8)
    batch.tokens[3:6] = N
    _finite(specimen, batch, "rows of N", "no base is counted, or all are masked")
    batch.tokens[:] = N
    _finite(
        specimen,
        batch,
        "a batch of N",
        "such rows among others are not, so look for a norm over dim 0",
    )


def _finite(specimen: Specimen, batch: Batch, what: str, hint: str = "") -> None:
    if not predicted(specimen.ready(), chosen(batch, slice(None))).isfinite().all():
        fail(f"predictions of {what} are NaN or infinite: {hint}")
    if specimen.fitted:
        return
    model = specimen.make()
    loss = total_loss(model, chosen(batch, slice(None)))
    if not loss.isfinite():
        fail(f"the loss of {what} is {loss.item()}: {hint}")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
    if wrong := [n for n, gradient in gradients if not gradient.isfinite().all()]:
        fail(f"the gradient of {several(wrong)} is NaN or infinite for {what}: {hint}")


@pytest.mark.needs("shape", "finite output")
def test_odd_batch_sizes(specimen: Specimen) -> None:
    """The last batch has any number of rows, also one."""
    model = specimen.ready()
    for rows in (1, 2, 3, 7, 33):
        try:
            shape = tuple(predicted(model, specimen.batch(rows)).shape)
        except BenchError:  # of Model.expectation
            shape = ()
        except Exception as error:
            fail(f"a batch of {rows} fails: {explained(error, specimen.file)}")
        if shape != (rows,):
            fail(
                f"a batch of {rows} gives predictions of shape {shape}, not ({rows},): "
                "squeeze(1) in place of squeeze() keeps a single row"
            )
    if not specimen.fitted:
        total_loss(specimen.make(), specimen.batch(3))


@pytest.mark.needs("shape", "finite output")
def test_odd_lengths(specimen: Specimen) -> None:
    """Other tasks have other lengths, and rows are shorter and longer than usual."""
    for length in (*_LENGTHS, *(_LONG if specimen.full else ())):
        try:
            loader = specimen.loader_of(_with_odd_rows(specimen, length))
            model = specimen.ready(loader)
        except BenchError:
            continue  # the model says that it does not take this length
        try:
            outputs = predicted(model, taken(loader.test(), 4))
        except Exception as error:
            fail(
                f"rows of {length} nt fail: {explained(error, specimen.file)}. Take sizes from "
                "__init__'s positions; it refuses a length by raise BenchError(…)"
            )
        if outputs.shape != (4,):
            fail(f"rows of {length} nt give predictions of shape {tuple(outputs.shape)}")
        if not outputs.isfinite().all():
            fail(f"predictions of rows of {length} nt are NaN or infinite")


def _with_odd_rows(specimen: Specimen, length: int) -> Dataset:
    """Return a data set of this usual length whose test rows have 1 to twice as many nt."""
    whole = planted(specimen.model.columns, length=length)
    random = np.random.default_rng(length)
    odd = ["".join(random.choice(list("ACGT"), n)) for n in (1, length - 1, length, 2 * length)]
    columns = {name: values[:4] for name, values in whole.test.columns.items()}
    return Dataset(
        train=whole.train,
        validation=whole.validation,
        test=with_columns(odd, np.zeros(4), columns),  # type: ignore[arg-type]
        usual_length=length,
        flanks=whole.flanks if length > LENGTH else (0, 0),
    )


@pytest.mark.needs("shape")
def test_input_unchanged(specimen: Specimen) -> None:
    """The rows stay on the device for all epochs, so nothing may change them in place."""
    for mode in ("evaluation", "training"):
        model, batch = specimen.ready(), _extreme(specimen)
        before, versions = _extreme(specimen), {n: t._version for n, t in _parts(batch).items()}
        if mode == "evaluation":
            predicted(model, batch)
        elif not specimen.fitted:
            total_loss(model.train(), batch)
        after = _parts(batch)
        if gone := [name for name in versions if name not in after]:
            fail(f"the model takes {several(gone)} out of batch.columns: other code reads it, too")
        changed = [
            name
            for name, old in _parts(before).items()
            if after[name]._version != versions[name] or not after[name].equal(old)
        ]
        if changed:
            fail(f"in {mode} the model changes {several(changed)} in place: use x.clone() first")


def _extreme(specimen: Specimen) -> Batch:
    """Return rows with N and with targets far from the mean."""
    batch = specimen.batch(16)
    batch.tokens[2, 1], batch.target[:8] = N, 3 * batch.target[:8]
    return batch


def _parts(batch: Batch) -> dict[str, Tensor]:
    return {"tokens": batch.tokens, "target": batch.target, **batch.columns}


@pytest.mark.needs("builds")
def test_columns_know_no_target(specimen: Specimen) -> None:
    """A column derived from the target is known for training rows only, so it says too much."""
    rows = planted(specimen.model.columns).train
    unknown = replace(rows, target=np.full(len(rows), np.nan))
    blind = specimen.model.input_columns(specimen.config, unknown)
    for name, values in specimen.model.input_columns(specimen.config, rows).items():
        if np.array_equal(values, blind[name]) or not np.isfinite(blind[name]).all():
            continue  # 'finite output' tells the latter
        for part in values.reshape(len(rows), -1).T.astype(float):
            if abs(pearson(part, rows.target)) > _GIVEN_AWAY:
                fail(
                    f"the column '{name}' gives the target away, which is NaN for rows to predict: "
                    "derive it from sequences and other columns"
                )
