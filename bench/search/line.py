"""The command line of a run, as somebody would type it."""

from __future__ import annotations

import shlex

from optuna.study import Study

from bench.errors import BenchError
from bench.request import Request
from bench.search.definition import Search
from bench.search.summary import ranked


def best_line(study: Study, search: Search) -> str:
    """Spell the command line that runs the best trial again, test rows included.

    Raises:
        BenchError: No trial has a score.
    """
    best = ranked(study)
    if not best:
        raise BenchError(f"no trial of {study.study_name} has a score yet. Try --status.")
    return run_line(search.trial(best[0].params, seed=search.seeds[0]), search.plugins)


def run_line(request: Request, plugins: tuple[str, ...]) -> str:
    """Spell the command line that runs a request."""
    words = ["bench", "run", "--model", request.model, "--task", request.task]
    words += ["--recipe", request.recipe, "--preset", request.preset]
    for section, values in request.overrides.items():
        for field, value in values.items():
            words += ["--set", f"{section}.{field}={value}"]
    given = {
        "--data": request.data,
        "--test-data": request.test_data,
        "--rows": request.simulate_rows,
        "--seed": request.seed,
        "--epochs": request.epochs,
        "--max-steps": request.max_steps,
        "--max-time": None if request.max_seconds is None else request.max_seconds / 60,
    }
    if request.simulate_rows is not None:
        words.append("--simulate")
    for option, given_value in given.items():
        if given_value is not None:
            words += [option, str(given_value)]
    words += ["--compile"] * request.compiled
    for file in plugins:
        words += ["--plugin", file]
    return shlex.join(words)
