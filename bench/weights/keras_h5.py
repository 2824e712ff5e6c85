"""Weights in an HDF5 file that Keras wrote. Only numbers are read; no layer is made of the file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.atomic import open_regular
from bench.errors import BenchError, argument, first_line
from bench.extras import needed


def read_h5(path: Path, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Return arrays of an HDF5 file by name, such as "model_weights/dense/dense/kernel:0".

    Raises:
        BenchError: The file cannot be read, is damaged or of another format, or has no such arrays.
    """
    needed("h5py", extra="weights", what="a weights file of Keras")
    import h5py

    try:
        open_regular(path).close()
        with h5py.File(path, "r") as file:
            size = path.stat().st_size
            return {name: _array(file, name, size, path) for name in names}
    except OSError as error:
        reason = error.strerror or f"not a whole HDF5 file ({first_line(error)[:120]})"
        raise BenchError(f"{argument('weights')} {path}: {reason}.") from None
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise BenchError(
            f"{argument('weights')} {path} is damaged: {first_line(error)[:160]}."
        ) from None


def _array(file: Any, name: str, size: int, path: Path) -> NDArray[np.float32]:
    """Return one array; ``size`` is that of the file in bytes.

    HDF5 can keep numbers in other files and can promise more numbers than there are. Keras does
    neither, so such arrays are refused.
    """
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise BenchError(f"{argument('weights')} {path} has no array {name}.")
    elsewhere = found.external or found.is_virtual or found.file.filename != file.filename
    if elsewhere or found.dtype.kind != "f" or found.nbytes > size:
        raise BenchError(
            f"{argument('weights')} {path}: {name} is not a plain array of floating-point numbers."
        )
    return np.asarray(found[()], dtype=np.float32)
