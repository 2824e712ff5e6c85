"""Reads a NumPy vector that somebody else wrote, without believing its header."""

from __future__ import annotations

import io

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bench.data.tables import LARGEST
from bench.errors import BenchError, first_line

_KINDS = ("<f4", "<f8")


def read_vector(content: bytes, name: str, rows: int | None) -> NDArray[np.float64]:
    """Return the values ``(N,)`` of an .npy file, without unpickling and in no more than its size.

    Args:
        content: The file.
        name: What to call it.
        rows: How many finite values there have to be; None where any number will do.

    Raises:
        BenchError: It is no vector of floating-point numbers, or not of so many.
    """
    file = io.BytesIO(content)
    try:
        if npy.read_magic(file) != (1, 0):
            raise ValueError("a later version of the format")
        shape, _, kind = npy.read_array_header_1_0(file)
    except Exception as error:  # a damaged header raises whatever its parser stumbled over
        raise BenchError(f"its {name} is no NumPy array: {first_line(error)[:100]}.") from None
    rest = content[file.tell() :]
    if kind.str not in _KINDS or len(shape) != 1 or shape[0] * kind.itemsize != len(rest):
        raise BenchError(f"its {name} holds {kind.str[:20]} of shape {shape}, no vector of floats.")
    values = np.frombuffer(rest, dtype=kind).astype(np.float64)
    if rows is not None and len(values) != rows:
        raise BenchError(f"its {name} has {len(values):,} values for {rows:,} test rows.")
    if rows is not None and not (np.abs(values) <= LARGEST).all():
        raise BenchError(f"its {name} holds values that are not finite numbers.")
    return values
