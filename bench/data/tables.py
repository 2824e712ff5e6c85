"""Readers for tables of sequences and numbers.

A valid table is read fast, without a loop over lines: sequences are translated in the text buffer,
and polars parses the numbers. Only if that fails, a loop over the lines searches for the first
fault, so that the message can name its row.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bench.data.sequences import LETTERS, TRANSLATION, N, Sequences
from bench.data.text_lines import blocks, lines, open_bytes, shorten
from bench.errors import BenchError, first_line

_CELLS = 1 << 27  # tokens of a block, which is cut where rows of very unequal length make more
_LONGEST_LIST = 1 << 28  # bytes of a list of row numbers
LARGEST = float(np.finfo(np.float32).max)
"""Largest finite float32; larger numbers count as infinite, since models compute in float32."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LETTERS = frozenset(LETTERS + LETTERS.lower())


def read_pairs(path: Path) -> tuple[Sequences, NDArray[np.float64]]:
    """Read ``sequence<TAB>number`` lines into memory; see :func:`pair_blocks`."""
    found = list(pair_blocks(path))
    lengths = np.concatenate([block.lengths for block, _ in found])
    try:
        tokens = np.full((len(lengths), int(lengths.max())), N, dtype=np.uint8)
    except MemoryError:
        raise too_wide(path, lengths) from None
    row = 0
    for block, _ in found:
        tokens[row : row + len(block), : block.base.shape[1]] = block.base
        row += len(block)
    return Sequences(tokens, lengths), np.concatenate([numbers for _, numbers in found])


def too_wide(path: Path, lengths: NDArray[np.int32]) -> BenchError:
    """Return the error of sequences that do not fit into memory, one byte a token."""
    return BenchError(
        f"{path}: {len(lengths):,} rows as long as the longest one, {lengths.max():,} nt, do not "
        "fit into memory. Leave out the longest rows."
    )


def pair_blocks(path: Path) -> Iterator[tuple[Sequences, NDArray[np.float64]]]:
    """Read ``sequence<TAB>number`` lines without a header, about 35,000 at a time.

    Lower-case letters and Windows line ends are accepted; gzip is decompressed.

    Yields:
        Encoded sequences and their numbers ``(N,)``, at least one row.

    Raises:
        BenchError: The file is missing, empty, cut short, or a row is not a sequence of ACGTN and
            a finite number; the message names file and row.
    """
    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    empty = True
    try:
        for text in blocks(path):
            for block in _encode_block(text):
                if block is None:
                    raise BenchError(_first_fault(path, 2) or f"{path}: cannot be read.")
                empty = False
                yield block
    except (OSError, EOFError, zlib.error) as error:
        raise BenchError(_first_fault(path, 2) or f"{path}: {first_line(error)}") from None
    if empty:
        raise BenchError(_first_fault(path, 2) or f"{path} is empty.")


