"""Reader for a user's own table and its TOML description."""

from __future__ import annotations

import gzip
import tomllib
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import SPLITS
from bench.data.sequences import LETTERS, Sequences, encode_lines
from bench.data.tables import LARGEST, too_wide
from bench.data.text_lines import blocks, lines, shorten
from bench.errors import BenchError, first_line

if TYPE_CHECKING:
    import polars

_MOST_COLUMNS = 100_000
_VALIDATION = {"val": "validation", "valid": "validation", "dev": "validation"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFile:
    """Path of a table, names of its columns and description of its rows."""

    table: Path
    sequence: str = "sequence"
    target: str = "target"
    split: str = "split"
    summary: str = "a table of one's own"
    unit: str = "as in the table"
    flanks: tuple[int, int] = (0, 0)
    columns: tuple[str, ...] = ()


def describe_table(path: Path) -> TableFile:
    """Read a TOML file that describes a table; its fields are those of :class:`TableFile`.

    Raises:
        BenchError: The file is not TOML, has an unknown field, or a field is wrong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BenchError(f"{path}: {first_line(error)}") from None
    known = {field.name for field in fields(TableFile)}
    unknown = sorted(set(values) - known)
    if unknown or "table" not in values:
        what = f"'{unknown[0]}' is unknown" if unknown else 'table = "FILE.tsv" is missing'
        raise BenchError(f"{path}: {what}. It takes: {', '.join(sorted(known))}.")
    flanks = values.get("flanks", [0, 0])
    whole = isinstance(flanks, list) and len(flanks) == 2
    if not whole or not all(type(n) is int and n >= 0 for n in flanks):
        raise BenchError(f"{path}: flanks are two numbers of bases, such as [17, 13].")
    columns = values.get("columns", [])
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise BenchError(f'{path}: columns are names in quotes, such as ["strand", "cell"].')
    texts = {name: value for name, value in values.items() if name not in ("flanks", "columns")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise BenchError(f"{path}: {name} is a text in quotes.")
    table = path.parent / texts.pop("table")
    if not table.is_file():
        raise BenchError(f"{path}: no such table: {table}")
    found = TableFile(table=table, flanks=(flanks[0], flanks[1]), columns=tuple(columns), **texts)
    if len({found.sequence, found.target, found.split}) < 3:
        named = f"'{found.sequence}', '{found.target}' and '{found.split}'"
        raise BenchError(f"{path}: sequence, target and split are three columns, not {named}.")
    if len({found.sequence, found.target, found.split, *columns}) < 3 + len(columns):
        raise BenchError(
            f"{path}: columns lists a name twice, or the column of sequence, target or split."
        )
    return found


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table that have a target.

    Attributes:
        sequences: N sequences.
        target: Targets ``(N,)``.
        split: Names from :data:`bench.data.dataset.SPLITS`, ``(N,)``; None without a split column.
        columns: Additional columns by name, ``(N,)``: float64 if every cell is a number, else text.
        without_target: Number of excluded rows, which have no target.
    """

    sequences: Sequences
    target: NDArray[np.float64]
    split: NDArray[np.str_] | None
    columns: dict[str, NDArray[Any]]
    without_target: int


def read_table(file: TableFile) -> Rows:
    """Read the described columns; rows without a target are excluded and counted.

    Raises:
        BenchError: The table cannot be read, or a row is wrong; the message names the row.
    """
    before = _state(file.table)
    frame = _checked(file, _columns(file))
    if _state(file.table) != before:
        raise BenchError(f"{file.table} has changed while it was read. Try again.")
    known = frame.filter(frame["target"].is_not_null())
    if not known.height:
        raise BenchError(f"{file.table}: no row has a target.")
    texts = known["sequence"].cast(_binary()).to_list()
    try:
        sequences, good = encode_lines(texts)
    except MemoryError:
        lengths = np.fromiter(map(len, texts), dtype=np.int32)
        raise too_wide(file.table, lengths) from None
    bad = ~good | (sequences.lengths <= sum(file.flanks))
    if bad.any():
        row = int(np.argmax(bad))
        text = known["sequence"][row]
        wrong = next((x for x in text if x.upper() not in LETTERS), None)
        what = f"nothing between flanks of {sum(file.flanks)} nt" if text else "no sequence"
        what = f"letter {wrong!r} is not one of {LETTERS}" if wrong else what
        raise BenchError(f"{file.table}, row {known['row'][row]}: {what}: '{shorten(text)}'")
    split = known["split"].to_numpy().astype(str) if "split" in known.columns else None
    columns = {name: _numbers_or_text(known[f"column {name}"]) for name in file.columns}
    return Rows(sequences, known["target"].to_numpy(), split, columns, frame.height - known.height)


def _numbers_or_text(cells: polars.Series) -> NDArray[Any]:
    import polars

    text = cells.fill_null("").str.strip_chars()
    numbers = text.cast(polars.Float64, strict=False)
    return text.to_numpy().astype(str) if numbers.has_nulls() else numbers.to_numpy()


def _state(path: Path) -> tuple[int, ...]:
    """Return the size, times and inode of a file; another state means another content."""
    try:
        stat = path.stat()
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}.") from None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _columns(file: TableFile) -> polars.DataFrame:
    """Read the columns as text, block by block, and the row number (1 is the header)."""
    import polars

    places, width = _places(file)
    schema = {str(place): polars.String for place in range(width)}
    columns = [polars.col(str(place)).alias(kind) for kind, place in places.items()]
    parts, filled = [polars.DataFrame(schema=schema).select(columns)], [np.zeros(0, dtype=bool)]
    try:
        for number, text in enumerate(blocks(file.table)):
            table = text if number else text[text.index(b"\n") + 1 :]
            frame = _frame(table, schema)
            if frame is None:
                raise BenchError(_first_fault(file.table) or f"{file.table}: cannot be read.")
            some = frame.select(polars.any_horizontal(polars.all().is_not_null()))
            filled.append(some.to_series().to_numpy())
            parts.append(frame.select(columns))
    except (OSError, EOFError, zlib.error) as error:
        raise BenchError(_first_fault(file.table) or f"{file.table}: {first_line(error)}") from None
    full = np.concatenate(filled)
    rows = int(np.flatnonzero(full)[-1]) + 1 if full.any() else 0  # blank lines at the end
    if not full[:rows].all():
        raise BenchError(
            f"{file.table}, row {int(np.argmin(full)) + 2} is empty. Correct or remove the line."
        )
    return polars.concat(parts).head(rows).with_row_index("row", offset=2)


