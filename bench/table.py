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
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.dataset import SPLITS, Dataset, Split, TestSet
from bench.errors import BenchError, first_line
from bench.readers import LARGEST
from bench.sequences import LETTERS, Sequences, encode_lines
from bench.settings import as_dict, setting
from bench.task import Task

if TYPE_CHECKING:
    import polars

SUFFIXES = (".tsv", ".tsv.gz", ".toml")
_VALIDATION = {"val": "validation", "valid": "validation", "dev": "validation"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TableOptions:
    """How rows are split where the table does not say it."""

    test: float = setting(0.2, "share of the sequences tested on, without a split column", low=0)
    validation: float = setting(0.05, "share of the other sequences held out", low=0, high=0.5)
    split_seed: int = setting(0, "draws both; not the seed of a run", low=0)

    def __post_init__(self) -> None:
        """Check what a bound of a single field cannot say."""
        if not 0 < self.test < 1 or self.validation == 0:
            raise BenchError("task.test is between 0 and 1, and task.validation above 0.")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFile:
    """Where a table lies and what its columns are called."""

    table: Path
    sequence: str = "sequence"
    target: str = "target"
    split: str = "split"
    summary: str = "a table of one's own"
    unit: str = "as in the table"
    flanks: tuple[int, int] = (0, 0)


class TableTask(Task):
    """See the module docstring; :func:`table_task` makes a class of it for one table."""

    Options = TableOptions
    file: ClassVar[TableFile]
    options: TableOptions

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Read the table; its folder is known, so the arguments do not matter."""
        rows = _read(self.file)
        split = _assign(rows, self.options)
        parts = [
            Split(rows.sequences, rows.target).take(np.flatnonzero(split == n)) for n in SPLITS
        ]
        for name, part in zip(SPLITS, parts, strict=True):
            if not len(part):
                raise BenchError(
                    f"{self.file.table}: no {name} rows. Rows that scores are taken on are called "
                    "test in the split column, others train; validation may be left out."
                )
        return Dataset(
            name=self.name(),
            version=self.card.version,
            options=as_dict(self.options),
            usual_length=int(rows.sequences.lengths.max()),
            flanks=self.file.flanks,
            train=parts[0],
            validation=parts[1],
            test=TestSet(parts[2].sequences, parts[2].target, self.name()),
            notes=_notes(rows, split),
        )

    def read_test(self, directory: Path) -> TestSet:
        """Read the table and keep its test rows."""
        return self.read(directory, directory).test

    @classmethod
    def name(cls) -> str:
        """Return what results are filed under: the table's file name."""
        return cls.file.table.name.removesuffix(".gz").removesuffix(".tsv")

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        """Refuse: nobody knows what the table measures."""
        raise BenchError("a table of one's own cannot be simulated.")


def table_task(path: Path) -> type[TableTask]:
    """Make a task of a table, or of a TOML file that describes one.

    Raises:
        BenchError: The file is missing or says something unknown.
    """
    if not path.is_file():
        raise BenchError(f"--task {path}: no such file.")
    found = _describe(path) if path.suffix == ".toml" else TableFile(table=path)
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


def _describe(path: Path) -> TableFile:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: {first_line(error)}") from None
    known = {field.name for field in fields(TableFile)}
    unknown = sorted(set(values) - known)
    if unknown or "table" not in values:
        what = f"'{unknown[0]}' is unknown" if unknown else 'table = "FILE.tsv" is missing'
        raise BenchError(f"{path}: {what}. It takes: {', '.join(sorted(known))}.")
    flanks = values.get("flanks", [0, 0])
    whole = isinstance(flanks, list) and len(flanks) == 2
    if not whole or not all(type(n) is int and n >= 0 for n in flanks):
        raise BenchError(f"{path}: flanks are two numbers of letters, such as [17, 13].")
    texts = {name: value for name, value in values.items() if name != "flanks"}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise BenchError(f"{path}: {name} is a text in quotes.")
    table = path.parent / texts.pop("table")
    if not table.is_file():
        raise BenchError(f"{path}: no such table: {table}")
    return TableFile(table=table, flanks=(flanks[0], flanks[1]), **texts)


@dataclass(frozen=True, slots=True)
class _Rows:
    sequences: Sequences
    target: NDArray[np.float64]
    split: NDArray[np.str_] | None
    without_target: int


def _read(file: TableFile) -> _Rows:
    """Read the columns that matter; rows without a target are left out and counted."""
    frame = _columns(file)
    known = frame.filter(frame["target"].is_not_null())
    sequences, good = encode_lines(known["sequence"].cast(_binary()).to_list())
    bad = ~good | (sequences.lengths == 0)
    if bad.any():
        row = int(np.argmax(bad))
        text = known["sequence"][row]
        wrong = next((x for x in text if x.upper() not in LETTERS), None)
        what = f"letter {wrong!r} is not one of {LETTERS}" if wrong else "no sequence"
        raise BenchError(f"{file.table}, row {known['row'][row] + 2}: {what}: '{text[:40]}'")
    split = known["split"].to_numpy().astype(str) if "split" in known.columns else None
    return _Rows(sequences, known["target"].to_numpy(), split, frame.height - known.height)


def _columns(file: TableFile) -> polars.DataFrame:
    import polars

    names = {file.sequence: "sequence", file.target: "target", file.split: "split"}
    try:
        frame = polars.read_csv(
            file.table, separator="\t", infer_schema=False, quote_char=None, row_index_name="row"
        )
    except (polars.exceptions.PolarsError, OSError) as error:
        raise BenchError(f"{file.table}: {first_line(error)}") from None
    for name in (file.sequence, file.target):
        if name not in frame.columns:
            have = ", ".join(frame.columns[1:])
            raise BenchError(f"{file.table}: no column '{name}'. The header has: {have}.")
    wanted = ["row", *(name for name in names if name in frame.columns)]
    frame = frame.select(wanted).rename({n: names[n] for n in wanted[1:]})
    frame = frame.with_columns(polars.col("sequence").fill_null(""))
    text = frame["target"].str.strip_chars()
    number = text.cast(polars.Float64, strict=False)
    missing = text.is_null() | text.str.to_lowercase().is_in(["", "na", "nan", "null"])
    wrong = ~missing & ~(number.abs() <= LARGEST).fill_null(False)
    _fault(file, frame, wrong, "target", "is not a finite number")
    frame = frame.with_columns(target=polars.when(~missing).then(number))
    if "split" in frame.columns:
        split = frame["split"].fill_null("").str.to_lowercase().replace(_VALIDATION)
        _fault(
            file, frame, ~split.is_in(list(SPLITS)), "split", f"is not one of {', '.join(SPLITS)}"
        )
        frame = frame.with_columns(split=split)
    if not frame.height or missing.all():
        raise BenchError(f"{file.table}: no row has a target.")
    return frame


def _fault(
    file: TableFile, frame: polars.DataFrame, wrong: polars.Series, column: str, what: str
) -> None:
    if wrong.any():
        row = wrong.arg_true()[0]
        value = (frame[column][row] or "")[:40]
        raise BenchError(f"{file.table}, row {row + 2}: {column} '{value}' {what}.")


def _binary() -> Any:
    import polars

    return polars.Binary


def _assign(rows: _Rows, options: TableOptions) -> NDArray[np.str_]:
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


def _notes(rows: _Rows, split: NDArray[np.str_]) -> dict[str, Any]:
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
        "repeated sequences": len(hashes) - len(unique),
        "repeated sequences with different targets": int((low < high).sum()),
        "repeated in training: test rows": int(np.isin(hashes[split == "test"], seen).sum()),
        "repeated in training: validation rows": int(
            np.isin(hashes[split == "validation"], seen).sum()
        ),
        "split": "drawn by sequence" if rows.split is None else "the table's",
    }
