"""Files typed byte by byte, and the message for each wrong file."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.sequences import decode
from bench.data.tables import pair_blocks, read_numbers, read_pairs, read_positions
from bench.errors import BenchError

GOOD = b"ACGT\t1.5\nGA\t-2\nCCC\t0\n"
NEEDED = "needs a sequence, a tab and a number"
NO_NUMBER = "is not a number. Remove the line if it is a header."
NOT_FINITE = "is not a finite number."
EMPTY = "is empty. Fetch it again, or name another."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.txt"


def fault(path: Path, content: bytes | None = None) -> str:
    """Return the message for a wrong file, without the file's name at its start."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BenchError) as raised:
        read_pairs(path)
    message = str(raised.value)
    assert message.isprintable()  # one line, and nothing that moves the cursor
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD[:-1],
        GOOD + b"\n\n\n",
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\r\n") + b"\r\n\r\n",
        GOOD.replace(b"\n", b"\r\n")[:-2],
        GOOD.lower(),
        b"aCgT\t1.50\nGA\t-2e0\nCcc\t+0.0\n",
        b"\xef\xbb\xbf" + GOOD,
    ],
)
def test_pairs_are_read_however_their_lines_end(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sequences, numbers = read_pairs(path)
    assert sequences.tokens.tolist() == [[0, 1, 2, 3], [2, 0, 4, 4], [1, 1, 1, 4]]
    assert sequences.lengths.tolist() == [4, 2, 3]
    assert sequences.lengths.dtype == np.int32
    assert numbers.tolist() == [1.5, -2, 0]
    assert numbers.dtype == np.float64


@pytest.mark.parametrize("name", ["pairs.txt.gz", "pairs.txt"])
@pytest.mark.parametrize("content", [GOOD, gzip.compress(GOOD, mtime=0)], ids=["plain", "gzip"])
def test_a_gzip_file_is_known_by_its_content(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    sequences, numbers = read_pairs(tmp_path / name)
    assert decode(sequences.tokens) == ["ACGT", "GANN", "CCCN"]
    assert numbers.tolist() == [1.5, -2, 0]


def test_n_is_a_letter_also_at_the_end(path: Path) -> None:
    path.write_bytes(b"NACN\t11\nnnnNN\t12.25\n")
    sequences, numbers = read_pairs(path)
    assert decode(sequences.tokens) == ["NACNN", "NNNNN"]
    assert sequences.lengths.tolist() == [4, 5]
    assert numbers.tolist() == [11, 12.25]


@given(
    rows=st.lists(
        st.tuples(
            st.text("ACGTNacgtn", min_size=1, max_size=200),
            st.floats(width=32, allow_nan=False, allow_infinity=False),
        ),
        min_size=1,
        max_size=20,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    name=st.sampled_from(["a.txt", "a.txt.gz"]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, float]],
    end: str,
    last: bool,
    name: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    text = end.join(f"{letters}\t{number!r}" for letters, number in rows) + end * last
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    sequences, numbers = read_pairs(path)
    spelt = zip(decode(sequences.tokens), sequences.lengths, strict=True)
    assert [row[:length] for row, length in spelt] == [letters.upper() for letters, _ in rows]
    assert numbers.tolist() == [number for _, number in rows]


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_files_of_several_chunks_are_read_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("bench.data.text_lines._BLOCK", chunk)
    path.write_bytes(GOOD)
    assert decode(read_pairs(path)[0].tokens) == ["ACGT", "GANN", "CCCN"]
    assert fault(path, GOOD + b"A-\t1\n").startswith(", row 4: letter '-'")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("block", range(1, 12))
def test_blocks_are_cut_between_lines_wherever_a_read_ends(
    path: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: bytes
) -> None:
    """Byte order marks, two-byte line ends and blank lines at the end may be in any block."""
    monkeypatch.setattr("bench.data.text_lines._BLOCK", block)
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace(b"\n", end) + end * 5)
    blocks = list(pair_blocks(path))
    assert min(len(numbers) for _, numbers in blocks) > 0
    spelt = [letters.rstrip("N") for sequences, _ in blocks for letters in decode(sequences.tokens)]
    assert spelt == ["ACGT", "GA", "CCC"]
    assert [number for _, numbers in blocks for number in numbers] == [1.5, -2, 0]


@pytest.mark.parametrize("block", range(1, 8))
def test_a_blank_line_between_rows_is_found_wherever_a_read_ends(
    path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("bench.data.text_lines._BLOCK", block)
    assert fault(path, b"AC\t1\n\n\nAC\t2\n") == ", row 2 is empty. Remove the line."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", f" {EMPTY}"),
        (b"\n\n\n", f" {EMPTY}"),
        (b"\r\n", f" {EMPTY}"),
        (b"ACGT\nAC\n", f", row 1: 1 column, {NEEDED}: 'ACGT'"),
        (b"ACGT,1\n", f", row 1: 1 column, {NEEDED}: 'ACGT,1'"),
        (b"AC\t1\nGG\nAC\t1\n", f", row 2: 1 column, {NEEDED}: 'GG'"),
        (b"AC\t1\n  \n", f", row 2: 1 column, {NEEDED}: '  '"),
        (b"AC\t1\t2\n", rf", row 1: 3 columns, {NEEDED}: 'AC\t1\t2'"),
        (b"AC\t1\nGG\t1\t\nAC\t1\n", rf", row 2: 3 columns, {NEEDED}: 'GG\t1\t'"),
        (b"AC\t1\nAC\t1\t\x1b[31m\n", rf", row 2: 3 columns, {NEEDED}: 'AC\t1\t\x1b[31m'"),
        (b"AC\t1\nAC\tabc\n", f", row 2: 'abc' {NO_NUMBER}"),
        (b"AC\t1\nAC\t1,5\n", f", row 2: '1,5' {NO_NUMBER}"),
        (b"AC\t1\nAC\t2\0\n", rf", row 2: '2\x00' {NO_NUMBER}"),
        (b"cat\tvalue\nAC\t1\n", f", row 1: 'value' {NO_NUMBER}"),
        (
            b"seq\texpr\nAC\t1\n",
            r", row 1: letter 'e' is not one of ACGTN: 'seq\texpr'",
        ),
        (b"AC\t1\nAC\t\nAC\t1\n", f", row 2: '' {NO_NUMBER}"),
        (b'AC\t1\nAC\t"2"\n', f""", row 2: '"2"' {NO_NUMBER}"""),
        (b"AC\t1\nAC\tnan\n", f", row 2: 'nan' {NOT_FINITE}"),
        (b"AC\t1\nAC\tNaN\n", f", row 2: 'NaN' {NOT_FINITE}"),
        (b"AC\t1\nAC\tinf\n", f", row 2: 'inf' {NOT_FINITE}"),
        (b"AC\t1\nAC\t-inf\n", f", row 2: '-inf' {NOT_FINITE}"),
        (b"AC\t1\nAC\t1e400\n", f", row 2: '1e400' {NOT_FINITE}"),
        (b"AC\t1\n\t2\n", r", row 2: no sequence: '\t2'"),
        (b"\t1\n\t2\n", r", row 1: no sequence: '\t1'"),
        (b"AC\t1\nAXC\t2\n", r", row 2: letter 'X' is not one of ACGTN: 'AXC\t2'"),
        (b"AC\t1\nA C\t2\n", r", row 2: letter ' ' is not one of ACGTN: 'A C\t2'"),
        (b'"AC"\t1\n', """, row 1: letter '"' is not one of ACGTN: '"AC"\\t1'"""),
        ("AC\t1\nAéC\t2\n".encode(), r", row 2: letter 'é' is not one of ACGTN: 'A\xe9C\t2'"),
        ("é\t1\nACGT\t2\n".encode(), r", row 1: letter 'é' is not one of ACGTN: '\xe9\t1'"),
        (b"AC\t1\nA\0C\t2\n", r", row 2: letter '\x00' is not one of ACGTN: 'A\x00C\t2'"),
        (b"AC\t1\n\nAC\t2\n", ", row 2 is empty. Remove the line."),
        (b"AC\t1\r\n\r\n\r\nAC\t2\r\n", ", row 2 is empty. Remove the line."),
        (b"\nAC\t2\n", ", row 1 is empty. Remove the line."),
    ],
)
def test_the_first_wrong_row_is_named(path: Path, content: bytes, expected: str) -> None:
    assert fault(path, content) == expected


def test_a_fault_far_down_has_its_row(path: Path) -> None:
    assert fault(path, GOOD * 50_000 + b"AX\t1\n").startswith(", row 150001: letter 'X'")


@pytest.mark.parametrize("name", ["absent.txt", "folder"])
def test_there_has_to_be_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    assert fault(tmp_path / name) == ": no such file."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"AC\t" + b"x" * 500 + b"\n", f", row 1: '{'x' * 37}...' {NO_NUMBER}"),
        (b"A" * 500 + b"\n", f", row 1: 1 column, {NEEDED}: '{'A' * 37}...'"),
        (b"A" * 500 + b"X\t1", f", row 1: letter 'X' is not one of ACGTN: '{'A' * 37}...'"),
        (b"AC\t" + b"x" * 41 + b"\n", f", row 1: '{'x' * 37}...' {NO_NUMBER}"),
        (b"AC\t" + b"x" * 40 + b"\n", f", row 1: '{'x' * 40}' {NO_NUMBER}"),
        (b"AC\t" + b"1" * 500 + b"\n", f", row 1: '{'1' * 37}...' {NOT_FINITE}"),
        (b"AC\tnan\x0b\n", rf", row 1: 'nan\x0b' {NOT_FINITE}"),
    ],
)
def test_a_long_or_unprintable_cell_is_shown_in_part(
    path: Path, content: bytes, expected: str
) -> None:
    assert fault(path, content) == expected


