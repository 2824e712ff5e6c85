"""What the rounds share: a table, small configurations, undisturbed runs, and ready homes."""

import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults import checks
from tests.faults.rounds import Round

ROWS, TRAINED, VALIDATED, LETTERS = 400, 300, 50, 40
UPDATES = 300  # of the small Proformer: five seconds, with 17 validations


def write_table(path: Path, *, rows: int = ROWS, trained: int = TRAINED) -> Path:
    """Write a table of DNA whose target is the number of G, and noise."""
    generator, lines = np.random.default_rng(0), ["sequence\ttarget\tsplit"]
    for number in range(rows):
        text = "".join(generator.choice(list("ACGT"), LETTERS))
        rest = "validation" if number < trained + VALIDATED else "test"
        split = "train" if number < trained else rest
        lines.append(f"{text}\t{text.count('G') + generator.normal():.4f}\t{split}")
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class Material:
    """What is made once and used by many rounds.

    Attributes:
        folder: Folder of the suite.
        token: Beginning of the marks of all rounds.
    """

    folder: Path
    token: str
    _references: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = write_table(self.folder / "t.tsv")
        self.cache = self.folder / "cache"
        self.cache.mkdir()

    def small(self, devices: int = 1) -> list[str]:
        """Return the words of a small network with noise, which saves its state all the time."""
        words = ["run", "--model", "proformer", "--task", str(self.table), "--preset", "smoke"]
        words += ["--set", "recipe.batch_size=16", "--set", "model.dim=16", "--device", "cpu"]
        words += ["--set", "model.dropout=0.1", "--epochs", "20", "--max-steps", str(UPDATES)]
        return words + ["--devices", str(devices)] * (devices > 1)

    def ridge(self, seed: int = 0) -> list[str]:
        """Return the words of a run of two seconds."""
        return ["run", "--model", "kmer-ridge", "--task", str(self.table), "--seed", str(seed)]

    def private(self, name: str) -> Round:
        """Return a round in which something is made that other rounds use."""
        return Round(name, 0, self.folder / "made" / name, self.cache, f"{self.token}{name}.")

    def reference(self, name: str, words: Sequence[str]) -> dict[str, Any]:
        """Return what an undisturbed run comes to; it is made when it is first asked for."""
        if name not in self._references:
            made = self.private(name)
            made.bench(*words, "--no-tracking")
            finished = checks.finished_in(made.home)
            assert not made.problems, made.problems
            assert len(finished) == 1
            self._references[name] = checks.outcome(next(iter(finished)))
        return self._references[name]

    def ready(self, round_: Round, name: str, make: Callable[[Round], None]) -> Path:
        """Give a round a home that has runs in it already; it is made once and then copied.

        The copy always lies at the same place, because a store holds the paths of its artifacts.
        """
        saved, place = self.folder / "ready" / name, self.folder / "at" / name
        if not saved.exists():
            made = self.private(name)
            made.home = place
            make(made)
            assert not made.problems, made.problems
            shutil.copytree(place, saved, symlinks=True)
        if place.exists():
            shutil.rmtree(place)
        shutil.copytree(saved, place, symlinks=True)
        round_.home = place
        round_.kept.append(place)
        return place

    def with_three_runs(self, round_: Round) -> Path:
        """Give a round a home with three finished runs; older.db is the store with two of them."""

        def make(made: Round) -> None:
            for seed in (1, 2, 3):
                made.bench(*self.ridge(seed))
                if seed == 2:
                    shutil.copy(made.home / "mlflow.db", self.folder / "older.db")

        return self.ready(round_, "three", make)

    def with_a_stopped_run(self, round_: Round) -> Path:
        """Give a round a home with two finished runs and one that was stopped in the middle."""

        def make(made: Round) -> None:
            for seed in (1, 2):
                made.bench(*self.ridge(seed))
            running = made.start(*self.small(), "--checkpoint-minutes", "0")
            made.until(lambda: points(made.home, "proformer") >= 4)
            running.send(signal.SIGTERM)
            running.wait()
            made.expect(points(made.home, "proformer") < 17, "the run was not stopped in time")

        return self.ready(round_, "stopped", make)


def points(home: Path, model: str) -> int:
    """Return the number of validations of the run of a model that got furthest."""
    logs = home.glob(f"{model}*/metrics.jsonl")
    return max((path.read_text(errors="replace").count("\n") for path in logs), default=0)


def only_finished(round_: Round, model: str, reference: dict[str, Any]) -> None:
    """Note whether one run of a model is finished, and is what an undisturbed run is."""
    found = [path for path in checks.finished_in(round_.home) if path.name.startswith(model)]
    round_.expect(len(found) == 1, f"{len(found)} finished runs of {model} in place of one")
    for path in found:
        for text in checks.differences(checks.outcome(path), reference):
            round_.problem(text)


def inspect(round_: Round, home: Path) -> None:
    """Note what is missing, doubled or left behind in a home that was repaired."""
    for text in (*checks.store(home), *checks.leftovers(home)):
        round_.problem(text)


def repaired(round_: Round, material: Material, *, board: bool = True) -> None:
    """Sync, then note what is missing, doubled, left behind, or not ranked."""
    round_.bench("sync")
    inspect(round_, round_.home)
    if board:
        shown = round_.bench("leaderboard", "--task", material.table, "--format", "json")
        finished = {
            path.name
            for path, told in checks.finished_in(round_.home).items()
            if path.parent == round_.home and told["data"]["name"] == material.table.stem
        }
        if shown.process.returncode == 0:
            missing = finished - checks.ranked(shown.output)
            round_.expect(not missing, f"{len(missing)} of {len(finished)} runs are not ranked")
