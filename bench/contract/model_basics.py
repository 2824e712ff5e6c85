"""Checks of a model: shapes, lengths, devices, what it does with its input."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from bench.contract.attributes import attributes
from bench.contract.report import fail, several, skip
from bench.contract.specimen import (
    LENGTH,
    Specimen,
    planted,
    predicted,
    taken,
    total_loss,
    with_columns,
)
from bench.data.dataset import Dataset
from bench.data.sequences import N
from bench.errors import BenchError
from bench.model import Batch

_LENGTHS, _LONG = (47, 301), (1023,)


def test_builds(specimen: Specimen) -> None:
    """The model is made at its smallest preset, and without memory, as `bench models` does."""
    specimen.make()
    try:
        with torch.device("meta"):
            specimen.model(specimen.config, specimen.loader.transform.positions)
    except (NotImplementedError, RuntimeError) as error:
        fail(
            "__init__ cannot run on the meta device, which has shapes and no values, as `bench "
            f"models` needs it ({str(error).splitlines()[0]}); test weight.is_meta before values"
        )


@pytest.mark.needs("builds")
def test_nothing_outside_the_state_dict(specimen: Specimen) -> None:
    """What is not in the state dict is not trained, not saved and not moved to a GPU."""
    model = specimen.make()
    known = {id(part) for part in (*model.modules(), *model.parameters(), *model.buffers())}
    for name, value in attributes(model):
        if id(value) in known:
            continue
        if isinstance(value, nn.Module):
            fail(f"{name} holds a {type(value).__name__} that is not registered: use nn.ModuleList")
        if isinstance(value, torch.Tensor) and value.requires_grad:
            fail(f"{name} holds a weight that is not registered: use nn.ParameterList")


@pytest.mark.needs("builds", "nothing outside the state dict")
def test_device(specimen: Specimen) -> None:
    """Every tensor is made where the input is; seen on the meta device, so no GPU is needed."""
    model = specimen.ready().to("meta")
    batch = _on(specimen.batch(), "meta")
    stay = [n for n, t in model.state_dict().items() if not t.is_meta]
    if stay:
        fail(f"{several(stay)} does not move with model.to(device)")
    try:
        with mock.patch.object(torch, "autocast", _autocast):
            predicted(model, batch)
            if not specimen.fitted:
                total_loss(model.train(), batch)
    except BenchError as error:
        skip(str(error))
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        _judge_device(error)
    if torch.cuda.is_available():
        torch.testing.assert_close(
            predicted(specimen.ready().to("cuda"), _on(specimen.batch(), "cuda")).cpu(),
            predicted(specimen.ready(), specimen.batch()),
            rtol=1e-2,
            atol=1e-2,
        )


def _autocast(device: str, *args: Any, **options: Any) -> AbstractContextManager[Any]:
    """Return torch.autocast, or an empty context for the meta device, which it refuses."""
    return nullcontext() if device == "meta" else torch.amp.autocast(device, *args, **options)


def _judge_device(error: BaseException) -> None:
    """Fail for an error of mixed devices; skip for an operation that needs values."""
    text = str(error)
    mixed = ("expected device", "two devices", "same device", "CUDA", "NVIDIA", "copy out of meta")
    if any(words in text for words in mixed) or isinstance(error, TypeError):
        fail(
            f"a tensor is on a fixed device ({text.splitlines()[0]}): make tensors with "
            "device=tokens.device, and constants with register_buffer"
        )
    skip(f"cannot be seen without a GPU: {text.splitlines()[0][:120]}")


def _on(batch: Batch, device: str) -> Batch:
    columns = {name: values.to(device) for name, values in batch.columns.items()}
    return Batch(batch.tokens.to(device), batch.target.to(device), columns)


@pytest.mark.needs("builds")
def test_shape(specimen: Specimen) -> None:
    """The prediction is one float32 number per row."""
    batch = specimen.batch(8)
    try:
        output = predicted(specimen.ready(), batch)
    except (AssertionError, RuntimeError) as error:
        if any(words in str(error) for words in ("CUDA", "NVIDIA")):
            skip(f"not tried: the model runs on no CPU ({str(error).splitlines()[0]})")
        raise
    if output.shape != (8,):
        fail(f"predictions of 8 rows have the shape {tuple(output.shape)}; return (8,)")
    if output.dtype != torch.float32:
        fail(f"predictions are {output.dtype}; return float32, as by output.float()")


@pytest.mark.needs("shape")
def test_float32_inside(specimen: Specimen) -> None:
    """Float64 is 30 times slower on most GPUs and missing on others."""
    if specimen.fitted:
        skip("fitted at once: exact sums take no time")
    found: list[str] = []

    class Looks(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
                found.append(getattr(function, "__name__", str(function)))
            return result

    model, batch = specimen.ready(), specimen.batch()
    with torch.no_grad(), Looks():
        model(batch.tokens, **batch.columns)
    wide = [n for n, t in model.state_dict().items() if t.dtype == torch.float64]
    if wide:
        fail(f"{several(wide)} is float64: use float32")
    if found:
        fail(f"forward computes in float64 ({several(list(dict.fromkeys(found)))}): use float32")


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
    _finite(specimen, batch, "random rows, poly-A and poly-T")
    if not predicted(model, specimen.validation()).isfinite().all():
        fail(
            "predictions of validation rows are NaN or infinite: their targets are NaN, so "
            "input_columns must not need them"
        )
    if torch.unique(predicted(model, batch)).numel() == 1 and not specimen.fitted:
        other = predicted(specimen.make(seed=1).eval(), batch)
        if torch.unique(other).numel() == 1:
            fail("all rows have the same prediction: forward does not read its tokens")


@pytest.mark.needs("shape", "finite output")
def test_rows_of_N_only(specimen: Specimen) -> None:  # noqa: N802
    """A row may have nothing but N, alone and among others."""
    batch = specimen.batch(8)
    batch.tokens[3:6] = N
    _finite(specimen, batch, "rows of N")
    batch.tokens[:] = N
    _finite(specimen, batch, "a batch of N")


def _finite(specimen: Specimen, batch: Batch, what: str) -> None:
    if not predicted(specimen.ready(), batch).isfinite().all():
        fail(f"predictions of {what} are NaN or infinite")
    if specimen.fitted:
        return
    model = specimen.make()
    loss = total_loss(model, batch)
    if not loss.isfinite():
        fail(f"the loss of {what} is {loss.item()}")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
    if wrong := [n for n, gradient in gradients if not gradient.isfinite().all()]:
        fail(f"the gradient of {several(wrong)} is NaN or infinite for {what}")


@pytest.mark.needs("shape")
def test_odd_batch_sizes(specimen: Specimen) -> None:
    """The last batch has any number of rows, also one."""
    model = specimen.ready()
    for rows in (1, 2, 3, 7, 33):
        try:
            shape = tuple(predicted(model, specimen.batch(rows)).shape)
        except BenchError:  # of Model.expectation
            shape = ()
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
        outputs = predicted(model, taken(loader.test(), 4))
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
    model, batch, before = specimen.ready(), specimen.batch(), specimen.batch()
    predicted(model, batch)
    if not specimen.fitted:
        total_loss(model.train(), batch)
    changed = [n for n, values in before.columns.items() if not batch.columns[n].equal(values)]
    changed += [n for n in ("tokens", "target") if not getattr(batch, n).equal(getattr(before, n))]
    if changed:
        fail(f"the model changes {several(changed)} in place: work on a copy, x.clone()")