@pytest.mark.parametrize("rows", [3, 30_000])
@pytest.mark.parametrize("lost", [1, 8, 20])
def test_a_gzip_file_cut_short_is_refused(tmp_path: Path, rows: int, lost: int) -> None:
    whole = gzip.compress(GOOD * (rows // 3), mtime=0)
    message = fault(tmp_path / "pairs.txt.gz", whole[:-lost])
    assert message.startswith(" is cut short or damaged after row ")
    assert message.endswith(". Fetch it again.")


def test_a_gzip_file_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(GOOD))
    content[-8] ^= 1
    expected = " is cut short or damaged after row 3. Fetch it again."
    assert fault(tmp_path / "pairs.txt.gz", bytes(content)) == expected


def test_a_gzip_file_whose_middle_is_damaged_is_refused(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(GOOD, mtime=0))
    content[10] = 0xFF  # a deflate block of an unknown type
    expected = " is cut short or damaged after row 0. Fetch it again."
    assert fault(tmp_path / "pairs.txt.gz", bytes(content)) == expected


def test_a_gzip_file_is_known_by_its_content_not_its_name(path: Path) -> None:
    assert fault(path, gzip.compress(b"AC\t1\nAX\t2\n")).startswith(", row 2: letter 'X'")


def test_a_fault_in_a_gzip_file_is_found_as_in_plain_text(tmp_path: Path) -> None:
    message = fault(tmp_path / "pairs.txt.gz", gzip.compress(b"AC\t1\nAX\t2\n"))
    assert message == r", row 2: letter 'X' is not one of ACGTN: 'AX\t2'"


def test_a_fault_in_plain_text_called_gz_is_not_called_damage(tmp_path: Path) -> None:
    assert "cut short" not in fault(tmp_path / "pairs.txt.gz", b"AC\t1\nAX\t2\n")


@pytest.mark.parametrize("number", ["1e39", "-1e39", "3.5e38"])
def test_a_number_beyond_single_precision_is_refused(path: Path, number: str) -> None:
    assert fault(path, f"AC\t1\nAC\t{number}\n".encode()).startswith(f", row 2: '{number}' ")


@pytest.mark.parametrize("number", ["1_000", "1.5 ", "١"])
def test_a_number_that_only_python_would_read_has_its_row_named(path: Path, number: str) -> None:
    assert fault(path, f"AC\t1\nAC\t{number}\nAC\t2\n".encode()).startswith(", row 2")


def test_a_byte_that_is_no_text_has_its_row_named(path: Path) -> None:
    assert fault(path, b"AC\t1\nA\xe9C\t2\n").startswith(", row 2")


def test_a_byte_order_mark_is_not_taken_for_the_fault(path: Path) -> None:
    assert fault(path, b"\xef\xbb\xbfAC\t1\nAX\t2\n").startswith(", row 2: letter 'X'")


def test_a_last_row_with_neither_sequence_nor_number_is_refused(path: Path) -> None:
    assert fault(path, b"AC\t1\n\t\n").startswith(", row 2: no sequence")


def test_a_file_one_may_not_read_is_named(path: Path) -> None:
    path.write_bytes(GOOD)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read every file")
    assert "denied" in fault(path).lower()


def read_csv(path: Path, content: bytes, rows: int = 5) -> list[list[int]]:
    path.write_bytes(content)
    return read_positions(path, ("alt", "ref"), rows=rows).tolist()


def csv_fault(path: Path, content: bytes) -> str:
    with pytest.raises(BenchError) as raised:
        read_csv(path, content)
    message = str(raised.value)
    assert message.isprintable()
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    "content",
    [
        b"alt,ref\n0,4\n3,1\n",
        b"ref,alt\n4,0\n1,3\n",
        b"alt,ref\r\n0,4\r\n3,1",
        b'"","alt","note","ref"\n"1","0","p, q","4"\n"2","3","","1"\n',
        b"note,ref,alt\nx, 4 ,0\n-7,1, 3\n",
    ],
)
def test_positions_are_read_in_the_order_of_the_names(path: Path, content: bytes) -> None:
    assert read_csv(path, content) == [[0, 4], [3, 1]]


