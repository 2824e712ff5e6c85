"""The command that runs the best trial of a study again."""

from __future__ import annotations

from optuna.study import Study

from bench.errors import BenchError
from bench.results.command import run_line
from bench.tuning import definition, study
from bench.tuning.summary import ranked


def best_line(found: Study) -> str:
    """Return the command that runs the best trial again, test rows included.

    The plugins of the study are named in the command; none is loaded.

    Raises:
        BenchError: No trial has a score.
    """
    best = ranked(found)
    if not best:
        raise BenchError(
            f"no trial of {found.study_name} has a score yet. Try `bench search --status`."
        )
    search = definition.without_space(study.stored_search(found))
    request = search.trial(best[0].params, seed=search.seeds[0])
    return run_line(request.as_json(), search.plugins)
