"""Tasks that are broken on purpose: one good task, and a few lines for each fault."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.data.dataset import Dataset, Split, TestSet
from bench.metrics import Metric
from bench.task import Task

Groups = Mapping[str, NDArray[np.int64]]
_ROWS = {"train": 300, "validation": 60, "test": 120}


class Good(Task):
    """Random DNA with a random target, and a group of half of the test rows."""

    card = TaskCard(
        summary="random rows",
        version=1,
        row="one sequence",
        target="a number",
        primary="score",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )
    subsets = ("half",)

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        found = json.loads((directory / "rows.json").read_text())
        random = np.random.default_rng((found["seed"], found["rows"]))
        train, validation, test = (self.rows(random, count) for count in _ROWS.values())
        return Dataset(
            name="good",
            train=train,
            validation=validation,
            test=TestSet(test.sequences, test.target, "good", columns=test.columns),
            flanks=(2, 3),
        )

    def rows(self, random: np.random.Generator, count: int) -> Split:
        letters = ["".join(random.choice(list("ACGT"), 30)) for _ in range(count)]
        cells = random.choice(["a", "b"], count)
        return Split.of([f"AC{t}GGT" for t in letters], random.normal(size=count), cell=cells)

    def read_test(self, directory: Path) -> TestSet:
        return self.read(directory, directory).test

    def scoring_groups(self, test: TestSet, rows: str) -> Groups:
        return {"all": np.arange(len(test)), "half": np.flatnonzero(test.columns["cell"] == "a")}

    def overall(self, metrics: Mapping[str, float]) -> dict[str, float]:
        return {"score": (metrics["all/pearson"] + metrics["half/pearson"]) / 2}

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        (directory / "rows.json").write_text(json.dumps({"seed": seed, "rows": rows}))
        (directory / "simulated.json").write_text("{}")
        return {}


class NoSeed(Good):
    def rows(self, random: np.random.Generator, count: int) -> Split:
        return super().rows(np.random.default_rng(), count)


class HashOrder(Good):
    def rows(self, random: np.random.Generator, count: int) -> Split:
        split = super().rows(random, count)
        return split.take(np.argsort([hash(f"row {row}") for row in range(count)]))


class OtherTestRows(Good):
    def read_test(self, directory: Path) -> TestSet:
        test = super().read_test(directory)
        return replace(test, target=test.target + 1)


class Leak(Good):
    def read(self, directory: Path, test_directory: Path) -> Dataset:
        data = super().read(directory, test_directory)
        return replace(data, train=data.test.take(np.arange(100)))


class Constant(Good):
    def rows(self, random: np.random.Generator, count: int) -> Split:
        split = super().rows(random, count)
        return replace(split, target=np.where(np.arange(count) < 0.95 * count, 0, split.target))


class NotFinite(Good):
    def rows(self, random: np.random.Generator, count: int) -> Split:
        split = super().rows(random, count)
        return replace(split, target=np.where(np.arange(count) == 3, np.nan, split.target))


class WrongFlanks(Good):
    def read(self, directory: Path, test_directory: Path) -> Dataset:
        return replace(super().read(directory, test_directory), flanks=(4, 3))


class NoSuchRows(Good):
    def scoring_groups(self, test: TestSet, rows: str) -> Groups:
        return {"all": np.arange(len(test)), "half": np.arange(len(test)) + 7}


class NoGroupAll(Good):
    def scoring_groups(self, test: TestSet, rows: str) -> Groups:
        return {"half": np.arange(len(test))}


class EmptyGroup(Good):
    def scoring_groups(self, test: TestSet, rows: str) -> Groups:
        return {"all": np.arange(len(test)), "half": np.arange(0)}


class Minimum(Good):
    def overall(self, metrics: Mapping[str, float]) -> dict[str, float]:
        return {"score": min(metrics["all/pearson"], metrics["half/pearson"])}


class NoSuchScore(Good):
    card = replace(Good.card, primary="pearson_score")


class Direction(Good):
    metrics = (
        Metric(
            name="error",
            label="Error",
            function=lambda x, y: float(np.abs(x - y).mean()),
            higher_is_better=True,
            correlation=False,
        ),
    )


class OtherSimulation(Good):
    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        return super().simulate(
            directory, rows=rows, seed=np.random.default_rng().integers(99).item()
        )


class Empty(Good):
    def read(self, directory: Path, test_directory: Path) -> Dataset:
        data = super().read(directory, test_directory)
        return replace(data, validation=data.validation.take(np.arange(0)))


FAULTS: dict[type[Task], set[str]] = {
    Good: set(),
    NoSeed: {"fingerprint stable"},
    HashOrder: {"fingerprint stable"},
    OtherTestRows: {"test rows alone"},
    Leak: {"splits disjoint"},
    Constant: {"target spread"},
    NotFinite: {"target spread"},
    WrongFlanks: {"flanks constant"},
    NoSuchRows: {"groups and units"},
    NoGroupAll: {"groups and units"},
    EmptyGroup: {"groups and units"},
    Minimum: {"overall takes arrays"},
    NoSuchScore: {"true predictions"},
    Direction: {"random predictions"},
    OtherSimulation: {"simulation"},
    Empty: {"reads"},
}
