"""Malformed tables: each gives the right rows or one line, in bounded memory and time.

What is right was written down by hand, for both kinds of tables: those of users, with a header, and
those of releases, without one.
"""

import gzip
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data import text_lines
from bench.data.sequences import decode
from bench.data.tables import pair_blocks, read_pairs
from bench.errors import BenchError
from bench.sources import user_table_file
from bench.sources.user_table import table_task
from bench.sources.user_table_file import TableFile, read_table

HEAD = b"sequence\ttarget\n"
GOOD = b"ACGT\t1.5\nGA\t-2\n"
RIGHT = [("ACGT", 1.5), ("GA", -2.0)]
Expected = list[tuple[str, float]] | str


def table_rows(path: Path) -> list[tuple[str, float]]:
    rows = read_table(TableFile(table=path))
    spelt = zip(decode(rows.sequences.tokens), rows.sequences.lengths, strict=True)
    return list(zip((text[:length] for text, length in spelt), rows.target.tolist(), strict=True))


def pair_rows(path: Path) -> list[tuple[str, float]]:
    sequences, numbers = read_pairs(path)
    spelt = zip(decode(sequences.tokens), sequences.lengths, strict=True)
    return list(zip((text[:length] for text, length in spelt), numbers.tolist(), strict=True))


def found(read: Callable[[Path], list[tuple[str, float]]], path: Path) -> Expected:
    started = time.perf_counter()
    try:
        return read(path)
    except BenchError as error:
        text = str(error)
        assert text.isprintable()  # one line, and nothing that moves the cursor
        assert text.startswith(str(path))
        assert len(text) - len(str(path)) < 400
        return text.removeprefix(str(path))
    finally:
        assert time.perf_counter() - started < 20


def same(wanted: Expected, given: Expected) -> None:
    if isinstance(wanted, str) and isinstance(given, str):
        assert given.startswith(wanted)
    else:
        assert given == wanted


BOMBS = {  # a gigabyte and more in a megabyte
    "zeros": gzip.compress(bytes(1 << 26)) * 16,
    "letters": gzip.compress(b"A" * (1 << 26)) * 24,
    "line ends": gzip.compress(b"\n" * (1 << 26)) * 16,
}
ROWS: dict[str, tuple[bytes, Expected]] = {  # the same for both kinds of tables
    "a NUL byte in a sequence": (b"AC\0GT\t1\n", ", row {}: letter '\\x00' is not one of ACGTN"),
    "NUL bytes alone": (b"\0" * 100 + b"\n", ", row {}"),
    "a lone quote": (b'"ACGT\t1\n', ", row {}: letter '\"' is not one of ACGTN"),
    "a lone quote in a number": (b'ACGT\t"1\n', ", row {}: "),
    "a byte order mark in the middle": (
        b"AC\t1\n\xef\xbb\xbfGT\t2\n",
        ", row {+1}: letter '\\ufeff'",
    ),
    "beyond float64": (b"AC\t1e999\n", ", row {}: "),
    "beyond float32": (b"AC\t1e39\n", ", row {}: "),
    "hexadecimal": (b"AC\t0x1p3\n", ", row {}: "),
    "underscores": (b"AC\t1_000\n", ", row {}: "),
    "a decimal comma": (b"AC\t1,5\n", ", row {}: "),
    "letters beyond ASCII": ("AĆ\t1\n".encode(), ", row {}: letter 'Ć' is not one of ACGTN"),
    "no letters": (b"AC\t1\n\t2\n", ", row {+1}: no sequence"),
    "columns swapped": (b"1.5\tACGT\n", ", row {}: "),
    "a cell too many": (b"AC\t1\nAC\t1\t2\n", ", row {+1}"),
    "a cell too few": (b"AC\t1\nACGT\nAC\t2\n", ", row {+1}"),
    "a comma between": (b"ACGT,1\n", ", row {}"),
    "Latin-1": (b"AC\t1\nA\xe9\t2\n", ", row {+1}"),
    "a blank row": (b"AC\t1\n\nAC\t2\n", ", row {+1} is empty."),
    "a very long number": (b"AC\t" + b"1" * (1 << 20) + b"\n", ", row {}: "),
    "negative zero": (b"AC\t-0.0\nAC\t0\n", [("AC", -0.0), ("AC", 0.0)]),
    "blanks at the end": (GOOD + b"\r\n\n\n", RIGHT),
    "no line end": (GOOD[:-1], RIGHT),
    "one row": (b"N\t7\n", [("N", 7.0)]),
    "small letters": (b"acgt\t1.5\nga\t-2\n", RIGHT),
    "leading zeros": (b"ACGT\t0001.5\nGA\t-002e0\n", RIGHT),
    "the smallest number": (b"AC\t5e-324\n", [("AC", 5e-324)]),
    "one row much longer": (
        b"A\t1\n" + b"C" * 99_999 + b"\t2\n",
        [("A", 1.0), ("C" * 99_999, 2.0)],
    ),
}


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", ROWS)
def test_rows_are_read_or_their_first_fault_is_named(
    tmp_path: Path, name: str, zipped: bool
) -> None:
    rows, expected = ROWS[name]
    for read, head in ((table_rows, HEAD), (pair_rows, b"")):
        path = tmp_path / f"{read.__name__}.tsv"
        path.write_bytes(gzip.compress(head + rows) if zipped else head + rows)
        wanted = expected
        if isinstance(expected, str):
            first = head.count(b"\n") + 1
            wanted = expected.replace("{}", str(first)).replace("{+1}", str(first + 1))
        given = found(read, path)
        same(wanted, given)


