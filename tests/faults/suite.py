"""The loop over rounds, and the table at the end."""

import json
import re
import secrets
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.faults import processes
from tests.faults.groups import Group
from tests.faults.material import Material
from tests.faults.rounds import Round, Skipped


@dataclass
class Tally:
    """Counts of one group.

    Attributes:
        rounds: Number of rounds.
        tried: Number of cases.
        failed: Number of cases that did not hold.
        seconds: Time of all rounds (s).
        failures: Seed, problems and folder of every round that did not hold.
        skipped: Reason for which the group was skipped; empty if it was not.
    """

    rounds: int = 0
    tried: int = 0
    failed: int = 0
    seconds: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)
    skipped: str = ""


class Suite:
    """The suite: a folder for everything, and the counts so far.

    Args:
        seed: Seed of the first round of each group; the next round has the next number.
        keep: Whether the folders of rounds that held are kept, too.
    """

    def __init__(self, seed: int, *, keep: bool) -> None:
        self._seed, self._keep = seed, keep
        self.token = f"{secrets.token_hex(4)}."
        self.tallies: dict[str, Tally] = {}
        self.events: Counter[str] = Counter()
        self._stack = ExitStack()

    def __enter__(self) -> "Suite":
        self.folder = Path(tempfile.mkdtemp(prefix="bench-faults-"))
        self.material = Material(self.folder, self.token)
        self._listening = self._stack.enter_context(processes.watched(self.token))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        processes.end_all(self.token)
        if not self._keep and not any(tally.failures for tally in self.tallies.values()):
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, groups: Sequence[Group], seconds: float) -> None:
        """Do rounds for some time, at least one; each group has its share of the time."""
        for group in groups:
            self.tallies.setdefault(group.name, Tally())
        end = time.monotonic() + seconds
        print(f"seed {self._seed}, folder {self.folder}", flush=True)
        while True:
            able = [group for group in groups if not self.tallies[group.name].skipped]
            if not able:
                return
            group = min(able, key=lambda g: self.tallies[g.name].seconds / g.share)
            self.play(group, self._seed + self.tallies[group.name].rounds)
            if time.monotonic() >= end:
                return

    def play(self, group: Group, seed: int) -> None:
        """Do one round, check what must hold after each, and print a line."""
        name, tally, started = f"{group.name}-{seed}", self.tallies[group.name], time.monotonic()
        token = f"{self.token}{name}."
        round_ = Round(group.name, seed, self.folder / name, self.material.cache, token)
        self._listening.clear()
        try:
            group.act(round_, self.material)
            round_.settle()
        except Skipped as reason:
            tally.skipped = str(reason)
            print(f"{group.name:16} {seed:6}  skipped: {reason}", flush=True)
            return
        except Exception:  # a round that fails by itself must not end an hour's work
            round_.problem(f"the round itself failed: {traceback.format_exc(limit=-3)}")
        finally:
            round_.close()
            tally.seconds += time.monotonic() - started
        for text in sorted(self._listening):
            round_.problem(text)
        self._count(round_, tally)

    def _count(self, round_: Round, tally: Tally) -> None:
        tally.rounds, tally.tried = tally.rounds + 1, tally.tried + round_.tried
        tally.failed += round_.failed
        self.events += round_.events
        line = f"{round_.group:16} {round_.seed:6}  {'; '.join(round_.choices)[:300]}"
        if not round_.problems:
            print(f"{line}  held ({round_.tried})", flush=True)
            if not self._keep:
                shutil.rmtree(round_.folder, ignore_errors=True)
            return
        for place in round_.kept:
            shutil.copytree(place, round_.folder / place.name, symlinks=True, dirs_exist_ok=True)
        texts = list(dict.fromkeys(text for _, text in round_.problems))
        tally.failures.append(
            {"seed": round_.seed, "problems": texts, "folder": str(round_.folder)}
        )
        print(f"{line}  FAILED ({round_.failed} of {round_.tried}), see {round_.folder}")
        print("\n".join(f"    {text}" for text in texts[:12]), flush=True)

    def report(self, groups: Sequence[Group], file: Path | None) -> None:
        """Print the table, and write it as JSON."""
        print(f"\n{'group':16} {'rounds':>6} {'tried':>6} {'held':>6}  seeds of failed rounds")
        for group in groups:
            tally = self.tallies.get(group.name, Tally())
            seeds = " ".join(str(failure["seed"]) for failure in tally.failures)
            held = tally.tried - tally.failed
            print(
                f"{group.name:16} {tally.rounds:6} {tally.tried:6} {held:6}  "
                f"{seeds or (tally.skipped and f'skipped: {tally.skipped}') or '-'}"
            )
        kinds = Counter(
            _kind(text)
            for tally in self.tallies.values()
            for failure in tally.failures
            for text in failure["problems"]
        )
        print("\nwhat did not hold, and in how many rounds" if kinds else "")
        for kind, count in kinds.most_common(40):
            print(f"{count:5}  {kind}")
        print("\nevents: " + ", ".join(f"{k} {v}" for k, v in sorted(self.events.items())))
        print("repeat a round: python -m tests.faults --group NAME --seed N", flush=True)
        if file is not None:
            found = {"seed": self._seed, "events": dict(self.events)}
            counts = {name: asdict(tally) for name, tally in self.tallies.items()}
            file.write_text(json.dumps({**found, "groups": counts}, indent=1) + "\n")


def _kind(text: str) -> str:
    """Return a problem without names and numbers, which differ from round to round."""
    short = re.sub(r"/\S*/|\b[0-9a-f]{8,}\b", "", text.splitlines()[-1])
    return re.sub(r"\d+", "N", re.sub(r"-s\d+-\d+-\d+-[0-9a-f]{4}", "", short))[:110]
