"""Finds or makes what runs stand under in MLflow: an experiment a data set, a run a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TAG = "bench.study"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # its pages show training, not chats


def experiment(client: MlflowClient, uri: str, home: Path, name: str) -> str:
    """Return the experiment of a data set, making it where there is none."""
    from mlflow import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        place = None
        if uri.startswith("sqlite:"):  # else artifacts would land in the current folder
            place = (home / "mlartifacts" / name).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=place, tags=_KIND))
        except MlflowException:  # another run made it in the meantime
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def study_run(client: MlflowClient, experiment: str, study: str) -> str:
    """Return the run of a study, making it where there is none.

    Of several that workers made at one moment, the oldest is the study's, for all of them.
    """
    runs = _runs(client, experiment, study)
    if not runs:
        client.create_run(experiment, tags={TAG: study, "state": "search"}, run_name=study)
        runs = _runs(client, experiment, study)
    for surplus in runs[1:]:
        client.delete_run(surplus)
    return runs[0]


def _runs(client: MlflowClient, experiment: str, study: str) -> list[str]:
    found = client.search_runs([experiment], filter_string=f"tags.`{TAG}` = '{study}'")
    oldest_first = sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))
    return [str(run.info.run_id) for run in oldest_first]
