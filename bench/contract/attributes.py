"""The attributes of a model outside of torch's own dictionaries of weights and submodules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

_OF_TORCH = {"_parameters", "_buffers", "_modules", "training"}
_DEPTH = 3  # of lists in dictionaries in lists


def attributes(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield names and values of all attributes of all modules, also in lists and dictionaries."""
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if key not in _OF_TORCH:
                yield from _inside(f"{name}.{key}".strip("."), value, _DEPTH)


def _inside(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    yield name, value
    if depth and isinstance(value, list | tuple | set):
        for item in value:
            yield from _inside(name, item, depth - 1)
    if depth and isinstance(value, dict):
        for item in value.values():
            yield from _inside(name, item, depth - 1)
