"""The study in MLflow: a parent with what it came to, and its trials as children."""

import json
from pathlib import Path

import mlflow
import pytest

from bench.tracking.experiments import study_run
from tests.tuning.helpers import HILL, bench


@pytest.mark.parametrize("store", ["store.db", None])
def test_a_study_is_a_parent_with_plots_and_its_trials_are_children(
    store: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store is not None:  # else the trials go to the store of all runs, not to one of their own
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path(store).absolute()}")
    hill = ("search", "--plugin", str(HILL), "--model", "hill", "--task", "dream", "--simulate")
    fixed = ("--set", "recipe.batch_size=512", "--set", "recipe.lr=0", "--epochs", "4")
    bench(*hill, "--rows", "2000", *fixed, "--sampler", "grid", "--space", "recipe.clip_norm=1")
    database = Path(store or "runs/mlflow.db").absolute()
    _check_study(database)
    database.unlink()
    bench("sync")
    _check_study(database)
    bench("sync")


def _check_study(database: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("dream-simulated")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "bench.study" in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert sorted(run.info.status for run in children) == ["FINISHED", "KILLED", "KILLED"]
    assert sorted(run.data.tags["trial"] for run in children) == ["0", "1", "2"]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["space"] == "model.noise=0.0,1.0,2.0"
    assert parent.data.metrics["trials/complete"] == 1
    assert parent.data.metrics["trials/pruned"] == 2
    best = next(run for run in children if run.info.status == "FINISHED").data
    assert best.params["model.noise"] == parent.data.tags["best.model.noise"] == "0.0"
    pages = {file.path for file in client.list_artifacts(parent.info.run_id, "plots")}
    names = ("history", "curves", "parallel-coordinates")
    assert pages >= {f"plots/{name}.html" for name in names}
    for page in Path("runs/studies").rglob("*.html"):
        assert "Plotly.newPlot" in page.read_text()
    assert json.loads(next(Path("runs").rglob("manifest.json")).read_text())["study"]


def test_workers_that_make_the_study_at_once_agree_on_the_oldest(tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'store.db'}")
    experiment = client.create_experiment("x", artifact_location=tmp_path.as_uri())
    made = [
        client.create_run(experiment, start_time=time, tags={"bench.study": "s"}).info.run_id
        for time in (20, 10, 30)
    ]
    assert study_run(client, experiment, "s") == made[1]
    assert study_run(client, experiment, "s") == made[1]
    assert len(client.search_runs([experiment])) == 1
