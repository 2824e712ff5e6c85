"""What a store has: experiments, one for each data set, with runs, and studies, their parents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.tracking import places
from bench.tracking.notes import read_note

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

ID = "bench.id"
TAG = "bench.study"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # its pages show training, not chats
_PAGE = 1000


def experiment(client: MlflowClient, uri: str, home: Path, name: str) -> str:
    """Return the identifier of a data set's experiment, which is created if there is none."""
    from mlflow import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        place = None
        if uri.startswith("sqlite:"):  # otherwise artifacts would go to the current folder
            place = places.folder_of(name, home).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=place, tags=_KIND))
        except MlflowException:  # another run has created it in the meantime
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def stored_runs(
    client: MlflowClient, experiments: Iterable[str], number: str | None = None
) -> dict[str, list[Run]]:
    """Return the runs of experiments by our number of the run, with those that were deleted.

    Args:
        client: MLflow's client.
        experiments: Names of experiments; those that do not exist have no runs.
        number: Number of the only run to look for; None for all runs.
    """
    from mlflow.entities import ViewType

    wanted = _identifiers(client, experiments)
    query = "" if number is None else f"tags.`{ID}` = '{number}'"
    runs: dict[str, list[Run]] = {}
    token = "" if wanted else None
    while token is not None:
        page = client.search_runs(
            wanted, query, ViewType.ALL, max_results=_PAGE, page_token=token or None
        )
        for run in page:
            if ID in run.data.tags:
                runs.setdefault(run.data.tags[ID], []).append(run)
        token = page.token or None
    return runs


def chosen(found: list[Run], run: Path) -> Run | None:
    """Return the one of several stored runs that is the copy of a run's folder, or None.

    It is the one that the folder's note names, else the oldest that is not deleted.
    """
    note = read_note(run)
    noted = None if note is None else note.run_id

    def rank(stored: Run) -> tuple[bool, bool, int]:
        info = stored.info
        return info.lifecycle_stage == "deleted", info.run_id != noted, info.start_time

    return min(found, key=rank, default=None)


def only_one(client: MlflowClient, created: Run) -> Run:
    """Return the run that stays of a run that was created, and delete the others.

    A server has no lock, so a run and `bench sync` may create the same one at the same time. All of
    them keep the one with the smallest identifier: times of creation are equal.

    Args:
        client: MLflow's client.
        created: Run that this process has just created.
    """
    number = created.data.tags[ID]
    found = client.search_runs([created.info.experiment_id], f"tags.`{ID}` = '{number}'")
    alive = {str(run.info.run_id): run for run in (created, *found)}
    kept, *surplus = sorted(alive)
    for run_id in surplus:
        client.delete_run(run_id)
    return alive[kept]


def bare_studies(client: MlflowClient, experiments: Iterable[str]) -> list[str]:
    """Return the names of studies whose run has no settings: only their trials were sent."""
    wanted = _identifiers(client, experiments)
    found = client.search_runs(wanted, f"tags.`{TAG}` LIKE '%'") if wanted else []
    return sorted(run.data.tags[TAG] for run in found if not run.data.params)


def _identifiers(client: MlflowClient, experiments: Iterable[str]) -> list[str]:
    """Return the identifiers of the experiments that exist."""
    named = [client.get_experiment_by_name(name) for name in experiments]
    return [str(found.experiment_id) for found in named if found is not None]


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
