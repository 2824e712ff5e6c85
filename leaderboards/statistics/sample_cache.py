"""Cache of resampled scores on disk: for a new run on a leaderboard, only that run is resampled.

The name of a file is a hash of everything that its content depends on, so no file becomes outdated;
a damaged file is written again.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.atomic import whole_file
from bench.errors import BenchError
from bench.leaderboards.statistics.bootstrap import (
    BootstrapSamples,
    Combine,
    few_clusters,
    resample,
)
from bench.leaderboards.statistics.statistics_cache import cached_statistics
from bench.leaderboards.statistics.sufficient_statistics import ResamplingPlan, SufficientStatistics

RunSamples = tuple[float, str, NDArray[np.floating[Any]]]
"""The score of a run, the reason for a missing score, and the score in resamples."""

VERSION = 1
"""Version of the resampling; files of another version are not used."""


def cached_samples(
    cache: Path,
    plan: ResamplingPlan,
    predictions: Iterable[tuple[str, NDArray[np.floating[Any]]]],
    *,
    score: str,
    scored: str,
    combine: Combine,
    resamples: int,
) -> BootstrapSamples:
    """Return one score of every run in resamples, from files where they exist.

    Resamples of a run may differ by rounding, with the other runs that were resampled together.

    Args:
        cache: Folder of the cache.
        plan: Resampling plan that the runs share.
        predictions: Names of runs, and their predictions of the test rows ``(N,)``.
        score: Name of the score.
        scored: Name and version of the task that ``combine`` belongs to.
        combine: Function that computes overall scores from the subsets' metrics.
        resamples: Number of resamples.

    Raises:
        BenchError: The predictions of a run do not match the test rows, the score does not exist,
            or the folder cannot be written.
    """
    key = f"{VERSION} {plan.fingerprint} {scored} {score} {resamples}"
    files: dict[str, Path] = {}
    known: dict[str, RunSamples] = {}
    missing: dict[str, SufficientStatistics] = {}
    for run, values in predictions:
        files[run] = cache / "draws" / _name(key, values)
        found = _read(files[run], resamples)
        if found is None:
            missing[run] = cached_statistics(cache / "sketches", plan, values)
        else:
            known[run] = found
    if missing:
        made = resample(plan, missing, scores=(score,), combine=combine, resamples=resamples)
        for run, drawn in _by_run(made, score).items():
            _write(files[run], *drawn)
            known[run] = drawn
    return BootstrapSamples(
        tuple(files),
        {score: np.array([known[run][0] for run in files])},
        {score: np.stack([known[run][2] for run in files]).T},
        {run: known[run][1] for run in files if known[run][1]},
        tuple(few_clusters(plan)),
    )


def _by_run(resampled: BootstrapSamples, score: str) -> dict[str, RunSamples]:
    points, samples = resampled.points[score].tolist(), resampled.samples[score].T
    return {
        run: (point, resampled.problems.get(run, ""), drawn)
        for run, point, drawn in zip(resampled.runs, points, samples, strict=True)
    }


def _name(key: str, predictions: NDArray[np.floating[Any]]) -> str:
    values = np.ascontiguousarray(predictions)
    digest = hashlib.blake2b(f"{key} {values.dtype} {values.shape}".encode(), digest_size=16)
    digest.update(values.data)
    return f"{digest.hexdigest()}.draws"


def _read(path: Path, resamples: int) -> RunSamples | None:
    """Return the content of a file; None for a missing or damaged one.

    A file is a line of JSON with a checksum, and the raw numbers: read in a tenth of the time of a
    .npz file.
    """
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        point, problem, checksum = json.loads(head)
        samples = np.frombuffer(body, dtype=np.float32)
        if checksum != _checksum(point, problem, body):
            return None
    except (OSError, ValueError, TypeError):
        return None
    return (float(point), str(problem), samples) if len(samples) == resamples else None


def _checksum(point: float, problem: str, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(json.dumps([point, problem]).encode()))


def _write(path: Path, point: float, problem: str, samples: NDArray[np.floating[Any]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            body = samples.tobytes()
            head = json.dumps([point, problem, _checksum(point, problem, body)])
            file.write(head.encode() + b"\n" + body)
    except OSError as error:
        raise BenchError(
            f"cannot write resamples to {path.parent}: {error.strerror}. "
            "Name another folder by BENCH_CACHE."
        ) from None
