"""Intervals, compared with sets of places."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.genomics.intervals import merged, overlapping, read_bed
from tests.genomics.helpers import one_line


def test_runs_are_joined_and_met_as_by_brute_force() -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        begins = random.integers(0, 60, 6)
        intervals = np.stack([begins, begins + random.integers(1, 9, 6)], axis=1)
        inside = {place for start, end in intervals for place in range(start, end)}
        joined = merged(intervals)
        assert sorted(inside) == [p for start, end in joined for p in range(start, end)]
        assert (joined[1:, 0] > joined[:-1, 1]).all()
        starts = np.arange(-5, 75)
        expected = [bool(inside & set(range(start, start + 3))) for start in starts]
        assert overlapping(starts, starts + 3, joined).tolist() == expected


def bed(folder: Path, content: str, name: str = "peaks.bed") -> pl.DataFrame:
    (folder / name).write_bytes(content.encode())
    return read_bed(folder / name, "peak")


@pytest.mark.parametrize(
    "content",
    [
        "c\t5\t9\nd\t1\t2\n",
        "c\t5\t9\r\nd\t1\t2\r\n",
        "c 5 9\nd  1 2",
        "c\t5\t9\tname with spaces\t3\nd\t1\t2\tx\t4\n",
    ],
)
def test_intervals_are_read_whatever_lies_between_them(tmp_path: Path, content: str) -> None:
    rows = bed(tmp_path, content).rows()
    assert rows == [(1, "c", 5, 9, None), (2, "d", 1, 2, None)]


def test_lines_that_are_no_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    head = "browser position chr1\ntrack name=x\n# a comment\n\nchrom\tchromStart\tchromEnd\n"
    (tmp_path / "peaks.bed.gz").write_bytes(gzip.compress((head + "c\t5\t9\n").encode()))
    assert read_bed(tmp_path / "peaks.bed.gz", "peak").rows() == [(6, "c", 5, 9, None)]


def test_column_ten_of_a_narrowpeak_is_the_summit(tmp_path: Path) -> None:
    middle = "\t.\t0\t.\t1\t-1\t-1\t"
    rows = bed(tmp_path, f"c\t5\t9{middle}3\nc\t5\t9{middle}-1\n", "x.narrowPeak").rows()
    assert rows == [(1, "c", 5, 9, 3), (2, "c", 5, 9, -1)]
    blocks = bed(tmp_path, "c\t5\t9\tn\t0\t+\t5\t9\t0\t1\t4,\t0,\n").rows()
    assert blocks == [(1, "c", 5, 9, None)]  # twelve columns: blocks, not a summit


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ("# nothing\n\n", "holds no peak"),
        ("c\t1\t2\nc\tx\t9\n", "row 2: columns 2 and 3"),
        ("c\t1\t2\nc\t5\t9.5\n", "row 2: columns 2 and 3"),
        ("# x\nc\t1\n", "row 2: columns 2 and 3"),
        ("c\t-1\t9\n", "row 1: a start"),
        ("c\t9\t9\n", "row 1: start is below end"),
        ("c\t9\t5\n", "row 1: start is below end"),
        ("c\t5\t9\t.\t0\t.\t1\t-1\t-1\t4\n", "row 1: column 10"),
        ("c\t5\t9\t.\t0\t.\t1\t-1\t-1\tx\n", "row 1: column 10"),
        ("c\t5\t9\t.\t0\t.\t1\t-1\t-1\t-2\n", "row 1: column 10"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(BenchError, match=said) as error:
        bed(tmp_path, content)
    assert "peaks.bed" in one_line(error)


def test_a_narrowpeak_by_name_needs_ten_columns(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="row 1: column 10"):
        bed(tmp_path, "c\t5\t9\n", "x.narrowPeak")


def test_binary_peaks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "peaks.bed").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BenchError, match="is not text"):
        read_bed(tmp_path / "peaks.bed", "peak")