def _encode_block(text: bytes) -> Iterator[tuple[Sequences, NDArray[np.float64]] | None]:
    """Yield the encoded rows of whole lines; None if a line is wrong."""
    buffer = np.frombuffer(text, dtype=np.uint8)
    ends, tabs = np.flatnonzero(buffer == ord("\n")), np.flatnonzero(buffer == ord("\t"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    if len(tabs) != len(ends) or (tabs <= starts).any() or (tabs >= ends).any():
        yield None
        return
    lengths = (tabs - starts).astype(np.int32)
    width = int(lengths.max())
    if len(ends) > 1 and len(ends) * width > _CELLS:
        middle = int(starts[len(starts) // 2])
        yield from _encode_block(text[:middle])
        yield from _encode_block(text[middle:])
        return
    # A window of the text from the start of each line is a row of the matrix; its end is set to N.
    encoded = np.frombuffer(text.translate(TRANSLATION) + bytes(width), dtype=np.uint8)
    tokens = sliding_window_view(encoded, width)[starts]
    tokens[np.arange(width, dtype=np.int32) >= lengths[:, None]] = N
    numbers = _numbers(text, ("sequence", "number"))
    yield None if tokens.max() > N or numbers is None else (Sequences(tokens, lengths), numbers)


def _numbers(text: bytes, columns: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Return the numbers of the last column; None if one is not a finite number."""
    import polars

    schema = dict.fromkeys(columns, polars.String) | {"number": polars.Float64}
    try:
        column = polars.read_csv(
            text,
            separator="\t",
            has_header=False,
            schema=schema,
            columns=[len(columns) - 1],
            quote_char=None,
        )["number"]
    except polars.exceptions.PolarsError:
        return None
    if len(column) != text.count(b"\n") or column.null_count():
        return None
    if not (column.abs() <= LARGEST).all():
        return None
    numbers: NDArray[np.float64] = column.to_numpy()
    return numbers


def read_numbers(path: Path) -> NDArray[np.float64]:
    """Read one number per line, ``(N,)``; the errors are those of :func:`pair_blocks`."""
    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    parts = []
    try:
        for text in blocks(path):
            numbers = _numbers(text, ("number",))
            if numbers is None:
                raise BenchError(_first_fault(path, 1) or f"{path}: a row has no number.")
            parts.append(numbers)
    except (OSError, EOFError, zlib.error) as error:
        raise BenchError(_first_fault(path, 1) or f"{path}: {first_line(error)}") from None
    if not parts:
        raise BenchError(_first_fault(path, 1) or f"{path} is empty.")
    return np.concatenate(parts)


def header_of(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file; none for a file that cannot be read."""
    try:
        with open_bytes(path) as file:
            line = file.readline(_LONGEST_LIST)
    except (OSError, EOFError, zlib.error):
        return []
    names = line.decode("utf-8-sig", errors="replace").split(",")
    return [name.strip().strip('"') for name in names]


def read_positions(
    path: Path,
    columns: tuple[str, ...],
    *,
    rows: int,
    kept: tuple[str, tuple[str, ...]] | None = None,
) -> NDArray[np.int64]:
    """Read columns of 0-based row numbers from a CSV file with a header.

    Args:
        path: Path of the file; other columns are ignored.
        columns: Names of the columns to read.
        rows: Number of rows of the table to which the row numbers refer.
        kept: Name of a further column, and its values in the lines to keep; None for all lines.

    Returns:
        Row numbers ``(N, len(columns))``.

    Raises:
        BenchError: A column is missing or a value is not a row number below ``rows``.
    """
    import polars

    try:
        with open_bytes(path) as file:
            text = file.read(_LONGEST_LIST + 1)
        if len(text) > _LONGEST_LIST:
            raise BenchError(f"{path}: a list of row numbers has at most 256 MiB.")
        names = [*columns, *([kept[0]] if kept else [])]
        frame = polars.read_csv(text, columns=names, infer_schema=False)
    except (polars.exceptions.PolarsError, OSError, EOFError, zlib.error) as error:
        raise BenchError(
            f"{path}: needs the columns {', '.join(columns)}: {first_line(error)}"
        ) from None
    numbers = frame.select(polars.col(*columns).str.strip_chars().cast(polars.Int64, strict=False))
    positions: NDArray[np.int64] = numbers.fill_null(-1).to_numpy()
    wrong = ((positions < 0) | (positions >= rows)).any(axis=1)
    if wrong.any():
        first = int(np.argmax(wrong))
        shown = shorten(",".join(map(str, frame.row(first))))
        raise BenchError(
            f"{path}, row {first + 2}: '{shown}' is not a row number of a test file of "
            f"{rows:,} rows. Take both files from one release."
        )
    if kept is not None:
        positions = positions[frame[kept[0]].is_in(kept[1]).fill_null(value=False).to_numpy()]
    return positions


def _first_fault(path: Path, columns: int) -> str | None:
    """Return the fault of the first wrong row of a file of one or two columns, or None."""
    blank: int | None = None
    number, empty = 0, True
    try:
        for number, line in enumerate(lines(path), start=1):
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
        return f"not plain text: '{shorten(line.decode('latin-1'))}'. Is it compressed?"
    cells = text.split("\t")
    if len(cells) != columns:
        found = "column" if len(cells) == 1 else "columns"
        needed = "a sequence, a tab and a number" if columns == 2 else "one number"
        return f"{len(cells)} {found}, needs {needed}: '{shorten(text)}'"
    *sequence, number = cells
    for letters in sequence:
        wrong = sorted(set(letters) - _LETTERS)
        if wrong or not letters:
            what = f"letter {wrong[0]!r} is not one of {LETTERS}" if wrong else "no sequence"
            return f"{what}: '{shorten(text)}'"
    shown = shorten(number)
    if not _NUMBER.fullmatch(number) and not _NOT_FINITE.fullmatch(number.strip()):
        return f"'{shown}' is not a number. Remove the line if it is a header."
    if _NOT_FINITE.fullmatch(number.strip()) or abs(float(number)) > LARGEST:
        return f"'{shown}' is not a finite number."
    return None


def columns_of(path: Path) -> int:
    """Return the number of tab-separated cells in a file's first line; 0 if it cannot be read."""
    try:
        first = next(lines(path), b"")
    except (OSError, EOFError, zlib.error):
        return 0
    return len(first.split(b"\t")) if first else 0
