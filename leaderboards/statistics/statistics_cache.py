"""Keeps sketches on disk, so that a leaderboard grown by one run sums that run alone."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.atomic import whole_file
from bench.errors import BenchError
from bench.leaderboards.statistics.sufficient_statistics import (
    ResamplingPlan,
    SufficientStatistics,
    make_statistics,
)


def cached_statistics(
    folder: Path, design: ResamplingPlan, predictions: NDArray[np.floating]
) -> SufficientStatistics:
    """Return a run's sketch, from its file if there is one, else made and filed.

    Files are named after the content of predictions and design, so none goes stale; one that is
    damaged is written anew.

    Args:
        folder: Where files lie; made if need be.
        design: What the runs have in common.
        predictions: ``(N,)`` in the order of the test rows.

    Raises:
        BenchError: Not one prediction a test row, or the folder cannot be written.
    """
    values = np.ascontiguousarray(predictions)
    digest = hashlib.blake2b(design.fingerprint.encode(), digest_size=16)
    digest.update(values.data)
    path = folder / f"{digest.hexdigest()}.npz"
    found = _read(path, design)
    if found is None:
        found = make_statistics(design, values)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(path, design, found)
        except OSError as error:
            raise BenchError(
                f"cannot write sketches to {folder}: {error.strerror}. "
                "Name another folder by BENCH_CACHE."
            ) from None
    return found


def _read(path: Path, design: ResamplingPlan) -> SufficientStatistics | None:
    shapes = [(len(subset.groups), design.columns) for subset in design.subsets.values()]
    try:
        content = io.BytesIO(path.read_bytes())  # a path would stay open where it is damaged
        with np.load(content, allow_pickle=False) as file:
            sums = [file[f"{place}"] for place in range(len(shapes))]
            points, problem = file["points"].tolist(), str(file["problem"])
            scales = file["scales"].tolist()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    assert [array.shape for array in sums] == shapes, (path, shapes)
    return SufficientStatistics(
        dict(zip(design.subsets, sums, strict=True)),
        {name: (mean, std) for name, (mean, std) in zip(design.subsets, scales, strict=True)},
        dict(zip(design.names, points, strict=True)),
        problem,
    )


def _write(path: Path, design: ResamplingPlan, sketch: SufficientStatistics) -> None:
    arrays = {f"{place}": sketch.sums[name] for place, name in enumerate(design.subsets)}
    arrays["scales"] = np.array([sketch.scales[name] for name in design.subsets])
    arrays["points"] = np.array([sketch.points[name] for name in design.names])
    with whole_file(path) as file:
        np.savez(file, problem=np.array(sketch.problem), **arrays)  # type: ignore[arg-type]
