"""Sending of a run's folder to MLflow: in the background during the run, or at any later time.

A run never waits for a server. The run folder is the truth and the store has a copy.
"""

from __future__ import annotations

import threading
from pathlib import Path

from bench.addresses import scrubbed
from bench.errors import BenchError, first_line
from bench.results.run_folder import read_manifest
from bench.tracking.experiments import chosen, stored_runs
from bench.tracking.mlflow_store import connected, tracking_uri
from bench.tracking.notes import read_note
from bench.tracking.sender import Sender

_PATIENCE = 60.0  # seconds that the end of a run waits for MLflow
_TOLD = {
    "finished": "The run is finished, and its folder is complete",
    "failed": "The run failed, as its folder says",
    "pruned": "The run was pruned, as its folder says",
    "interrupted": "The run is interrupted; its folder has what was trained",
}


def sync(run: Path, home: Path) -> bool:
    """Send the parts of one run that the store does not have.

    Args:
        run: The run's folder.
        home: Folder of all runs, which holds the default store.

    Returns:
        Whether any part was missing.

    Raises:
        BenchError: The store cannot be reached, or refuses, or the run folder is damaged.
    """
    return send(run, home)[0]


def send(run: Path, home: Path) -> tuple[bool, str | None]:
    """Do as :func:`sync`; return, too, a warning of files that cannot be sent, or None."""
    with connected(home) as (client, uri):
        sender = Sender(client, uri, run, home)
        if sender.goes_on:
            return sender.send_news(), None
        number = sender.manifest.id
        found = stored_runs(client, [sender.manifest.data.name], number)
        return sender.send(chosen(found.get(number, []), run)), sender.warning


def send_rest(run: Path, home: Path) -> str | None:
    """Send what was not sent yet of a run that ended before; return a warning, or None.

    The run's own note is believed; only ``bench sync`` asks the store.
    """
    note = read_note(run)
    if note is not None and note.status == read_manifest(run).status:
        return None
    return Uploader(run, home).close()


class Uploader:
    """A thread that sends the new parts of a run to MLflow while the run goes on.

    Args:
        run: The run's folder.
        home: Folder of all runs.
    """

    def __init__(self, run: Path, home: Path) -> None:
        self._run, self._home = run, home
        self._news, self._closing = threading.Event(), False
        self._problem: str | None = None
        self._warning: str | None = None
        self._thread = threading.Thread(target=self._follow, name="mlflow", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell the thread that the run folder has new parts; return at once."""
        self._news.set()

    def close(self, patience: float = _PATIENCE) -> str | None:
        """Send the rest, for at most ``patience`` seconds; return a warning, or None."""
        self._closing = True
        self._news.set()
        self._thread.join(patience)
        if self._thread.is_alive():
            problem = f"MLflow has not received all of the run after {patience:.0f} s"
        elif self._problem is not None:
            problem = self._problem.rstrip(".")
        else:
            return self._warning
        return f"{problem}. {_outcome(self._run)}; `bench sync` sends it later."

    def _follow(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            last = self._closing  # read before sending, so that the last call sends all parts
            try:
                (_, self._warning), self._problem = send(self._run, self._home), None
            except BenchError as error:
                self._problem = str(error)
            except (
                Exception
            ) as error:  # the traceback of a thread would be lost; training continues
                text = scrubbed(f"{type(error).__name__}: {error}", tracking_uri(self._home))
                self._problem = f"MLflow: {' '.join(text.split())[:200]}"
            if last:
                return


def _outcome(run: Path) -> str:
    """Return what the folder of a run tells about the run's end, as a sentence without its dot."""
    try:
        status = read_manifest(run).status
    except BenchError as error:
        return f"The run folder cannot be read: {first_line(error).rstrip('.')}"
    return _TOLD.get(status, f"The end of the run is not recorded in its folder, {run}")
