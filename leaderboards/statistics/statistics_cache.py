"""Cache of sufficient statistics on disk: for a new run, only that run is summed."""

from __future__ import annotations

import hashlib
import io
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
    folder: Path, plan: ResamplingPlan, predictions: NDArray[np.floating]
) -> SufficientStatistics:
    """Return the sufficient statistics of a run, from a file or computed and then written.

    The name of a file is a hash of the predictions and the resampling plan, so no file becomes
    outdated; a damaged file is written again.

    Args:
        folder: Folder of the files; created if it does not exist.
        plan: Resampling plan that the runs share.
        predictions: Predictions ``(N,)`` in the order of the test rows.

    Raises:
        BenchError: The predictions do not match the test rows, or the folder cannot be written.
    """
    values = np.ascontiguousarray(predictions)
    digest = hashlib.blake2b(plan.fingerprint.encode(), digest_size=16)
    digest.update(values.data)
    path = folder / f"{digest.hexdigest()}.npz"
    found = _read(path, plan)
    if found is None:
        found = make_statistics(plan, values)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(path, plan, found)
        except OSError as error:
            raise BenchError(
                f"cannot write sufficient statistics to {folder}: {error.strerror}. "
                "Name another folder by BENCH_CACHE."
            ) from None
    return found


def _read(path: Path, plan: ResamplingPlan) -> SufficientStatistics | None:
    shapes = [(len(subset.groups), plan.columns) for subset in plan.subsets.values()]
    try:
        content = io.BytesIO(
            path.read_bytes()
        )  # np.load on the path of a damaged file would leave the file open
        with np.load(content, allow_pickle=False) as file:
            sums = [file[f"{place}"] for place in range(len(shapes))]
            points, problem = file["points"].tolist(), str(file["problem"])
            scales = file["scales"].tolist()
    except Exception:  # NumPy's parser raises many types for a damaged header
        return None
    if [array.shape for array in sums] != shapes:
        return None
    return SufficientStatistics(
        dict(zip(plan.subsets, sums, strict=True)),
        {name: (mean, std) for name, (mean, std) in zip(plan.subsets, scales, strict=True)},
        dict(zip(plan.names, points, strict=True)),
        problem,
    )


def _write(path: Path, plan: ResamplingPlan, statistics: SufficientStatistics) -> None:
    arrays = {f"{place}": statistics.sums[name] for place, name in enumerate(plan.subsets)}
    arrays["scales"] = np.array([statistics.scales[name] for name in plan.subsets])
    arrays["points"] = np.array([statistics.points[name] for name in plan.names])
    with whole_file(path) as file:
        np.savez(file, problem=np.array(statistics.problem), **arrays)  # type: ignore[arg-type]
