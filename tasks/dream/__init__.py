"""DREAM Challenge 2022: expression of random yeast promoters.

A promoter is 110 nt: TGCATTTTTTTCACATC (17), about 80 random bases, GGTTACGGCTGTT (13). Cells are
sorted by a reporter's fluorescence into 18 bins; a promoter's expression is the mean bin of its
cells. A promoter that was seen in a single bin has a whole number ("singleton"). The test promoters
were measured separately, in many cells, on another scale, which correlations do not depend on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.config import as_dict, setting, settings
from bench.data.dataset import Dataset, Split, TestSet
from bench.errors import BenchError, argument
from bench.sources.encoding_cache import open_table
from bench.task import Task
from bench.tasks.dream import scoring
from bench.tasks.dream.files import OWN_TRAIN, OWN_VALIDATION, REMOTE, TEST, TRAIN

_HELP = "`bench data get dream` fetches it;"


@settings
class DreamOptions:
    """Choice of the training and validation rows; the test rows are always the same."""

    fraction: float = setting(1.0, "share of training rows used; the talk's ablation: 0.1", low=0)
    singletons: Literal["all", "half"] = setting(
        "all", "half drops every second whole-number row from training, as MadLab did"
    )
    validation: float = setting(0.05, "share of train_sequences.txt held out", low=0, high=0.5)
    split_seed: int = setting(0, "seed of the held-out rows; not the seed of a run", low=0)

    def __post_init__(self) -> None:
        """Check bounds that exclude their end."""
        if not 0 < self.fraction <= 1:
            raise BenchError(f"task.fraction is above 0 and at most 1; got {self.fraction}.")
        if self.validation == 0:
            raise BenchError("task.validation must be above 0: the best epoch is chosen by it.")


class Dream(Task):
    """Expression of random yeast promoters; see the module docstring."""

    Options = DreamOptions
    card = TaskCard(
        summary="expression of 6.7 million random yeast promoters",
        version=2,
        row="one promoter, 110 nt with its constant flanks",
        target="mean sorting bin, 0-17 (training); MAUDE expression (test)",
        primary="pearson_score",
        source=Source(
            citation="Rafi et al., Nature Biotechnology (2024), doi:10.1038/s41587-024-02414-w",
            url="https://zenodo.org/records/10633252",
            license="as stated on the record",
        ),
    )

    options: DreamOptions
    row_sets = ("private", "public", "all")
    subsets = tuple(scoring.FILES)
    files = REMOTE

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Read the release's files; see :meth:`bench.task.Task.read`."""
        train, validation, notes = self._read_training(directory)
        test = self.read_test(test_directory)
        if test.missing:
            notes["missing files"] = list(test.missing.values())
        if test.remarks:
            notes["test subsets"] = list(test.remarks.values())
        return Dataset(
            name=_name(directory, test_directory),
            version=self.card.version,
            options=as_dict(self.options),
            usual_length=110,
            flanks=(17, 13),
            train=train,
            validation=validation,
            test=test,
            notes=notes,
        )

    def read_test(self, directory: Path) -> TestSet:
        """Read the test file, the subsets and the public lists."""
        file = _either(directory, TEST)
        if file is None:
            raise BenchError(
                f"{directory}: no {TEST}. {_HELP} {argument('test_data')} names another folder."
            )
        table = open_table(file, self.console)
        subsets, missing, remarks = scoring.read_subsets(directory, len(table.numbers))
        return TestSet(table.sequences, table.numbers, _name(directory), subsets, missing, remarks)

    def read_subset(self, name: str, path: Path, rows: int) -> NDArray[np.int64]:
        """Read a subset from a user's file, such as own SNV pairs."""
        if name not in scoring.FILES:
            raise BenchError(f"dream has no subset '{name}'. It has: {', '.join(scoring.FILES)}.")
        return scoring.read_subset(name, path, rows)

    def subset_remark(self, name: str, path: Path) -> str:
        """Return a remark on SNV pairs that are not the organisers'."""
        return scoring.remark(name, path)

    def remarks(self, test: TestSet, rows: str) -> tuple[str, ...]:
        """Return the remarks on the subsets; the public rows have lists of their own."""
        return () if rows == "public" else super().remarks(test, rows)

    def missing_file(self, test: TestSet, rows: str) -> str | None:
        """Return a missing public list; private and public rows need all of these lists."""
        if rows == "all":
            return None
        return next((test.missing[name] for name in scoring.PUBLIC if name in test.missing), None)

    def scoring_groups(self, test: TestSet, rows: str) -> Mapping[str, NDArray[np.int64]]:
        """Return rows and pairs by subset; see :func:`bench.tasks.dream.scoring.scoring_groups`."""
        return scoring.scoring_groups(test, rows)

    def overall(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the organisers' two scores."""
        return scoring.overall(metrics)

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        """Write a simulated assay; see :mod:`bench.tasks.dream.simulate`."""
        from bench.tasks.dream.simulate import simulate

        return asdict(simulate(directory, rows=rows, seed=seed))

    def _read_training(self, directory: Path) -> tuple[Split, Split, dict[str, Any]]:
        """Read and split the training rows; the organisers' own split is used if it exists."""
        random = np.random.default_rng(self.options.split_seed)
        own = [_either(directory, name) for name in (OWN_TRAIN, OWN_VALIDATION)]
        if own[0] is not None and own[1] is not None:
            table, other = open_table(own[0], self.console), open_table(own[1], self.console)
            validation = Split(other.sequences, other.numbers)
            rows = random.permutation(len(table.numbers))
            split = f"the organisers' {OWN_TRAIN} and {OWN_VALIDATION}"
        else:
            file = _either(directory, TRAIN)
            if file is None:
                raise BenchError(
                    f"{directory}: no {TRAIN}. {_HELP} {argument('data')} names another folder."
                )
            table = open_table(file, self.console)
            rows = random.permutation(len(table.numbers))
            held_out = max(1, round(len(rows) * self.options.validation))
            validation = Split(table.sequences, table.numbers).take(np.sort(rows[:held_out]))
            rows = rows[held_out:]
            split = f"{self.options.validation * 100:g}% of {TRAIN}, seed {self.options.split_seed}"
        target = table.numbers[rows]
        whole = target == np.rint(target)
        if self.options.singletons == "half":
            rows = rows[~whole | (random.random(len(rows)) < 0.5)]
        rows = rows[: max(1, round(len(rows) * self.options.fraction))]
        chosen = np.zeros(len(table.numbers), dtype=bool)  # a sort of millions takes longer
        chosen[rows] = True
        notes = {
            "validation": split,
            "repeated training sequences": table.repeats,
            "share of singletons": round(float(whole.mean()), 4) if len(whole) else 0.0,
        }
        train = Split(table.sequences, table.numbers).take(np.flatnonzero(chosen))
        return train, validation, notes


def _name(*directories: Path) -> str:
    simulated = any((directory / "simulated.json").is_file() for directory in directories)
    return "dream-simulated" if simulated else "dream"


def _either(directory: Path, name: str) -> Path | None:
    """Return the path of a file or of its gzipped form, or None."""
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            return path
    return None
