"""Keeps a run's resampled figures on disk: a board grown by one run resamples that run alone.

Files are named after all they depend on, so none goes stale; one that is damaged is written anew.
"""

from __future__ import annotations

import hashlib
import json
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

Drawn = tuple[float, str, NDArray[np.floating[Any]]]
"""A run's figure, why it has none, and the figure in resamples."""

VERSION = 1
"""Of what a resample is; a change makes stored ones useless."""


def cached_samples(
    cache: Path,
    design: ResamplingPlan,
    predictions: Iterable[tuple[str, NDArray[np.floating[Any]]]],
    *,
    figure: str,
    scored: str,
    combine: Combine,
    resamples: int,
) -> BootstrapSamples:
    """Return one figure of every run in resamples, from files where there are some.

    A run's resamples differ by rounding with the runs beside which they were made.

    Args:
        cache: Folder of everything that is kept.
        design: What the runs have in common.
        predictions: Runs, and what each says of the test rows ``(N,)``.
        figure: Which.
        scored: Name and version of the task that ``combine`` belongs to.
        combine: Makes scores of the subsets' figures.
        resamples: How many.

    Raises:
        BenchError: A run has not one prediction a test row, there is no such figure, or the folder
            cannot be written.
    """
    key = f"{VERSION} {design.fingerprint} {scored} {figure} {resamples}"
    files: dict[str, Path] = {}
    known: dict[str, Drawn] = {}
    missing: dict[str, SufficientStatistics] = {}
    for run, values in predictions:
        files[run] = cache / "draws" / _name(key, values)
        found = _read(files[run], resamples)
        if found is None:
            missing[run] = cached_statistics(cache / "sketches", design, values)
        else:
            known[run] = found
    if missing:
        made = resample(design, missing, figures=(figure,), combine=combine, resamples=resamples)
        for run, drawn in _by_run(made, figure).items():
            _write(files[run], *drawn)
            known[run] = drawn
    return BootstrapSamples(
        tuple(files),
        {figure: np.array([known[run][0] for run in files])},
        {figure: np.stack([known[run][2] for run in files]).T},
        {run: known[run][1] for run in files if known[run][1]},
        tuple(few_clusters(design)),
    )


def _by_run(draws: BootstrapSamples, figure: str) -> dict[str, Drawn]:
    points, samples = draws.points[figure].tolist(), draws.samples[figure].T
    return {
        run: (point, draws.problems.get(run, ""), drawn)
        for run, point, drawn in zip(draws.runs, points, samples, strict=True)
    }


def _name(key: str, predictions: NDArray[np.floating[Any]]) -> str:
    values = np.ascontiguousarray(predictions)
    digest = hashlib.blake2b(f"{key} {values.dtype} {values.shape}".encode(), digest_size=16)
    digest.update(values.data)
    return f"{digest.hexdigest()}.draws"


def _read(path: Path, resamples: int) -> Drawn | None:
    """Read a line of JSON and the numbers behind it: a tenth of what a .npz takes."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        point, problem = json.loads(head)
        samples = np.frombuffer(body, dtype=np.float32)
    except (OSError, ValueError, TypeError):
        return None
    return (float(point), str(problem), samples) if len(samples) == resamples else None


def _write(path: Path, point: float, problem: str, samples: NDArray[np.floating[Any]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(json.dumps([point, problem]).encode() + b"\n" + samples.tobytes())
    except OSError as error:
        raise BenchError(
            f"cannot write resamples to {path.parent}: {error.strerror}. "
            "Name another folder by BENCH_CACHE."
        ) from None