def _frame(text: bytes, schema: dict[str, Any]) -> polars.DataFrame | None:
    """Return whole lines as columns of text; None if a line has other columns or is not text."""
    import polars

    try:
        frame = polars.read_csv(
            text,
            separator="\t",
            has_header=False,
            schema=schema,
            quote_char=None,
            raise_if_empty=False,
        )
    except polars.exceptions.PolarsError:
        return None
    # polars fills short lines up with nulls, which would be missing targets.
    tabs = frame.height * (len(schema) - 1)
    return frame if (text.count(b"\n"), text.count(b"\t")) == (frame.height, tabs) else None


def _places(file: TableFile) -> tuple[dict[str, int], int]:
    """Return the index of each column in the header, and the number of all columns."""
    try:
        text = next(lines(file.table), b"").decode()
    except (EOFError, OSError, UnicodeDecodeError, zlib.error) as error:
        raise BenchError(_first_fault(file.table) or f"{file.table}: {first_line(error)}") from None
    if not text or "\0" in text or "\r" in text:
        what = "is empty" if not text else "is not UTF-8 text with a line feed after every row"
        raise BenchError(f"{file.table}, row 1 {what}. Columns are named there.")
    if text.count("\t") >= _MOST_COLUMNS:
        what = f"has {text.count(chr(9)) + 1:,} columns"
        raise BenchError(f"{file.table}, row 1 {what}. Keep at most {_MOST_COLUMNS:,}.")
    header, places = text.split("\t"), {}
    have = shorten(", ".join(header), 200) + ("" if "\t" in text else " (tabs separate columns)")
    wanted = [("sequence", file.sequence), ("target", file.target), ("split", file.split)]
    for kind, name in [*wanted, *((f"column {name}", name) for name in file.columns)]:
        like = [found for found in header if found.strip(" \"'").lower() == name.lower()]
        if header.count(name) > 1:
            raise BenchError(f"{file.table}: {header.count(name)} columns '{name}'. Rename them.")
        if name in header:
            places[kind] = header.index(name)
        elif like or (kind, name) != ("split", "split"):
            hint = f" Did you mean '{shorten(like[0])}'?" if like else ""
            raise BenchError(f"{file.table}: no column '{name}'. The header has: {have}.{hint}")
    return places, len(header)


def _first_fault(path: Path) -> str | None:
    """Return a message about the first row with another number of columns, or None."""
    number, columns = 0, 0
    try:
        for number, line in enumerate(lines(path), start=1):
            cells = len(line.decode().split("\t"))
            columns = columns or cells
            if cells != columns:
                what = f": {cells} columns, the header has {columns}." if line else " is empty."
                return f"{path}, row {number}{what} Correct or remove the line."
    except UnicodeDecodeError:
        return f"{path}, row {number}: not UTF-8 text. Save the table as UTF-8."
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return f"{path} is cut short or damaged after row {number:,}. Copy or fetch it again."
    except OSError as error:
        return f"{path}: {error.strerror}."
    return None


def _checked(file: TableFile, frame: polars.DataFrame) -> polars.DataFrame:
    """Convert targets to numbers (null for a missing target) and splits to their usual names."""
    import polars

    text = frame["target"].str.strip_chars()
    number = text.cast(polars.Float64, strict=False)
    missing = text.is_null() | text.str.to_lowercase().is_in(["", "na", "nan", "null"])
    wrong = ~missing & ~(number.abs() <= LARGEST).fill_null(False)
    _refuse(file, frame, wrong, "target", "is not a finite number")
    target = polars.when(~missing).then(number)
    frame = frame.with_columns(polars.col("sequence").fill_null(""), target=target)
    if "split" in frame.columns:
        split = frame["split"].fill_null("").str.to_lowercase().replace(_VALIDATION)
        wrong = ~split.is_in(list(SPLITS))
        _refuse(file, frame, wrong, "split", f"is not one of {', '.join(SPLITS)}")
        frame = frame.with_columns(split=split)
    return frame


def _refuse(
    file: TableFile, frame: polars.DataFrame, wrong: polars.Series, column: str, what: str
) -> None:
    if wrong.any():
        first = wrong.arg_true()[0]
        value = shorten(frame[column][first] or "")
        raise BenchError(f"{file.table}, row {frame['row'][first]}: {column} '{value}' {what}.")


def _binary() -> Any:
    import polars

    return polars.Binary