def test_a_header_alone_gives_no_positions(path: Path) -> None:
    path.write_bytes(b"alt,ref\n")
    positions = read_positions(path, ("alt", "ref"), rows=5)
    assert positions.shape == (0, 2)
    assert positions.dtype == np.int64


@pytest.mark.parametrize(
    "cells",
    ["5,1", "0,5", "0,-1", "0,x", "0,1.0", "0,99999999999999999999", "nan,1"],
)
def test_a_value_that_is_no_row_number_is_named(path: Path, cells: str) -> None:
    message = csv_fault(path, f"alt,ref\n0,1\n{cells}\n4,9\n".encode())
    assert message == (
        f", row 3: '{cells}' is not a row number of a test file of 5 rows. "
        "Take both files from one release."
    )


@pytest.mark.parametrize("cells", ["0,", ",0", "0"])
def test_an_empty_cell_is_no_row_number(path: Path, cells: str) -> None:
    message = csv_fault(path, f"alt,ref\n0,1\n{cells}\n".encode())
    assert message.startswith(", row 3: '")
    assert " is not a row number of a test file of 5 rows." in message


def test_the_size_of_the_table_is_told_with_commas(path: Path) -> None:
    path.write_bytes(b"alt,ref\n71103,0\n")
    with pytest.raises(BenchError, match="of a test file of 71,103 rows"):
        read_positions(path, ("alt", "ref"), rows=71_103)


