"""Searches with several workers, whose processes die and whose database goes away."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults import checks
from tests.faults.material import Material, inspect
from tests.faults.rounds import Command, Round, Skipped
from tests.tuning.postgres import Server, server

PEAK = Path(__file__).parents[1] / "tuning" / "peak.py"
_EVENTS = {"KILL a worker": 4, "TERM a worker": 1, "STOP a worker": 1}
_LAUNCHER = {"KILL the launcher": 1, "INT the launcher": 1}


def journal(round_: Round, material: Material) -> None:
    """Kill workers and the launcher of a search whose study is a journal."""
    _search(round_, material, [], {**_EVENTS, **_LAUNCHER}, {})


def postgresql(round_: Round, material: Material) -> None:
    """Kill workers, connections and the server of a search whose study is in PostgreSQL."""
    with _database() as running:

        def terminate() -> None:
            import psycopg

            url = running.url.replace("postgresql+psycopg", "postgresql")
            with psycopg.connect(url) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )

        def restart() -> None:
            running.run("pg_ctl", "-w", "-m", "immediate", "stop")
            time.sleep(2)
            running.start()

        actions = {"connections ended": terminate, "server restarted": restart}
        weights = {**_EVENTS, "connections ended": 3, "server restarted": 2}
        _search(round_, material, ["--storage", running.url], weights, actions)


@contextmanager
def _database() -> Iterator[Server]:
    try:
        with server() as running:
            yield running
    except pytest.skip.Exception as reason:
        raise Skipped(str(reason)) from None


def _search(
    round_: Round,
    material: Material,
    storage: list[str],
    weights: dict[str, int],
    actions: dict[str, Callable[[], None]],
) -> None:
    generator = round_.random
    workers, trials = generator.choice((2, 2, 3)), generator.randint(8, 14)
    kinds = generator.choices(list(weights), list(weights.values()), k=generator.randint(1, 4))
    events = [(kind, round(generator.uniform(0, 3), 2), generator.random()) for kind in kinds]
    round_.chose(f"{workers} workers, {trials} trials")
    words = ["search", "--plugin", str(PEAK), "--model", "peak", "--task", str(material.table)]
    words += ["--preset", "smoke", "--device", "cpu", "--heartbeat", "1", "--study", "s", *storage]
    words += ["--trials", str(trials), "--workers", str(workers)]
    command = round_.start(*words)
    for kind, delay, pick in events:
        if not command.running:  # the launcher has died: what a user would type
            command.wait()
            round_.settle()
            command = round_.start(*words)
        begun = _trials(round_.home)
        round_.until(lambda c=command, n=begun: not c.running or _trials(round_.home) > n)  # type: ignore[misc]
        time.sleep(delay)
        if not command.running:
            round_.chose("ended before")
            break
        round_.chose(f"{kind} {delay} s after a trial")
        _do(round_, command, kind, pick, actions)
    command.wait()
    round_.settle()
    round_.bench(*words)
    _count(round_, storage, trials)
    round_.bench("sync")
    inspect(round_, round_.home)


def _do(
    round_: Round,
    command: Command,
    kind: str,
    pick: float,
    actions: dict[str, Callable[[], None]],
) -> None:
    if kind in actions:
        round_.events[kind] += 1
        actions[kind]()
        return
    name, _, target = kind.partition(" ")
    number = getattr(signal, f"SIG{name}")
    if target == "the launcher":
        command.send(number)
        if name == "INT":
            round_.until(lambda: not command.running)
        else:
            command.process.wait()
        return
    workers = command.children
    if not workers:
        return
    worker = workers[int(pick * len(workers))]
    command.send(number, worker)
    if name == "STOP":  # longer than four heartbeats: others take its trial
        time.sleep(2 + 5 * pick)
        command.send(signal.SIGCONT, worker)


def _trials(home: Path) -> int:
    return len(list(home.glob("studies/*/*/manifest.json")))


def _count(round_: Round, storage: list[str], trials: int) -> None:
    """Note whether the study has each of its trials once, by its own words and by Optuna's."""
    shown = round_.bench("search", "--status", "--json", "--study", "s", *storage)
    with suppress(ValueError):
        told = json.loads(shown.output)
        complete = told["states"].get("complete", 0)
        round_.expect(complete == trials, f"{complete} of {trials} trials are complete")
        running = told["states"].get("running", 0)
        round_.expect(running == 0, f"{running} trials are left running")
    study = [told.get("study") or {} for told in checks.finished_in(round_.home).values()]
    numbers = [entry.get("trial") for entry in study]
    round_.expect(len(numbers) == len(set(numbers)), "a trial has two finished runs")
    round_.expect(len(numbers) >= trials, f"{len(numbers)} finished runs of {trials} trials")
    if not storage:
        return
    query = "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"
    url = storage[1].replace("postgresql+psycopg", "postgresql")
    with suppress(FileNotFoundError):
        asked = subprocess.run(
            ["psql", url, "-Atc", query], capture_output=True, text=True, check=False
        )
        counted = asked.stdout.strip()
        round_.expect(counted == str(trials), f"the database counts {counted!r} of {trials} trials")
