"""How long resampling a leaderboard takes, by phase, and the same resample by resample.

    python -m tests.benchmarks.bootstrap [FOLDER [SNVS [RUNS [RESAMPLES]]]]

FOLDER holds the DREAM files (BENCH_DATA/dream by default), SNVS stands in for all_SNVs_seqs.csv.
Runs are the truth with noise of their own. The plain way is a slice: one run, a few resamples of
rows with replacement, both correlations of every subset by NumPy and SciPy.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats

from bench.leaderboards.ranking import rank
from bench.leaderboards.statistics.bootstrap import resample
from bench.leaderboards.statistics.clusters import link_equal
from bench.leaderboards.statistics.sufficient_statistics import (
    ResamplingPlan,
    make_resampling_plan,
    make_statistics,
)
from bench.registry import TASKS
from bench.scoring.scorer import values_of
from bench.sources.locate import load_test, with_subset

PLAIN = 5


def main() -> None:
    """Print seconds of each phase, peak memory, and the ratio to the plain way."""
    given = sys.argv[1:]
    folder = Path(given[0]) if given else Path(os.environ["BENCH_DATA"]) / "dream"
    runs, resamples = (int(given[i]) if len(given) > i else n for i, n in ((2, 100), (3, 10_000)))
    task_class = TASKS.get("dream")
    task = task_class(task_class.Options())
    test = load_test(task, "dream", folder)
    if len(given) > 1:
        test = with_subset(task, test, "SNVs", Path(given[1]))
    units = task.scoring_groups(test, "all")
    started = time.perf_counter()
    design = make_resampling_plan(test.target, units, [link_equal(test.sequences.hashes())])
    clock = _lap("clusters, groups, truth", started)
    rng = np.random.default_rng(0)
    noise = np.linspace(0.3, 0.6, runs)
    guesses = [
        (test.target + scale * rng.normal(size=len(test))).astype(np.float32) for scale in noise
    ]
    clock = time.perf_counter()
    sketches = {f"run {i}": make_statistics(design, guess) for i, guess in enumerate(guesses)}
    clock = _lap(f"{runs:,} sketches", clock)
    names = [f"{name}/{metric}" for name in units for metric in ("pearson", "spearman")]
    scores = tuple(task.overall(dict.fromkeys(names, 0.0)))
    figures = (*scores, *names)
    draws = resample(design, sketches, scores=figures, combine=task.overall, resamples=resamples)
    clock = _lap(f"{resamples:,} resamples of {len(figures)} figures", clock)
    board = rank(draws, "all/pearson", {run: run for run in draws.runs})
    _lap(f"ranks by one figure, {len(board.ranked_models):,} models", clock)
    ours = (time.perf_counter() - started) / runs / resamples
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{'peak memory':40} {peak:8.2f} GiB")
    plain = _the_plain_way(design, guesses[0])
    print(f"{'a resample of a run, the plain way':40} {plain:8.3f} s, {plain / ours:,.0f} times")


def _lap(what: str, since: float) -> float:
    now = time.perf_counter()
    print(f"{what:40} {now - since:8.2f} s")
    return now


def _the_plain_way(design: ResamplingPlan, guess: np.ndarray) -> float:
    """Resample rows and correlate them, subset by subset; return the seconds a resample."""
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    for _ in range(PLAIN):
        for subset in design.subsets.values():
            drawn = subset.units[rng.integers(0, len(subset.units), len(subset.units))]
            x, y = values_of(guess.astype(np.float64), drawn), values_of(design.truth, drawn)
            stats.pearsonr(x, y)
            stats.spearmanr(x, y)
    return (time.perf_counter() - started) / PLAIN


if __name__ == "__main__":
    main()