NO_LETTER = ", row 1: letter 'e' is not one of ACGTN: 'sequence\\ttarget'"
DAMAGED = " is cut short or damaged after row 3."
FILES: dict[str, tuple[bytes, Expected, str]] = {  # the file: as a user's table, as pairs
    "UTF-16": ((HEAD + GOOD).decode().encode("utf-16"), ", row 1", ", row 1"),
    "an empty file": (b"", ", row 1 is empty.", " is empty."),
    "an empty member": (gzip.compress(b""), ", row 1 is empty.", " is empty."),
    "an empty member first": (gzip.compress(b"") + gzip.compress(HEAD + GOOD), RIGHT, NO_LETTER),
    "garbage after gzip": (gzip.compress(HEAD + GOOD) + b"garbage", DAMAGED, NO_LETTER),
    "zeros after gzip": (gzip.compress(HEAD + GOOD) + bytes(512), RIGHT, NO_LETTER),
    "a header of 10 MB": (
        *(b"x" * 10_000_000 + b"\ttarget\nAC\t1\n", ": no column 'sequence'."),
        ", row 1: letter 'x' is not one of ACGTN",
    ),
    "millions of columns": (
        *(b"a\t" * 3_000_000 + HEAD, ", row 1 has 3,000,002 columns."),
        ", row 1: 3000002 columns",
    ),
    "twice the same column": (
        *(b"sequence\ttarget\ttarget\nAC\t1\t2\n", ": 2 columns 'target'. Rename them."),
        ", row 1: 3 columns",
    ),
    "columns that differ by case": (
        *(b"sequence\tTarget\ttarget\nACGT\t9\t1.5\nGA\t9\t-2\n", RIGHT),
        ", row 1: 3 columns",
    ),
    "a column of another case": (
        *(b"Sequence\ttarget\nAC\t1\n", ": no column 'sequence'."),
        ", row 1: letter",
    ),
    "columns in another order": (
        *(b"target\tsequence\n1.5\tACGT\n-2\tGA\n", RIGHT),
        ", row 1: letter",
    ),
    "line ends of an old Mac": (
        *((HEAD + GOOD).replace(b"\n", b"\r"), ", row 1 is not UTF-8"),
        ", row 1: 4 columns",
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + HEAD + GOOD, RIGHT, NO_LETTER),
    "a header alone": (HEAD, ": no row has a target.", NO_LETTER),
    "missing targets": (HEAD + b"AC\t\nACGT\t1.5\nAC\tNA\nGA\t-2\n", RIGHT, NO_LETTER),
    "a short row that would be a missing target": (
        *(HEAD + b"AC\nACGT\t1.5\n", ", row 2: 1 columns, the header has 2."),
        NO_LETTER,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    content, table, pairs = FILES[name]
    path = tmp_path / "rows.tsv"
    path.write_bytes(content)
    same(table, found(table_rows, path))
    same(pairs, found(pair_rows, path))


def test_one_row_that_is_much_longer_does_not_widen_a_whole_block(tmp_path: Path) -> None:
    """A matrix of the block would have 300,000 times 400,000 tokens."""
    path = tmp_path / "rows.txt"
    path.write_bytes(b"A\t1\n" * 300_000 + b"C" * 400_000 + b"\t2\nG\t3\n")
    lengths = [n for block, _ in pair_blocks(path) for n in block.lengths.tolist()]
    assert lengths == [1] * 300_000 + [400_000, 1]


PLACES = ["folder", "pipe", "socket", "device", "loop", "link to nothing", "absent"]


@pytest.mark.parametrize("kind", PLACES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.tsv"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "link to nothing":
        path.symlink_to(tmp_path / "nothing")
    same(": no such file.", found(pair_rows, path))
    with pytest.raises(BenchError, match=r"x\.tsv: no such file\."):
        table_task(path)
    description = tmp_path / "x.toml"
    description.write_text('table = "x.tsv"\n')
    with pytest.raises(BenchError, match="no such table: "):
        table_task(description)


def test_a_table_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.tsv"
    path.write_bytes(HEAD + GOOD)

    def changing(place: Path):  # type: ignore[no-untyped-def]
        yield from text_lines.blocks(place)
        with place.open("ab") as file:
            file.write(b"AC\t3\n")

    monkeypatch.setattr(user_table_file, "blocks", changing)
    same(" has changed while it was read. Try again.", found(table_rows, path))


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    code = (
        "import sys, polars; from pathlib import Path; from bench.errors import BenchError\n"
        "from bench.sources.user_table_file import TableFile, read_table\n"
        "from bench.data.tables import read_pairs\n"
        "for name in sys.argv[1:]:\n"
        "    for read in (lambda p: read_table(TableFile(table=p)), read_pairs):\n"
        "        try: read(Path(name))\n"
        "        except BenchError as error: print(Path(str(error)).name)\n"
    )
    for name, content in BOMBS.items():
        (tmp_path / f"{name}.tsv").write_bytes(gzip.compress(HEAD) + content)
        (tmp_path / f"{name}.txt").write_bytes(gzip.compress(GOOD) + content)
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(path) for path in sorted(tmp_path.iterdir()))],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)),
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    one_line = "has more than 64 MiB. Is it a table?"
    told = done.stdout.splitlines()
    assert told[0::4] == [
        f"letters.tsv, row 2 {one_line}",
        "line ends.tsv, row 2 is empty. Remove the line.",
        f"zeros.tsv, row 2 {one_line}",
    ]
    assert told[3::4] == [
        f"letters.txt, row 3 {one_line}",
        "line ends.txt, row 3 is empty. Remove the line.",
        f"zeros.txt, row 3 {one_line}",
    ]
