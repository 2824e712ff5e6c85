"""What a model keeps outside of torch's own dictionaries of weights and submodules."""

from __future__ import annotations

import functools
import inspect
import sys
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from bench.model import Model

_OF_TORCH = {"_parameters", "_buffers", "_modules", "training"}
_DEPTH, _SHALLOW = 5, 2  # of lists in dictionaries in objects in lists
_WHOLE = (nn.Module, Tensor, type, ModuleType)
_LIBRARIES = {"torch", "numpy", "bench"} | sys.stdlib_module_names


def attributes(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield names and values of all attributes of all modules, and of all that these hold.

    Lists, dictionaries, closures and plain objects are looked into.
    """
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if key not in _OF_TORCH:
                yield from _inside(f"{name}.{key}".strip("."), value, _DEPTH)


def _shared(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield names and values that all models of a class share: of the class and of its file."""
    kinds = type(model).__mro__
    for kind in kinds[: kinds.index(Model)]:
        for key, value in vars(kind).items():
            if not (key.startswith("__") or inspect.isroutine(value)):
                yield from _inside(f"{kind.__name__}.{key}", value, _SHALLOW)
    file = sys.modules.get(type(model).__module__)
    for key, value in vars(file).items() if file else ():
        if not (key.startswith("__") or inspect.isroutine(value)):
            yield from _inside(f"the global {key}", value, _SHALLOW)


def unsaved(model: nn.Module) -> dict[str, Any]:
    """Return copies of what a model remembers and its state dict does not hold, by name."""
    saved = {id(t) for t in model.state_dict(keep_vars=True).values()}
    buffers = [(n, buffer) for n, buffer in model.named_buffers() if id(buffer) not in saved]
    found = {
        name: _copied(value)
        for name, value in (*buffers, *attributes(model), *_shared(model))
        if id(value) not in saved
    }
    return {name: value for name, value in found.items() if value is not None}


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names of what differs between two results of :func:`unsaved`."""
    return [name for name, value in after.items() if not _same(value, before.get(name))]


def _inside(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    yield name, value
    if depth and not isinstance(value, _WHOLE):
        for key, part in _parts(value):
            yield from _inside(f"{name}{key}", part, depth - 1)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value holds, each with the text that follows the value's name."""
    if isinstance(value, list | tuple | set | frozenset | deque):
        yield from ((f"[{place}]", item) for place, item in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, functools.partial):
        yield from _parts((value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, MethodType):
        yield "", value.__self__
    elif isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        yield from ((f" ({key})", cell.cell_contents) for key, cell in cells if _full(cell))
    elif type(value).__module__.partition(".")[0] not in _LIBRARIES:
        yield from ((f".{key}", item) for key, item in getattr(value, "__dict__", {}).items())


def _full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # of a variable that is not set yet
        return False


def _copied(value: Any) -> Any:
    """Return a copy of what a value remembers, to be compared later; None if it is no state."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return None if value.is_meta else value.detach().clone()
    if isinstance(value, torch.Generator):
        return value.get_state()
    for state in ("getstate", "bit_generator"):  # of random.Random, of NumPy's generators
        if hasattr(value, state) and not isinstance(value, _WHOLE):
            return repr(value.getstate() if state == "getstate" else value.bit_generator.state)
    return None


def _same(one: Any, other: Any) -> bool:
    """Return whether two copies of what a model remembers are equal."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return bool(type(one) is type(other) and one == other)
