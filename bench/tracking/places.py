"""Where MLflow keeps the files of runs, and which of these places are trusted.

A store, which others may write to, names the folder or server of every run's files. Files are sent
only to the place of the run's experiment; for the default store, only to mlartifacts/ beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from bench.errors import BenchError

_FOLDER = "mlartifacts"


def folder_of(name: str, home: Path) -> Path:
    """Return the folder of the files of a data set's runs in the default store.

    Raises:
        BenchError: The name leads to another folder.
    """
    folder = home / _FOLDER / name
    if Path(os.path.normpath(folder)).parent != home / _FOLDER:
        raise BenchError(f"data called '{name}' cannot be recorded in MLflow: it is no file name.")
    return folder


def is_own(artifacts: str, location: str, run_id: str) -> bool:
    """Return whether an address of a run's files lies where its experiment keeps files of that run.

    Whoever writes to a shared store chooses the address of a run. MLflow would open any: a file of
    this machine, or a page of another server.

    Args:
        artifacts: Address of the run's files.
        location: Address of the files of the run's experiment.
        run_id: MLflow's number of the run.
    """
    run, root = urlparse(artifacts), urlparse(location)
    same = (run.scheme, run.netloc, run.query) == (root.scheme, root.netloc, root.query)
    wanted = f"{root.path.rstrip('/')}/{run_id}/artifacts"
    return same and run.path == wanted and ".." not in unquote(run.path).split("/")


def refusal(artifacts: str, location: str, run_id: str, home: Path | None) -> str | None:
    """Return why files of a run are not sent to their place; None if they may be sent.

    Args:
        artifacts: Address of the run's files.
        location: Address of the files of the run's experiment.
        run_id: MLflow's number of the run.
        home: Folder of all runs, if the store is the default one.
    """
    if not is_own(artifacts, location, run_id):
        return f"MLflow keeps files of run {run_id} at {artifacts}, not in its experiment's place"
    folder = local_folder(location)
    if home is None:
        return None
    if folder is None or (home / _FOLDER).resolve() not in folder.resolve().parents:
        return f"MLflow keeps files at {location}, not in {home / _FOLDER}"
    return None


def local_folder(address: str) -> Path | None:
    """Return the folder of an address of files; None for an address on a server."""
    place = urlparse(address)
    if place.scheme == "":
        return Path(address)
    return Path(url2pathname(place.path)) if place.scheme == "file" and not place.netloc else None
