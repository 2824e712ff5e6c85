"""Runs that are killed or stopped at random times, and go on by the same command."""

import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults import checks
from tests.faults.material import Material, only_finished, points, repaired
from tests.faults.processes import variable
from tests.faults.rounds import PATIENCE, Command, Round

_SIGNALS = {"KILL": 4, "TERM": 2, "INT": 2, "HUP": 1}
_ORPHANS = 6.0  # seconds
_MOMENTS = {"start": 2, "validation": 5, "end": 2}


@dataclass(frozen=True)
class Blow:
    """A signal, and when it is sent.

    Attributes:
        signal: Name of the signal.
        moment: What is waited for: the start, a number of validations, or the end of the training.
        validations: Number of validations.
        delay: Seconds after that.
        target: Process that the signal is for.
        pick: Number in [0, 1) that decides which of several ranks it is.
    """

    signal: str
    moment: str
    validations: int
    delay: float
    target: str
    pick: float

    @classmethod
    def draw(cls, generator: random.Random, targets: dict[str, int]) -> "Blow":
        """Draw one; the same number of random numbers is used whatever comes out."""
        names = [
            generator.choices(list(weights), list(weights.values()))[0]
            for weights in (_SIGNALS, _MOMENTS, targets)
        ]
        validations, share = generator.randint(1, 5), generator.random()
        longest = {"start": 3.0, "validation": 0.6, "end": 0.8}[names[1]]
        delay = round(share * longest, 3)
        return cls(names[0], names[1], validations, delay, names[2], generator.random())

    def __str__(self) -> str:
        after = f"{self.validations} validations" if self.moment == "validation" else self.moment
        return f"{self.signal} to {self.target} {self.delay} s after {after}"

    def await_moment(self, round_: Round, command: Command, model: str) -> None:
        """Wait until it is time, or the command has ended."""
        wanted = points(round_.home, model) + self.validations

        def has_come() -> bool:
            if not command.running or self.moment == "start":
                return True
            if self.moment == "end":
                return any(round_.home.glob(f"{model}*/predictions.npy"))
            return points(round_.home, model) >= wanted

        round_.until(has_come)
        time.sleep(self.delay)


def one_rank(round_: Round, material: Material) -> None:
    """Kill runs of one process, several times each."""
    blows = [Blow.draw(round_.random, {"launcher": 1}) for _ in range(round_.random.randint(1, 4))]
    minutes = round_.random.choice(("0", "10"))
    words = material.small()
    reference = material.reference("one rank", words)
    _go_on(round_, [*words, "--checkpoint-minutes", minutes], blows)
    only_finished(round_, "proformer", reference)
    repaired(round_, material, board=round_.random.random() < 0.4)


def two_ranks(round_: Round, material: Material) -> None:
    """Kill the launcher, its process group or a rank of a run on two devices; or stop a rank."""
    targets = {"launcher": 3, "group": 2, "rank": 3, "stopped rank": 2}
    blows = [Blow.draw(round_.random, targets) for _ in range(round_.random.randint(1, 3))]
    words = material.small(devices=2)
    reference = material.reference("two ranks", words)
    _go_on(round_, [*words, "--checkpoint-minutes", "0"], blows)
    only_finished(round_, "proformer", reference)
    repaired(round_, material, board=False)


def _go_on(round_: Round, words: list[str], blows: list[Blow]) -> None:
    """Run a command again and again, with a blow each time, and a last time without."""
    for blow in blows:
        command = round_.start(*words)
        blow.await_moment(round_, command, "proformer")
        if not command.running:
            round_.chose("ended before")
            command.wait()
            break
        round_.chose(str(blow))
        _strike(round_, command, blow)
        before = points(round_.home, "proformer")
        command.wait()
        killed = blow.signal == "KILL" and blow.target in ("launcher", "group")
        round_.settle(_ORPHANS if killed else PATIENCE)
        gained = points(round_.home, "proformer") - before
        if killed and gained > 2:  # also those that were finished before anybody looked
            round_.problem(f"ranks trained on for {gained} validations without their launcher")
    round_.bench(*words)


def _strike(round_: Round, command: Command, blow: Blow) -> None:
    number, pid = getattr(signal, f"SIG{blow.signal}"), None
    if "rank" in blow.target:
        ranks = [child for child in command.children if variable(child, "RANK") is not None]
        pid = ranks[int(blow.pick * len(ranks))] if ranks else None
    if blow.target == "stopped rank" and pid is not None:
        command.send(signal.SIGSTOP, pid)
        time.sleep(2 + 4 * blow.delay)
        command.send(signal.SIGCONT, pid)
        return
    round_.events[f"at {blow.target if pid or 'rank' not in blow.target else 'launcher'}"] += 1
    command.send(number, pid, group=blow.target == "group")


def store_making(round_: Round, material: Material) -> None:
    """Kill the first run while MLflow's store is made, then run it again."""
    delay = round(round_.random.uniform(0, 4), 3)
    seen = round_.random.random() < 0.8
    number = round_.random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
    round_.chose(f"{number.name} {delay} s after {'the store appears' if seen else 'the start'}")
    command = round_.start(*material.ridge())
    if seen:
        round_.until(lambda: _store_begins(round_.home) or not command.running)
    time.sleep(delay)
    if command.running:
        command.send(number)
    else:
        round_.chose("ended before")
    command.wait()
    round_.settle()
    round_.bench(*material.ridge())
    only_finished(round_, "kmer-ridge", material.reference("ridge", material.ridge()))
    repaired(round_, material)


def _store_begins(home: Path) -> bool:
    return any(path.name != "mlartifacts" for path in home.glob("*ml*")) or any(home.glob(".*ml*"))


def many_first_runs(round_: Round, material: Material) -> None:
    """Start many runs at once in a home that has no store yet."""
    count = round_.random.randint(4, 8)
    if round_.random.random() < 0.08 and _free_memory() > 18e9:
        count = 32
    round_.chose(f"{count} runs at once")
    commands = [round_.start(*material.ridge(seed)) for seed in range(1, count + 1)]
    for command in commands:
        round_.expect(command.wait(600) == 0, f"a run is refused: {command.errors[-200:]!r}")
    round_.settle()
    found = len(checks.finished_in(round_.home))
    round_.expect(found == count, f"{found} of {count} runs are finished")
    repaired(round_, material)


def identical_at_once(round_: Round, material: Material) -> None:
    """Start the same command twice: one trains, the other says who trains, or that it is done."""
    delay = round_.random.choice((0.0, 0.0, round(round_.random.uniform(0, 3), 3)))
    words = material.small() if round_.random.random() < 0.5 else material.ridge()
    round_.chose(f"{words[2]}, the second {delay} s later")
    first = round_.start(*words)
    time.sleep(delay)
    second = round_.start(*words)
    codes = sorted((first.wait(), second.wait()))
    round_.settle()
    round_.expect(codes in ([0, 0], [0, 2]), f"statuses {codes}")
    for command in (first, second):
        if command.process.returncode == 2:
            said = command.errors
            round_.expect("another process" in said, f"it does not say who trains: {said[-200:]!r}")
    reference = material.reference("one rank" if "proformer" in words else "ridge", words)
    only_finished(round_, words[2], reference)
    trained = len(checks.runs_of(round_.home))
    round_.expect(trained == 1, f"{trained} run folders of one command")
    repaired(round_, material, board=False)


def _free_memory() -> float:
    """Return the available memory (bytes)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return float(line.split()[1]) * 1024
    return 0.0
