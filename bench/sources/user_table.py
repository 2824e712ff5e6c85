"""A user's own table as a task, with no Python: ``--task my.tsv`` or ``--task my.toml``.

The table has a header and tab-separated columns: ``sequence``, ``target`` and, if wanted, ``split``
(train, validation, test). A TOML file beside it can say more:

    table = "promoters.tsv"         # the only line that is needed
    sequence = "insert"             # names of the columns
    target = "log2_expression"
    split = "fold"
    summary = "what was measured"   # for the card
    unit = "log2 of counts"
    flanks = [17, 13]               # constant letters on the left and right of every sequence
    columns = ["strand", "cell"]    # further columns to carry: numbers for models, or text
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

_LACKING = {
    "train": "Call more of the rows train in the split column.",
    "validation": "Call some validation in the split column; there are too few to draw them from.",
    "test": "Rows that scores are taken on are called test in the split column.",
}


@settings
class TableOptions:
    """How rows are split where the table does not say it."""

    test: float = setting(0.2, "share of the sequences tested on, without a split column", low=0)
    validation: float = setting(0.05, "share of the other sequences held out", low=0, high=0.5)
    split_seed: int = setting(0, "draws both; not the seed of a run", low=0)

    def __post_init__(self) -> None:
        """Check what a bound of a single field cannot say."""
        if not 0 < self.test < 1 or self.validation == 0:
            raise BenchError("task.test is between 0 and 1, and task.validation above 0.")


class TableTask(Task):
    """See the module docstring; :func:`table_task` makes a class of it for one table."""

    Options = TableOptions
    file: ClassVar[TableFile]
    options: TableOptions

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Read the table; its folder is known, so the arguments do not matter."""
        rows = read_table(self.file)
        split = _assign(rows, self.options)
        whole = Split(rows.sequences, rows.target, columns=rows.columns)
        parts = [whole.take(np.flatnonzero(split == name)) for name in SPLITS]
        for name, part in zip(SPLITS, parts, strict=True):
            if not len(part):
                raise BenchError(f"{self.file.table}: no {name} rows. {_LACKING[name]}")
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
        """Return the table's file name, however its path was typed."""
        return _name(cls.file)


def table_task(path: Path) -> type[TableTask]:
    """Make a task of a table, or of a TOML file that describes one.

    Raises:
        BenchError: The file is missing or says something unknown.
    """
    if not path.is_file():
        raise BenchError(f"{argument('task')} {path}: no such file.")
    found = describe_table(path) if path.suffix == ".toml" else TableFile(table=path)
    name = _name(found)
    if not name or name.removesuffix("-simulated") in TASKS.places():
        what = f"a task is called '{name}'" if name else "no name to file results under"
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
    """Give every row a split: the table's, or drawn by sequence, so that repeats stay together."""
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
    """Count what a user should know of before believing a score."""
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
    """Count rows whose flanks are not constant: letters that a model may cut off unread."""
    tokens, (left, right) = rows.sequences.base, flanks
    ends = rows.sequences.lengths[:, None] - np.arange(right) - 1
    constant = np.hstack([tokens[:, :left], np.take_along_axis(tokens, ends, axis=1)])
    return int((constant != constant[0]).any(axis=1).sum())
