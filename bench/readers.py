"""Reads tables of sequences and numbers, fast when they are right, exact when they are wrong.

The fast way is polars and one lookup over the whole text buffer. Only when that fails does a
plain loop over the lines look for the first fault, so that the message can name its row.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.sequences import LETTERS, Sequences, encode_letters

if TYPE_CHECKING:
    import polars

_CHUNK = 1 << 20  # rows encoded at once: bounds the memory of the joined text
LARGEST = float(np.finfo(np.float32).max)
"""A number beyond it counts as infinite: models and their predictions are float32."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LETTERS = frozenset(LETTERS + LETTERS.lower())


def read_pairs(path: Path) -> tuple[Sequences, NDArray[np.float64], int]:
    """Read ``sequence<TAB>number`` lines without a header; ``.gz`` is unpacked on the way.

    Lower-case letters and Windows line ends are accepted.

    Returns:
        The encoded sequences, the numbers ``(N,)``, and how many rows repeat an earlier sequence.

    Raises:
        BenchError: The file is missing, empty, cut short, or a row is not a sequence of ACGTN and
            a finite number; the message names file and row.
    """
    frame = _read_table(path, ("sequence", "number"))
    sequences = _encode(frame["sequence"])
    if sequences is None:
        raise BenchError(_first_fault(path, 2) or f"{path}: a letter outside {LETTERS}.")
    repeats = frame.height - frame["sequence"].str.to_uppercase().n_unique()
    return sequences, frame["number"].to_numpy(), repeats


def read_numbers(path: Path) -> NDArray[np.float64]:
    """Read one number a line, ``(N,)``; errors as those of :func:`read_pairs`."""
    numbers: NDArray[np.float64] = _read_table(path, ("number",))["number"].to_numpy()
    return numbers


def read_positions(path: Path, columns: tuple[str, ...], *, rows: int) -> NDArray[np.int64]:
    """Read columns of 0-based row numbers from a CSV file with a header.

    Args:
        path: The file; other columns are passed over.
        columns: Names of the wanted columns.
        rows: Rows of the table they point into.

    Returns:
        Array ``(N, len(columns))``.

    Raises:
        BenchError: A column is missing or a value is no row number below ``rows``.
    """
    import polars

    try:
        frame = polars.read_csv(path, columns=list(columns), infer_schema=False)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise BenchError(
            f"{path}: needs the columns {', '.join(columns)}: {_first_line(error)}"
        ) from None
    numbers = frame.select(polars.all().str.strip_chars().cast(polars.Int64, strict=False))
    positions: NDArray[np.int64] = numbers.fill_null(-1).to_numpy()
    wrong = ((positions < 0) | (positions >= rows)).any(axis=1)
    if wrong.any():
        first = int(np.argmax(wrong))
        shown = _shorten(",".join(map(str, frame.row(first))))
        raise BenchError(
            f"{path}, row {first + 2}: '{shown}' is no position in a test file of "
            f"{rows:,} rows. Take both files from one release."
        )
    return positions


def _read_table(path: Path, columns: tuple[str, ...]) -> polars.DataFrame:
    """Read tab-separated lines whose last column is a finite number that float32 can hold."""
    import polars

    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    schema = {name: polars.Float64 if name == "number" else polars.String for name in columns}
    try:
        frame = polars.read_csv(
            path, separator="\t", has_header=False, schema=schema, quote_char=None
        )
    except (polars.exceptions.PolarsError, OSError) as error:
        fault = _first_fault(path, len(columns))
        raise BenchError(fault or f"{path}: {_first_line(error)}") from None
    height = frame.height
    while frame.height and set(frame.row(-1)) == {None}:  # blank lines at the end
        frame = frame.head(-1)
    wrong = sum(frame.null_count().row(0)) or not (frame["number"].abs() <= LARGEST).all()
    if wrong or not frame.height or frame.height < height:
        fault = _first_fault(path, len(columns))
        if fault or wrong:
            raise BenchError(fault or f"{path}: a row lacks its {' or '.join(columns)}.")
    return frame


def _encode(texts: polars.Series) -> Sequences | None:
    """Encode a string column through its joined text; None where a letter is not of ACGTN."""
    lengths = texts.str.len_bytes().to_numpy().astype(np.int32)
    width = int(lengths.max())
    tokens = np.empty((len(texts), width), dtype=np.uint8)
    for start in range(0, len(texts), _CHUNK):
        padded = texts.slice(start, _CHUNK).str.pad_end(width, "N")
        letters = np.frombuffer(padded.str.join("").item().encode(), dtype=np.uint8)
        rows = tokens[start : start + _CHUNK]
        if len(letters) != rows.size:  # a letter of several bytes
            return None
        rows[:] = encode_letters(letters.reshape(rows.shape))
    return None if (tokens > 4).any() else Sequences(tokens, lengths)


def _first_fault(path: Path, columns: int) -> str | None:
    """Say what is wrong in the first wrong row of a file of one or two columns, or None."""
    blank: int | None = None
    number, empty = 0, True
    try:
        for number, line in enumerate(_lines(path), start=1):
            if not line:
                blank = blank or number
            elif blank is not None:
                return f"{path}, row {blank} is empty. Remove the line."
            else:
                empty = False
                fault = _line_fault(line, columns)
                if fault is not None:
                    return f"{path}, row {number}: {fault}"
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return f"{path} is cut short or damaged after row {number:,}. Fetch it again."
    except OSError as error:
        return f"{path}: {error.strerror}."
    return f"{path} is empty. Fetch it again, or name another." if empty else None


def _line_fault(line: bytes, columns: int) -> str | None:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return f"not plain text: '{_shorten(line.decode('latin-1'))}'. Is it compressed?"
    cells = text.split("\t")
    if len(cells) != columns:
        found = "column" if len(cells) == 1 else "columns"
        needed = "a sequence, a tab and a number" if columns == 2 else "one number"
        return f"{len(cells)} {found}, needs {needed}: '{_shorten(text)}'"
    *sequence, number = cells
    for letters in sequence:
        wrong = sorted(set(letters) - _LETTERS)
        if wrong or not letters:
            what = f"letter {wrong[0]!r} is not one of {LETTERS}" if wrong else "no sequence"
            return f"{what}: '{_shorten(text)}'"
    shown = _shorten(number)
    if not _NUMBER.fullmatch(number) and not _NOT_FINITE.fullmatch(number.strip()):
        return f"'{shown}' is not a number. A header line has to go."
    if _NOT_FINITE.fullmatch(number.strip()) or abs(float(number)) > LARGEST:
        return f"'{shown}' is not a finite number."
    return None


def columns_of(path: Path) -> int:
    """Count the tab-separated cells of a file's first line; 0 for none that can be read."""
    try:
        first = next(_lines(path), b"")
    except (OSError, EOFError, zlib.error):
        return 0
    return len(first.split(b"\t")) if first else 0


def _lines(path: Path) -> Iterator[bytes]:
    """Yield lines without their ends; gzip is known by its first two bytes, as polars does."""
    with path.open("rb") as file:
        opener: Any = gzip.open if file.read(2) == b"\x1f\x8b" else open
    with opener(path, "rb") as file:
        for number, line in enumerate(file):
            if number == 0:
                line = line.removeprefix(codecs.BOM_UTF8)
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def _shorten(text: str) -> str:
    text = text.encode("unicode_escape").decode()
    return text if len(text) <= 40 else f"{text[:37]}..."


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
