"""How long the official score takes, and the same by lists and SciPy, in one process.

    python -m tests.benchmarks.scoring [FOLDER [SNVS]]

FOLDER holds the DREAM files (BENCH_DATA/dream by default), SNVS stands in for all_SNVs_seqs.csv.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from bench.registry import TASKS
from bench.scoring.scorer import score
from bench.sources.locate import load_test, with_subset
from tests import reference


def main() -> None:
    """Print load time, score time (median of 20) and the ratio to the plain program."""
    given = [Path(argument) for argument in sys.argv[1:]]
    folder = given[0] if given else Path(os.environ["BENCH_DATA"]) / "dream"
    snvs = given[1] if len(given) > 1 else None
    task_class = TASKS.get("dream")
    task = task_class(task_class.Options())
    started = time.perf_counter()
    test = load_test(task, "dream", folder)
    if snvs is not None:
        test = with_subset(task, test, "SNVs", snvs)
    print(f"load       {time.perf_counter() - started:8.3f} s, {len(test):,} rows")

    guess = (test.target + np.random.default_rng(0).normal(size=len(test))).astype(np.float32)
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        scores = score(task, test, guess)
        seconds.append(time.perf_counter() - started)
    ours = statistics.median(seconds)
    print(f"score      {ours:8.4f} s, all of {len(scores.subsets)} subsets")

    truth, predictions = reference.read_truth(folder), guess.astype(float).tolist()
    units, public = reference.read_units(folder, snvs), reference.read_public(folder)
    started = time.perf_counter()
    pearson, spearman, _ = reference.score_private(truth, predictions, units, public)
    plain = time.perf_counter() - started
    print(f"by lists   {plain:8.3f} s, {plain / ours:,.0f} times as long")
    difference = max(
        abs(pearson - scores.overall["pearson_score"]),
        abs(spearman - scores.overall["spearman_score"]),
    )
    print(f"difference {difference:8.1e}")


if __name__ == "__main__":
    main()
