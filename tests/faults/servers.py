"""MLflow's pages and the dashboard of a study: who can reach them, and what they leave behind."""

import signal
import socket
import time
import urllib.request
from contextlib import suppress

from tests.faults.material import Material
from tests.faults.rounds import Round
from tests.faults.searches import PEAK

_DASHBOARD = 8080  # optuna-dashboard's own port


def servers(round_: Round, material: Material) -> None:
    """Start one, wait until it answers, end it by a signal, and look for what is left.

    The suite looks at the listening sockets of all marked processes throughout.
    """
    generator = round_.random
    number = generator.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))
    pages = generator.random() < 0.6
    early, delay = generator.random() < 0.3, round(generator.uniform(0.5, 5), 2)
    if pages:
        home, port = material.with_three_runs(round_), _free_port()
        words = ["ui", "--port", str(port), "--home", str(home)]
    else:
        port = _DASHBOARD
        search = ["search", "--plugin", str(PEAK), "--model", "peak", "--task", str(material.table)]
        search += ["--preset", "smoke", "--study", "s", "--trials", "3", "--no-tracking"]
        round_.bench(*search)
        words = ["search", "--dashboard", "--study", "s"]
    round_.chose(f"{words[0]}, {number.name} {'early, after ' if early else ''}{delay} s")
    command = round_.start(*words)
    if not early:
        answered = round_.until(lambda: _answers(port) or not command.running, seconds=120)
        round_.expect(answered and command.running, f"no answer: {command.errors[-200:]}")
    time.sleep(delay)
    command.send(number)
    command.wait()
    round_.settle()
    if pages:
        round_.bench("sync")


def _answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
        return bool(page.status == 200)
    return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
