"""One round of the suite: its commands, its random choices, and the problems that it has found.

Every command runs in a session of its own, with its output in files. What must hold for every
command is checked when it ends: its status, the lines that it prints, and the processes it leaves.
"""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import bench
from tests.faults import processes
from tests.faults.processes import MARK

PATIENCE = 15.0  # seconds that processes may live after the command that started them
LIMIT = 240.0  # seconds that a command may take; the machine may be busy
_CRASHES = ("Traceback (most recent call last)", "Fatal Python error", "terminate called")


class Skipped(Exception):  # noqa: N818  # not an error
    """A round cannot be done on this machine."""


class Command:
    """A command that runs, or has ended.

    Attributes:
        words: Words of the command line.
        process: The process.
        sent: Signals that the round has sent to any process of the command.
    """

    def __init__(
        self, round_: "Round", words: Sequence[str], process: "subprocess.Popen[bytes]", out: Path
    ) -> None:
        self.words, self.process, self.sent = words, process, set[int]()
        self._round, self._out, self._err = round_, out, out.with_suffix(".err")

    @property
    def output(self) -> str:
        """What the command has printed to standard output."""
        return self._out.read_text(errors="replace")

    @property
    def errors(self) -> str:
        """What the command has printed to standard error."""
        return self._err.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether the command runs."""
        return self.process.poll() is None

    @property
    def children(self) -> list[int]:
        """Numbers of the ``bench`` processes of this round other than the command itself."""
        found = processes.marked(self._round.token)
        return sorted(p for p, words in found.items() if "bench" in words and p != self.process.pid)

    def send(self, number: int, pid: int | None = None, *, group: bool = False) -> None:
        """Send a signal to the command, its process group, or another process."""
        self.sent.add(number)
        self._round.events[signal.Signals(number).name] += 1
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(pid or self.process.pid, number)

    def wait(self, limit: float = LIMIT, codes: Sequence[int] = (), *, silent: bool = False) -> int:
        """Wait for the end; note a wrong status, a traceback, and a refusal without its line.

        Args:
            limit: Time that the command has (s).
            codes: Statuses that are right, beyond the usual ones.
            silent: Whether standard error is closed, so that no line is expected.
        """
        said = shlex.join(self.words[self.words.index("bench") + 1 :])[:100]
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self._round.problem(f"no end after {limit:.0f} s: {said}")
            processes.end_all(self._round.token)
            return self.process.wait()
        allowed = {0, 2, 130, *codes}
        for number in self.sent:
            allowed |= {128 + number, -number}
        text = self.errors + self.output
        last = (self.errors.strip().splitlines() or ["nothing"])[-1][:200]
        if code not in allowed:
            self._round.problem(f"status {code}: {last} ({said})")
        if any(crash in text for crash in _CRASHES):
            self._round.problem(f"a traceback: {last} ({said})")
        elif code == 2 and not silent and not last.startswith("bench: "):
            self._round.problem(f"status 2 without a line that says why: {last} ({said})")
        return code


class Round:
    """One round.

    Attributes:
        group: Name of the group of faults.
        seed: Seed of all random choices.
        random: Generator of the random choices.
        folder: Folder of the round, empty at first; the commands run in it.
        home: Folder of all runs of the round.
        cache: Folder of the encoded data.
        token: Value of the mark in the environment of the round's processes.
        problems: What did not hold, as (case, text).
        kept: Folders outside of ``folder`` that belong to the round.
    """

    def __init__(self, group: str, seed: int, folder: Path, cache: Path, token: str) -> None:
        folder.mkdir(parents=True)
        self.group, self.seed, self.folder, self.cache, self.token = (
            group,
            seed,
            folder,
            cache,
            token,
        )
        self.random, self.home = random.Random(f"{group} {seed}"), folder / "home"
        self.problems: list[tuple[str, str]] = []
        self.choices: list[str] = []
        self.events: Counter[str] = Counter()
        self.kept: list[Path] = []
        self._case, self._cases, self._commands = "", 0, list[Command]()

    @property
    def tried(self) -> int:
        """Number of cases; a round that names none is one."""
        return max(1, self._cases)

    @property
    def failed(self) -> int:
        """Number of cases with a problem."""
        return min(self.tried, len({case for case, _ in self.problems}))

    def chose(self, text: str) -> None:
        """Note a random choice, which is printed with the round."""
        self.choices.append(text)

    def problem(self, text: str) -> None:
        """Note what does not hold."""
        self.problems.append((self._case, f"{self._case}: {text}" if self._case else text))

    def expect(self, held: bool, text: str) -> None:
        """Note a problem unless something held."""
        if not held:
            self.problem(text)

    @contextmanager
    def case(self, name: str) -> Iterator[None]:
        """Count a case, and note the problems in the block as its own."""
        self._case, self._cases = name, self._cases + 1
        try:
            yield
        finally:
            self._case = ""

    def start(
        self,
        *arguments: str | Path,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Command:
        """Start a command of ``bench``.

        Args:
            arguments: Arguments of the command.
            prefix: Words of a program that runs the command.
            environment: Variables in addition; None removes one.
            cwd: Folder to run in, if it is not the folder of the round.
        """
        words = [*prefix, sys.executable, "-P", "-m", "bench", *map(str, arguments)]
        out = self.folder / f"{len(self._commands):02}.out"
        with (self.folder / "commands.txt").open("a") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {shlex.join(words)}\n")
        with out.open("wb") as output, out.with_suffix(".err").open("wb") as errors:
            process = subprocess.Popen(
                words,
                cwd=cwd or self.folder,
                env=self._environment(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        command = Command(self, words, process, out)
        self._commands.append(command)
        return command

    def bench(
        self,
        *arguments: str | Path,
        ok: bool = True,
        limit: float = LIMIT,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Command:
        """Run a command to its end; unless ``ok`` is False, a status other than 0 is a problem."""
        command = self.start(*arguments, prefix=prefix, environment=environment, cwd=cwd)
        code = command.wait(limit)
        if ok and code == 2:
            last = (command.errors.strip().splitlines() or ["nothing"])[-1][:300]
            self.problem(f"{shlex.join(map(str, arguments))[:60]} is refused: {last}")
        self.settle()
        return command

    def settle(self, seconds: float = PATIENCE) -> None:
        """Wait until all processes of ended commands are gone; note and kill those that are not."""
        if any(command.running for command in self._commands):
            return
        left = processes.wait_until_gone(self.token, seconds)
        for pid, words in left.items():
            self.problem(f"process {pid} lives {seconds:.0f} s later: {' '.join(words)[:120]}")
        if left:
            processes.end_all(self.token)

    def until(self, happened: Callable[[], object], seconds: float = 90) -> bool:
        """Wait until something has happened; return False if it has not after some seconds."""
        end = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def close(self) -> None:
        """Kill what is left of the round."""
        processes.end_all(self.token)
        for command in self._commands:
            command.process.wait()

    def _environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        ours = {
            MARK: self.token,
            "HOME": str(self.cache.parent),
            "BENCH_HOME": str(self.home),
            "BENCH_CACHE": str(self.cache),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(bench.__file__).parents[1]),
        }
        outer = {
            name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ
        }
        merged = {**outer, **ours, **changes}
        return {name: value for name, value in merged.items() if value is not None}