@pytest.mark.parametrize("cell", ['"1\n2"', "1" * 500])
def test_a_cell_of_several_lines_or_of_many_digits_is_shown_in_part(path: Path, cell: str) -> None:
    assert len(csv_fault(path, f"alt,ref\n{cell},1\n".encode())) < 200


@pytest.mark.parametrize("content", [b"alt,other\n1,2\n", b"alt\n1\n", b"", b"alt,ref\n1,2,3\n"])
def test_other_columns_than_those_needed_are_refused(path: Path, content: bytes) -> None:
    assert csv_fault(path, content).startswith(": needs the columns alt, ref: ")


def test_a_missing_file_of_positions_is_named(path: Path) -> None:
    with pytest.raises(BenchError, match="No such file"):
        read_positions(path, ("alt", "ref"), rows=5)


def numbers_fault(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(BenchError) as raised:
        read_numbers(path)
    message = str(raised.value)
    assert message.isprintable()
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [0, 1, 2, 5])
def test_numbers_are_read_with_any_blank_lines_after_them(
    path: Path, end: bytes, last: int
) -> None:
    path.write_bytes(end.join([b"1.5", b"-2e0", b"+.25"]) + end * last)
    numbers = read_numbers(path)
    assert numbers.tolist() == [1.5, -2, 0.25]
    assert numbers.dtype == np.float64


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", f" {EMPTY}"),
        (b"\n\n", f" {EMPTY}"),
        (b"1\n\n2\n", ", row 2 is empty. Remove the line."),
        (b"1\nx\n", f", row 2: 'x' {NO_NUMBER}"),
        (b'1\n""\n', f""", row 2: '""' {NO_NUMBER}"""),
        (b"1\nnan\n", f", row 2: 'nan' {NOT_FINITE}"),
        (b"1\n-inf\n", f", row 2: '-inf' {NOT_FINITE}"),
        (b"1\n-3.5e38\n2\n", f", row 2: '-3.5e38' {NOT_FINITE}"),
        (b"1\n2\t3\n", r", row 2: 2 columns, needs one number: '2\t3'"),
    ],
)
def test_the_first_wrong_number_is_named(path: Path, content: bytes, expected: str) -> None:
    assert numbers_fault(path, content) == expected
