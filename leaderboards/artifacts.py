"""Reads the files of runs: predictions one by one, and only for runs that rank.

A file of a server is fetched once and kept in the cache. A shared store may hold anything in the
place of a file, so the header is checked before values are read.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import NDArray

from bench.atomic import read_plain, scratch_folder
from bench.data.vectors import stored_vector
from bench.errors import BenchError, first_line
from bench.leaderboards.entries import Entry
from bench.paths import cache_dir
from bench.results.run_folder import PREDICTIONS

_HEADER = 1 << 16  # bytes before the values of an .npy file; NumPy writes 128


def stored_predictions(entry: Entry, rows: int) -> NDArray[np.floating[Any]]:
    """Read a run's predictions of the test rows, ``(N,)``; they need not be finite.

    Args:
        entry: Run.
        rows: Number of test rows, which bounds the size of the file that is read.

    Raises:
        BenchError: They are not there, or not one number for each test row.
    """
    try:
        content = read_artifact(entry, PREDICTIONS, 8 * rows + _HEADER)
        return stored_vector(content, PREDICTIONS, rows)
    except BenchError as error:
        raise error.wrapped(f"{entry.id} has no predictions to rank: ") from None


def read_artifact(entry: Entry, name: str, most: int = 1 << 26) -> bytes:
    """Return the content of a run's file, which is fetched first if it is a server's.

    Args:
        entry: Run.
        name: Name of the file.
        most: Largest size of the file in bytes.

    Raises:
        BenchError: The file is missing, is not a regular file, is larger, or lies elsewhere than
            the files of the run's experiment.
    """
    place = urlparse(entry.artifacts)
    if not entry.artifacts:
        raise BenchError(f"the files of {entry.id} lie outside those of its experiment.")
    if place.scheme in ("", "file"):
        return read_plain(Path(unquote(place.path)) / name, most)
    return read_plain(_fetched(entry, name, most), most)


def _fetched(entry: Entry, name: str, most: int) -> Path:
    """Fetch a server's file once."""
    path = cache_dir() / "artifacts" / entry.run / name
    if path.is_file():
        return path
    from mlflow import MlflowException
    from mlflow.artifacts import download_artifacts, list_artifacts

    address = f"{entry.artifacts}/{name}"
    try:
        listed = list_artifacts(entry.artifacts)
        sizes = {PurePosixPath(file.path).name: file.file_size for file in listed}
        size = sizes.get(name)  # None for a folder
        if size is None or size > most:
            what = "no such file" if size is None else f"{size:,} bytes, {most:,} are the most"
            raise BenchError(f"{address}: {what}.")
        with scratch_folder(path.parent) as fresh:
            Path(download_artifacts(artifact_uri=address, dst_path=str(fresh))).replace(path)
    except (MlflowException, OSError) as error:
        raise BenchError(f"{address} cannot be fetched: {first_line(error)}.") from None
    return path
