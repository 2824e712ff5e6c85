"""Logging of a leaderboard to MLflow, as a run of its own in the experiment of the ranked runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.atomic import finite
from bench.leaderboards.board import Leaderboard
from bench.leaderboards.output.formats import board_csv, board_json, board_markdown
from bench.tracking.mlflow_store import connected

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TAG = "bench.leaderboard"
_NAME = "leaderboard"


def log_summary(board: Leaderboard, home: Path, page: Path | None = None) -> str:
    """Log a leaderboard, in place of the previous one by the same score.

    Args:
        board: Leaderboard to log, as Markdown, CSV and JSON.
        home: Folder of all runs, where the default store lies.
        page: Folder that :func:`bench.leaderboards.output.site.write_site` wrote, to log as well.

    Returns:
        Run ID of MLflow.

    Raises:
        BenchError: The store cannot be written.
    """
    with connected(home) as (client, _):
        run = _run(client, board)
        client.log_text(run, board_markdown(board), f"{_NAME}.md")
        client.log_text(run, board_csv(board), f"{_NAME}.csv")
        client.log_dict(run, finite(board_json(board)), f"{_NAME}.json")
        if page is not None:
            client.log_artifacts(run, str(page), "page")
        client.set_terminated(run)
    return run


def _run(client: MlflowClient, board: Leaderboard) -> str:
    """Return the ID of the score's run, which is created if it does not exist."""
    experiment = client.get_experiment_by_name(board.data)
    assert experiment is not None, f"{board.data}: the runs were read from it"
    wanted = f"tags.`{TAG}` = '{board.primary}'"
    found = client.search_runs([experiment.experiment_id], filter_string=wanted, max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {TAG: board.primary, "task": board.task}
    created = client.create_run(experiment.experiment_id, tags=tags, run_name=_NAME)
    return str(created.info.run_id)
