"""A user's own table as a task, without Python code: ``--task my.tsv`` or ``--task my.toml``.

The table has a header and tab-separated columns: ``sequence``, ``target`` and, optionally,
``split`` (train, validation, test). A TOML file can describe the table:

    table = "promoters.tsv"         # the only required line
    sequence = "insert"             # names of the columns
    target = "log2_expression"
    split = "fold"
    summary = "what was measured"   # for the card
    unit = "log2 of counts"
    flanks = [17, 13]               # constant bases on the left and right of every sequence
    columns = ["strand", "cell"]    # additional columns: numbers for models, or text
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.config import as_dict, setting, settings
from bench.data.dataset import SPLITS, Dataset, Split, TestSet
from bench.errors import BenchError, argument
from bench.registry import TASKS
from bench.sources.user_table_file import Rows, TableFile, describe_table, read_table
from bench.task import Task

_ADVICE = {
    "train": "Mark more rows as train in the split column.",
    "validation": "Mark some rows as validation in the split column: there are too few rows to "
    "choose them at random.",
    "test": "Mark the rows to score as test in the split column.",
}


@settings
class TableOptions:
    """Settings of the random split, for tables without a complete split column."""

    test: float = setting(0.2, "share of test sequences, without a split column", low=0)
    validation: float = setting(0.05, "share of the other sequences held out", low=0, high=0.5)
    split_seed: int = setting(0, "seed of the split; not the seed of a run", low=0)

    def __post_init__(self) -> None:
        """Check bounds that exclude their end."""
        if not 0 < self.test < 1 or self.validation == 0:
            raise BenchError("task.test is between 0 and 1, and task.validation above 0.")


class TableTask(Task):
    """Base class of table tasks; :func:`table_task` derives a class for one table."""

    Options = TableOptions
    file: ClassVar[TableFile]
    options: TableOptions

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Read the table; its path is known, so the folders are not used."""
        rows = read_table(self.file)
        split = _assign(rows, self.options)
        whole = Split(rows.sequences, rows.target, columns=rows.columns)
        parts = [whole.take(np.flatnonzero(split == name)) for name in SPLITS]
        for name, part in zip(SPLITS, parts, strict=True):
            if not len(part):
                raise BenchError(f"{self.file.table}: no {name} rows. {_ADVICE[name]}")
        test = parts[2]
        return Dataset(
            name=_name(self.file),
            version=self.card.version,
            options=as_dict(self.options),
            usual_length=int(rows.sequences.lengths.max()),
            flanks=self.file.flanks,
            train=parts[0],
            validation=parts[1],
            test=TestSet(test.sequences, test.target, _name(self.file), columns=test.columns),
            notes=_notes(rows, split, self.file.flanks),
        )

    def read_test(self, directory: Path) -> TestSet:
        """Read the table and keep its test rows."""
        return self.read(directory, directory).test

    @classmethod
    def filed_as(cls, name: str) -> str:
        """Return the table's file name without its ending, for any spelling of its path."""
        return _name(cls.file)


def table_task(path: Path) -> type[TableTask]:
    """Return a task for a table, or for a TOML file that describes a table.

    Raises:
        BenchError: The file is missing or wrong.
    """
    if not path.is_file():
        raise BenchError(f"{argument('task')} {path}: no such file.")
    found = describe_table(path) if path.suffix == ".toml" else TableFile(table=path)
    name = _name(found)
    if not name or name.removesuffix("-simulated") in TASKS.places():
        what = f"a task is called '{name}'" if name else "the file has no name before its ending"
        raise BenchError(f"{found.table}: {what}. Rename the file.")
    task_card = TaskCard(
        summary=found.summary,
        version=1,
        row=f"one row of {found.table.name}",
        target=found.unit,
        primary="all/pearson",
        source=Source(citation=str(found.table), url="", license="its owner's"),
    )

    class OwnTable(TableTask):
        """One user's table."""

        card = task_card
        file = found
        home = found.table.parent

    return OwnTable


def _name(file: TableFile) -> str:
    return file.table.name.removesuffix(".gz").removesuffix(".tsv")


def _assign(rows: Rows, options: TableOptions) -> NDArray[np.str_]:
    """Return the split of every row: from the table, or at random with equal sequences together."""
    random = np.random.default_rng(options.split_seed)
    _, group = np.unique(rows.sequences.hashes(), return_inverse=True)
    drawn = random.random(int(group.max()) + 1)[group]
    held_out = random.random(int(group.max()) + 1)[group] < options.validation
    if rows.split is None:
        return np.where(drawn < options.test, "test", np.where(held_out, "validation", "train"))
    if (rows.split == "validation").any():
        return rows.split
    return np.where((rows.split == "train") & held_out, "validation", rows.split)


def _notes(rows: Rows, split: NDArray[np.str_], flanks: tuple[int, int]) -> dict[str, Any]:
    """Return counts that tell a user about weaknesses of the table, such as repeated sequences."""
    hashes, lengths = rows.sequences.hashes(), rows.sequences.lengths
    unique, group = np.unique(hashes, return_inverse=True)
    low, high = np.full(len(unique), np.inf), np.full(len(unique), -np.inf)
    np.minimum.at(low, group, rows.target)
    np.maximum.at(high, group, rows.target)
    seen = hashes[split == "train"]
    return {
        "lengths": f"{lengths.min()} to {lengths.max()}, median {np.median(lengths):g}",
        "rows without a target, left out": rows.without_target,
        "rows with other flanks than the first": _other_flanks(rows, flanks),
        "repeated sequences": len(hashes) - len(unique),
        "repeated sequences with different targets": int((low < high).sum()),
        "repeated in training: test rows": int(np.isin(hashes[split == "test"], seen).sum()),
        "repeated in training: validation rows": int(
            np.isin(hashes[split == "validation"], seen).sum()
        ),
        "split": "drawn by sequence" if rows.split is None else "the table's",
    }


def _other_flanks(rows: Rows, flanks: tuple[int, int]) -> int:
    """Return the number of rows whose flanks differ; a model may cut flanks off."""
    tokens, (left, right) = rows.sequences.base, flanks
    ends = rows.sequences.lengths[:, None] - np.arange(right) - 1
    constant = np.hstack([tokens[:, :left], np.take_along_axis(tokens, ends, axis=1)])
    return int((constant != constant[0]).any(axis=1).sum())
