"""A study in MLflow: a run with the settings, the outcome, the trials and the plots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.study import Study

from bench.errors import BenchError
from bench.paths import studies_dir
from bench.tracking import mlflow_store
from bench.tracking.experiments import experiment, study_run
from bench.tuning import plots, summary
from bench.tuning.study import find, stored_identity

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_DATA = "data"
"""Study attribute: name of the data, which is the name of the MLflow experiment."""


def begin(study: Study, data: str, home: Path) -> str | None:
    """Create or update the MLflow run of a study.

    Args:
        study: Study to record.
        data: Name of the data.
        home: Folder of all runs.

    Returns:
        An error message, or None: a search does not wait for MLflow.
    """
    study.set_user_attr(_DATA, data)

    def send(client: MlflowClient, run: str) -> None:
        for field, value in stored_identity(study).items():
            client.log_param(run, field, value or "none")
        client.update_run(run, status="RUNNING")

    return _told(study, home, send)


def end(study: Study, home: Path) -> str | None:
    """Send the outcome of a study to MLflow; return an error message, or None.

    Without the package that draws plots, everything else is sent.
    """
    found = summary.summarize(study)
    place = studies_dir(home) / study.study_name
    pages, undrawn = _plots(study, place / "plots")
    summary.export(study, place / "trials.csv")

    def send(client: MlflowClient, run: str) -> None:
        for state, count in found.counts.items():
            client.log_metric(run, f"trials/{state}", count)
        client.log_metric(run, "cost/device_hours", found.device_hours)
        if found.best is not None and found.best.value is not None:
            client.log_metric(run, "best/validation/pearson", found.best.value)
            for name, value in found.best.params.items():
                client.set_tag(run, f"best.{name}", str(value))
        for page in pages:
            client.log_artifact(run, str(page), "plots")
        client.log_artifact(run, str(place / "trials.csv"))
        complete = found.wanted is not None and found.finished >= found.wanted
        client.set_terminated(run, status="FINISHED" if complete else "KILLED")

    return " ".join(filter(None, (undrawn, _told(study, home, send)))) or None


def send_again(name: str, home: Path) -> str | None:
    """Send settings and outcome of a study of which MLflow has lost all but the trials.

    Args:
        name: Name of the study.
        home: Folder of all runs, with the study's journal; a study in a database is left alone,
            until its search is resumed.

    Returns:
        An error message, or None.
    """
    if not (studies_dir(home) / f"{name}.log").is_file():
        return None
    try:
        found, _ = find(None, name, home)
    except BenchError as error:
        return str(error)
    if _DATA not in found.user_attrs:
        return None
    return begin(found, found.user_attrs[_DATA], home) or end(found, home)


def _plots(study: Study, folder: Path) -> tuple[list[Path], str | None]:
    """Write the plots; return their files, and an error message or None."""
    try:
        return plots.write(study, folder), None
    except BenchError as error:
        return [], f"{error} There are no plots."


def _told(study: Study, home: Path, send: Callable[[MlflowClient, str], None]) -> str | None:
    try:
        with mlflow_store.connected(home) as (client, uri):
            filed = experiment(client, uri, home, study.user_attrs[_DATA])
            send(client, study_run(client, filed, study.study_name))
    except BenchError as error:
        return f"{str(error).rstrip('.')}. The search continues without MLflow."
    return None
