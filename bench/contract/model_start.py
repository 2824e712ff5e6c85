"""Checks of a model that is made: what it holds, what it changes, where its tensors are."""

from __future__ import annotations

import copy
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import UninitializedParameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.config import describe
from bench.contract.attributes import attributes
from bench.contract.report import fail, several, skip
from bench.contract.specimen import Specimen, predicted, total_loss
from bench.contract.surroundings import unchanged
from bench.errors import BenchError, first_line
from bench.model import Batch, Model


@pytest.mark.needs("presets and recipes")
def test_builds(specimen: Specimen) -> None:
    """The model is made at its smallest preset, and without memory, as `bench models` does."""
    before = copy.deepcopy(specimen.config)
    with unchanged():
        model = specimen.make()
    if specimen.config != before:
        fail("__init__ changes the settings, so a run stores other ones than the user's: copy them")
    if missing := [n for n in ("config", "positions", "criterion") if not hasattr(model, n)]:
        fail(f"{several(missing)} is not set: begin with super().__init__(config, positions)")
    lazy = [n for n, p in model.named_parameters() if isinstance(p, UninitializedParameter)]
    if lazy:
        fail(f"the shape of {several(lazy)} is not known before the first batch: give all sizes")
    try:
        with torch.device("meta"):
            specimen.model(specimen.config, specimen.loader.transform.positions)
    except (NotImplementedError, RuntimeError) as error:
        fail(
            "__init__ cannot run on the meta device, which has shapes and no values, as `bench "
            f"models` needs it ({first_line(error)}); test weight.is_meta before values"
        )


@pytest.mark.needs("builds", "settings round trip")
def test_settings_in_use(
    specimen: Specimen, record_property: Callable[[str, object], None]
) -> None:
    """A setting without effect is searched and reported in vain."""
    config, read = specimen.config, set[str]()

    def look(self: object, name: str) -> Any:
        read.add(name)
        return object.__getattribute__(self, name)

    with (
        mock.patch.object(type(config), "__getattribute__", look, create=True),
        suppress(Exception),
    ):
        specimen.model.layout(config)
        specimen.model.paper_recipe(config)
        model = specimen.make()
        predicted(model, specimen.batch())
        total_loss(model, specimen.batch())
    kinds = {type(m) for m in specimen.make().modules()} | set(specimen.model.__mro__)
    files = [m for m in {sys.modules.get(k.__module__) for k in kinds} if m and _own(m.__name__)]
    text = "".join(map(inspect.getsource, files))
    idle = [
        row["name"]
        for row in describe(type(config))
        if row["name"] not in read and not re.search(rf"\.{row['name']}\b", text)
    ]
    if idle:
        record_property("measured", f"nothing reads {several(idle)}: use it, or take it out")


def _own(module: str) -> bool:
    return module.partition(".")[0] not in ("torch", "builtins", "typing", "abc")


@pytest.mark.needs("builds")
def test_nothing_outside_the_state_dict(specimen: Specimen) -> None:
    """What is not in the state dict is not trained, not saved and not moved to a GPU."""
    model = specimen.make()
    kept = model.state_dict()
    if lost := [name for name, _ in model.named_parameters() if name not in kept]:
        fail(
            f"state_dict() leaves out {several(lost)}, which no file would hold: do not override it"
        )
    known = {id(part) for part in (*model.modules(), *model.parameters(), *model.buffers())}
    for name, value in attributes(model):
        if id(value) in known:
            continue
        if isinstance(value, nn.Module) and _matters(value):
            fail(f"{name} holds a {type(value).__name__} that is not registered: use nn.ModuleList")
        if isinstance(value, Tensor) and value.requires_grad:
            fail(f"{name} holds a weight that is not registered: use nn.ParameterList")
    if not specimen.fitted:
        before = {n for n, _ in model.named_parameters()}
        loose = _loose(model, specimen.batch())
        if made := [n for n, _ in model.named_parameters() if n not in before]:
            fail(f"forward makes {several(made)}, which no optimizer knows: make it in __init__")
        if loose:
            fail(
                f"the loss depends on weights that the model does not hold, of the shapes "
                f"{several(loose)}: make them in __init__, and assign them to an attribute of self"
            )


def _matters(module: nn.Module) -> bool:
    """Return whether a module has weights, buffers or dropout."""
    held = next(module.parameters(), next(module.buffers(), None)) is not None
    return held or any(isinstance(m, _DropoutNd) for m in module.modules())


