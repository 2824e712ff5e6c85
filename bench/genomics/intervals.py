"""Intervals: reading BED files, merging, and searching for overlaps.

Legend: N query intervals, K intervals.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import BenchError
from bench.genomics.input_files import open_packed

if TYPE_CHECKING:
    import polars as pl

Integers = NDArray[np.int64]


def merged(intervals: Integers) -> Integers:
    """Return sorted intervals ``(K, 2)``, with touching and overlapping intervals merged."""
    if not len(intervals):
        return intervals.reshape(0, 2)
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reach = np.maximum.accumulate(intervals[:, 1])
    first = np.concatenate([[True], intervals[1:, 0] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.stack([intervals[first, 0], reach[last]], axis=1)


def overlapping(starts: Integers, ends: Integers, intervals: Integers) -> NDArray[np.bool_]:
    """Return whether each of ``[starts, ends)`` overlaps one of the :func:`merged` intervals."""
    if not len(intervals):
        return np.zeros(len(starts), dtype=bool)
    after = np.searchsorted(intervals[:, 1], starts, side="right")  # first interval past the start
    begins = np.append(intervals[:, 0], np.iinfo(np.int64).max)[after]
    return begins < ends


def link_overlapping(chromosome: ArrayLike, start: ArrayLike, end: ArrayLike) -> Integers:
    """Return pairs of overlapping windows ``[start, end)`` that link each cluster, ``(K, 2)``."""
    starts, ends = np.asarray(start), np.asarray(end)
    _, number = np.unique(np.asarray(chromosome), return_inverse=True)
    order = np.lexsort((starts, number))
    offset = number[order] * (int(ends.max(initial=0)) + 1)  # chromosomes laid end to end
    reach = np.maximum.accumulate(offset + ends[order])
    touching = (offset + starts[order])[1:] < reach[:-1]
    return np.stack([order[:-1][touching], order[1:][touching]], axis=1).astype(np.int64)


def read_bed(path: Path, what: str) -> pl.DataFrame:
    """Read a BED or narrowPeak file, plain or gzipped.

    Comments, ``track`` and ``browser`` lines, a line of column names and blank lines are skipped.

    Args:
        path: Path of the file.
        what: Name of a row in messages, such as "peak".

    Returns:
        Table in the file's order with the columns row (counted from 1), chrom, start, end, and
        offset (distance of a narrowPeak's summit from start, or null).

    Raises:
        BenchError: The file is missing, empty or wrong; file and row are named.
    """
    import polars as pl

    with open_packed(path) as file:
        text = file.read()
    try:
        lines = text.removeprefix(codecs.BOM_UTF8).decode().split("\n")
    except UnicodeDecodeError:
        raise BenchError(f"{path} is not text. Give a BED or narrowPeak file.") from None
    table = pl.DataFrame({"line": lines}, schema={"line": pl.String}).with_row_index("row", 1)
    line = pl.col("line").str.strip_chars()
    table = table.with_columns(line).filter(~line.str.contains(r"^(#|track\b|browser\b|$)"))
    fields = pl.col("line").str.replace_all(" +", "\t").str.split("\t")
    by_tab = pl.col("line").str.contains("\t", literal=True)
    table = table.with_columns(
        fields=pl.when(by_tab).then(pl.col("line").str.split("\t")).otherwise(fields)
    )
    if len(table) and "start" in (table["fields"].list.get(1, null_on_oob=True)[0] or "").lower():
        table = table[1:]  # names of columns
    if not len(table):
        raise BenchError(f"{path} holds no {what}.")
    return _checked_bed(table, path)


def _checked_bed(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return the table with numbers in place of text; refuse it if a row is wrong."""
    import polars as pl

    named = ".narrowpeak" in path.name.lower()
    ten = named or len(table["fields"][0]) == 10  # BED has 3 to 9 columns, or 12

    def number(column: int) -> pl.Expr:
        field = pl.col("fields").list.get(column, null_on_oob=True).str.strip_chars()
        return field.cast(pl.Int64, strict=False)

    table = table.with_columns(
        chrom=pl.col("fields").list.get(0),
        start=number(1),
        end=number(2),
        offset=number(9) if ten else pl.lit(None, dtype=pl.Int64),
    )
    bad_numbers = pl.col("start").is_null() | pl.col("end").is_null()
    offset = pl.col("offset")
    _refuse(table, bad_numbers, path, "columns 2 and 3 are whole numbers, start and end")
    _refuse(table, pl.col("start") < 0, path, "a start is at least 0")
    _refuse(table, pl.col("start") >= pl.col("end"), path, "start is below end")
    if ten:
        wrong = offset.is_null() | (offset < -1) | (offset >= pl.col("end") - pl.col("start"))
        _refuse(table, wrong, path, "column 10 of a narrowPeak is the summit's distance from start")
    return table.select("row", "chrom", "start", "end", "offset")


def _refuse(table: pl.DataFrame, wrong: pl.Expr, path: Path, rule: str) -> None:
    found = table.filter(wrong)
    if len(found):
        line = found["line"][0]
        shown = line if len(line) <= 60 else f"{line[:57]}..."
        raise BenchError(f"{path}, row {found['row'][0]}: {rule}; got {shown!r}.")
