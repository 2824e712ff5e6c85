"""What reaches MLflow, and how often, when a run is sent before it ends."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.results.manifest import CostRecord, Manifest
from bench.results.run_folder import METRICS
from bench.tracking.uploader import sync
from tests.tracking.helpers import running

Point = tuple[str, float, int]


@pytest.fixture(autouse=True)
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    """Every point that goes to the store: it keeps equal ones once, however often they come."""
    import mlflow

    points: list[Point] = []
    log_batch = mlflow.MlflowClient.log_batch

    def listen(self: Any, run_id: str, metrics: Any = (), **others: Any) -> Any:
        points.extend((metric.key, metric.value, metric.step) for metric in metrics)
        return log_batch(self, run_id, metrics=metrics, **others)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", listen)
    return points


def stored(home: Path) -> tuple[Any, Any]:
    """The store's client and its only run."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dream")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    return client, found


def test_a_run_that_goes_on_is_sent_line_by_line_and_no_line_twice(
    tmp_path: Path, sent: list[Point]
) -> None:
    run = running(tmp_path)
    run.log(10, {"train/loss": 2.0, "validation/pearson": 0.5})
    run.log(20, {"train/loss": 1.0, "validation/pearson": 0.625})
    first = [
        *(("train/loss", 2.0, 10), ("validation/pearson", 0.5, 10)),
        *(("train/loss", 1.0, 20), ("validation/pearson", 0.625, 20)),
    ]
    sync(run.path, tmp_path)
    assert sent == first
    sync(run.path, tmp_path)
    assert sent == first
    assert stored(tmp_path)[1].info.status == "RUNNING"

    run.log(30, {"train/loss": 0.5, "validation/pearson": 0.75})
    sync(run.path, tmp_path)
    assert sent == [*first, ("train/loss", 0.5, 30), ("validation/pearson", 0.75, 30)]

    outcome = {"validation/pearson": 0.75, "test/all/pearson": 0.25}
    run.finish("finished", Manifest(metrics=outcome, cost=CostRecord(updates=30)))
    assert sync(run.path, tmp_path)
    assert not sync(run.path, tmp_path)
    assert max(Counter(sent).values()) == 1
    client, found = stored(tmp_path)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {
        "train/loss": 0.5,
        "validation/pearson": 0.75,
        "best/validation/pearson": 0.75,
        "test/all/pearson": 0.25,
        "cost/updates": 30,
        "cost/parameters": 72,
    }
    curve = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in curve] == [(10, 2.0), (20, 1.0), (30, 0.5)]


def test_a_line_that_is_half_written_is_sent_once_it_is_whole(
    tmp_path: Path, sent: list[Point]
) -> None:
    run = running(tmp_path)
    run.log(10, {"train/loss": 2.0})
    run.log(20, {"train/loss": 1.0})
    whole = (run.path / METRICS).read_text()
    (run.path / METRICS).write_text(whole[:-1])
    sync(run.path, tmp_path)
    assert sent == [("train/loss", 2.0, 10)]
    (run.path / METRICS).write_text(whole)
    sync(run.path, tmp_path)
    assert sent == [("train/loss", 2.0, 10), ("train/loss", 1.0, 20)]


def test_a_run_that_fails_is_stored_as_failed_with_the_reason(tmp_path: Path) -> None:
    run = running(tmp_path)
    run.finish("failed", Manifest(error="the loss became nan by step 7."))
    sync(run.path, tmp_path)
    found = stored(tmp_path)[1]
    assert found.info.status == "FAILED"
    assert found.data.tags["error"] == "the loss became nan by step 7."