def _loose(model: Model, batch: Batch) -> list[str]:
    """Return the shapes of the weights on which the loss depends and that are not the model's."""
    loss = None
    with suppress(Exception):  # other checks tell what is wrong with the loss
        loss = total_loss(model, batch)
    known = {id(parameter) for parameter in model.parameters()}
    ahead, seen, found = [loss.grad_fn if loss is not None else None], set(), []
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        weight = getattr(node, "variable", None)
        if isinstance(weight, Tensor) and weight.is_leaf and id(weight) not in known:
            found.append(str(tuple(weight.shape)))
        ahead += [after for after, _ in node.next_functions]
    return found


@pytest.mark.needs("builds")
def test_shape(specimen: Specimen) -> None:
    """The prediction is one float32 number per row."""
    batch = specimen.batch(8)
    try:
        with unchanged():
            _judge_forward(specimen, batch)
            output = predicted(specimen.ready(), batch)
    except (AssertionError, RuntimeError) as error:
        if any(words in str(error) for words in ("CUDA", "NVIDIA")):
            skip(f"not tried: the model runs on no CPU ({first_line(error)})")
        raise
    if output.shape != (8,):
        fail(f"predictions of 8 rows have the shape {tuple(output.shape)}; return (8,)")
    if output.dtype != torch.float32:
        fail(f"predictions are {output.dtype}; return float32, as by output.float()")


def _judge_forward(specimen: Specimen, batch: Batch) -> None:
    """Fail for an output of forward that is neither predictions nor one vector per row."""
    with torch.no_grad():
        output = specimen.ready()(batch.tokens, **batch.columns)
    if not isinstance(output, Tensor):
        fail(f"forward returns a {type(output).__name__}: return one tensor")
    if specimen.model.expectation is Model.expectation and output.shape == (8, 1):
        fail("forward returns (8, 1) for 8 rows: return (8,), as by squeeze(1)")
    if output.shape[:1] != (8,):
        fail(f"forward returns {tuple(output.shape)} for 8 rows: its first axis must be the rows")


@pytest.mark.needs("builds", "nothing outside the state dict")
def test_device(specimen: Specimen) -> None:
    """Every tensor is made where the input is; seen on the meta device, so no GPU is needed."""
    model = specimen.ready().to("meta")
    batch = _on(specimen.batch(), "meta")
    stay = [n for n, t in model.state_dict().items() if not t.is_meta]
    if stay:
        fail(f"{several(stay)} does not move with model.to(device)")
    try:
        with mock.patch.object(torch, "autocast", _autocast), _OneDevice():  # type: ignore[no-untyped-call]
            where = predicted(model, batch).device
            if where.type != "meta":
                fail(f"predictions are on {where} whatever the input's device: leave out .cpu()")
            if not specimen.fitted:
                total_loss(model.train(), batch)
    except BenchError as error:
        skip(str(error))
    except Exception as error:
        _judge_device(error, specimen.file)
    if torch.cuda.is_available():
        torch.testing.assert_close(
            predicted(specimen.ready().to("cuda"), _on(specimen.batch(), "cuda")).cpu(),
            predicted(specimen.ready(), specimen.batch()),
            rtol=1e-2,
            atol=1e-2,
        )


class _OneDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse operations on the meta device and the CPU together, some of which torch lets pass."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if function is torch.ops.aten._to_copy.default and _to_cpu(args[0], kwargs):
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.ndim]
        here = {t.device.type for t in tensors}
        # Values may be copied, rows chosen and lengths of packed rows told by tensors of the CPU.
        if len(here) > 1 and not any(w in str(function) for w in ("copy", "index", "pack")):
            raise RuntimeError(f"{function} with tensors on two devices, the input's and the CPU")
        return function(*args, **(kwargs or {}))


def _to_cpu(tensor: Tensor, options: Mapping[str, Any]) -> bool:
    return tensor.is_meta and torch.device(options.get("device") or "meta").type == "cpu"


def _autocast(device: str, *args: Any, **options: Any) -> AbstractContextManager[Any]:
    """Return torch.autocast, or an empty context for the meta device, which it refuses."""
    return nullcontext() if device == "meta" else torch.amp.autocast(device, *args, **options)


def _judge_device(error: BaseException, file: Path | None) -> None:
    """Fail for an error of mixed devices; skip for any other, such as a missing value."""
    text = first_line(error)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if file and Path(frame.filename) == file]
    place = f", line {lines[-1]}" if lines else ""
    mixed = ("expected device", "two devices", "same device", "CUDA", "NVIDIA", "copy out of meta")
    if any(words in str(error) for words in (*mixed, "numpy", "meta device")):
        fail(
            f"a tensor is on a fixed device ({text}{place}): make tensors with "
            "device=tokens.device, and constants with register_buffer"
        )
    skip(f"cannot be seen without a GPU: {text[:120]}")


def _on(batch: Batch, device: str) -> Batch:
    columns = {name: values.to(device) for name, values in batch.columns.items()}
    return Batch(batch.tokens.to(device), batch.target.to(device), columns)
