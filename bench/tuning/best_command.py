"""The command that runs the best trial of a study again."""

from __future__ import annotations

from optuna.study import Study

from bench.errors import BenchError
from bench.results.command import run_line
from bench.tuning.definition import Search
from bench.tuning.summary import ranked


def best_line(study: Study, search: Search) -> str:
    """Return the command that runs the best trial again, test rows included.

    Raises:
        BenchError: No trial has a score.
    """
    best = ranked(study)
    if not best:
        raise BenchError(
            f"no trial of {study.study_name} has a score yet. Try `bench search --status`."
        )
    request = search.trial(best[0].params, seed=search.seeds[0])
    return run_line(request.as_json(), search.plugins)
