"""Weights in a safetensors file, as bench itself writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.atomic import open_regular
from bench.errors import BenchError, argument, first_line


class Tensors(NamedTuple):
    """The content of a safetensors file: tensors by name, and texts by name."""

    tensors: Mapping[str, Tensor]
    texts: Mapping[str, str]


def read_safetensors(path: Path) -> Tensors:
    """Return the content of a safetensors file.

    Raises:
        BenchError: The file cannot be read, or is damaged or of another format.
    """
    try:
        open_regular(path).close()
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return Tensors({name: file.get_tensor(name) for name in names}, file.metadata() or {})
    except OSError as error:
        raise BenchError(
            f"{argument('weights')} {path}: {error.strerror or first_line(error)}."
        ) from None
    except (SafetensorError, ValueError) as error:
        reason = first_line(error)[:200]
        raise BenchError(
            f"{argument('weights')} {path} is not a whole safetensors file: {reason}."
        ) from None
