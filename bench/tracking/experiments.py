"""MLflow experiments, one for each data set, and the runs of studies, parents of their trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TAG = "bench.study"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # its pages show training, not chats


def experiment(client: MlflowClient, uri: str, home: Path, name: str) -> str:
    """Return the identifier of a data set's experiment, which is created if there is none."""
    from mlflow import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        place = None
        if uri.startswith("sqlite:"):  # otherwise artifacts would go to the current folder
            place = (home / "mlartifacts" / name).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=place, tags=_KIND))
        except MlflowException:  # another run has created it in the meantime
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def study_run(client: MlflowClient, experiment: str, study: str) -> str:
    """Return the identifier of a study's run, which is created if there is none.

    Where several workers created one at the same time, the oldest is kept.
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
