"""The leaderboard in MLflow: a run of its own, which does not count as a result."""

import json
from pathlib import Path

import pytest

from bench.atomic import finite
from bench.leaderboards.entries import read_entries
from bench.leaderboards.output.formats import board_csv, board_json, board_markdown
from bench.leaderboards.output.mlflow_board import log_summary
from bench.leaderboards.selection import Group
from bench.tracking.experiments import experiment
from bench.tracking.mlflow_store import connected
from tests.leaderboards.boards import board, entry


def test_a_leaderboard_is_logged_once_and_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = board([Group("toy", (entry("a", "toy", tmp_path),))])
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("a page")
    with connected(tmp_path) as (client, uri):
        place = experiment(client, uri, tmp_path, made.data)
    run = log_summary(made, tmp_path)
    assert log_summary(made, tmp_path, page) == run
    assert read_entries(tmp_path, made.data) == []
    with connected(tmp_path) as (client, _):
        (found,) = client.search_runs([place])
        assert (found.info.run_name, found.info.status) == ("leaderboard", "FINISHED")
        assert found.data.tags["bench.leaderboard"] == "all/pearson"
        folder = Path(client.download_artifacts(run, "", str(tmp_path)))
    assert (folder / "leaderboard.md").read_text() == board_markdown(made)
    assert (folder / "leaderboard.csv").read_text() == board_csv(made)
    assert json.loads((folder / "leaderboard.json").read_text()) == finite(board_json(made))
    assert (folder / "page" / "index.html").read_text() == "a page"
