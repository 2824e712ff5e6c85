"""Reader for NumPy vectors from untrusted files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bench.data.tables import LARGEST
from bench.errors import BenchError, first_line

_KINDS = ("<f4", "<f8")


def read_vector(content: bytes, name: str, rows: int | None) -> NDArray[np.float64]:
    """Return the values ``(N,)`` of an .npy file, without unpickling.

    Args:
        content: Bytes of the file.
        name: Name of the file in messages.
        rows: Required number of values, which must be finite; None for any number of any values.

    Raises:
        BenchError: The file is not a vector of floating-point numbers, or has another length.
    """
    values = stored_vector(content, name, rows).astype(np.float64)
    if rows is not None and not (np.abs(values) <= LARGEST).all():
        raise BenchError(f"its {name} holds values that are not finite numbers.")
    return values


def stored_vector(content: bytes, name: str, rows: int | None) -> NDArray[np.floating[Any]]:
    """Return the values ``(N,)`` of an .npy file in its own type, finite or not.

    The header is checked against the file's size before memory is allocated. The arguments and the
    error are those of :func:`read_vector`.
    """
    file = io.BytesIO(content)
    try:
        if npy.read_magic(file) != (1, 0):
            raise ValueError("a later version of the format")
        shape, _, kind = npy.read_array_header_1_0(file)
    except Exception as error:  # a damaged header may raise any error
        raise BenchError(f"its {name} is not a NumPy array: {first_line(error)[:100]}.") from None
    rest = content[file.tell() :]
    if kind.str not in _KINDS or len(shape) != 1 or shape[0] * kind.itemsize != len(rest):
        raise BenchError(
            f"its {name} holds {kind.str[:20]} of shape {str(shape)[:60]}, not a vector of floats."
        )
    values: NDArray[np.floating[Any]] = np.frombuffer(rest, dtype=kind)
    if rows is not None and len(values) != rows:
        raise BenchError(f"its {name} has {len(values):,} values for {rows:,} test rows.")
    return values
