"""Predictions of other programs: four forms of files, and their errors."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import TestSet
from bench.data.sequences import encode
from bench.errors import BenchError
from bench.scoring.prediction_files import read_predictions

SEQUENCES = ["ACGTA", "ACG", "GGT", "TTTTT"]
VALUES = [0.1, -2.5, 1e-7, 3.0]


@pytest.fixture(name="test")
def toy() -> TestSet:
    return TestSet(encode(SEQUENCES), np.arange(4.0), "toy")


def table(rows: list[tuple[str, Any]]) -> bytes:
    return "".join(f"{sequence}\t{value}\n" for sequence, value in rows).encode()


PAIRS = list(zip(SEQUENCES, VALUES, strict=True))
FORMS = {
    "p.tsv": table(PAIRS),
    "windows.tsv": table(PAIRS).replace(b"\n", b"\r\n"),
    "lower.tsv": table(PAIRS).lower(),
    "no_end.tsv": table(PAIRS).rstrip(),
    "p.tsv.gz": gzip.compress(table(PAIRS)),
    "p.txt": "".join(f"{value}\n" for value in VALUES).encode(),
    "p.csv": "".join(f"{value}\n" for value in VALUES).encode(),
    "p.txt.gz": gzip.compress("".join(f"{value}\n" for value in VALUES).encode()),
    "p.json": json.dumps({str(row): value for row, value in enumerate(VALUES)}).encode(),
    "order.json": json.dumps({str(row): VALUES[row] for row in (3, 1, 0, 2)}).encode(),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_values(name: str, test: TestSet, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FORMS[name])
    assert read_predictions(path, test).tolist() == VALUES


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "int64", "uint8"])
def test_a_numpy_vector_keeps_its_values(kind: str, test: TestSet, tmp_path: Path) -> None:
    values = np.array([0, 1, 5, 7]).astype(kind)
    np.save(tmp_path / "p.npy", values)
    read = read_predictions(tmp_path / "p.npy", test)
    assert read.dtype == np.float64
    assert read.tolist() == values.tolist()


def test_a_sequence_that_is_twice_in_the_test_file_may_be_twice_in_the_predictions(
    tmp_path: Path,
) -> None:
    test = TestSet(encode(["ACG", "TTT", "ACG"]), np.arange(3.0), "toy")
    (tmp_path / "p.tsv").write_bytes(table([("ACG", 1), ("TTT", 2), ("ACG", 3)]))
    assert read_predictions(tmp_path / "p.tsv", test).tolist() == [1, 2, 3]


def test_rows_that_repeat_are_told_apart_by_their_number(tmp_path: Path) -> None:
    test = TestSet(encode(["ACG", "TTT", "ACG", "CCC"]), np.arange(4.0), "toy")
    path = tmp_path / "p.tsv"
    path.write_bytes(table([("ACG", 1), ("ACG", 2), ("TTT", 3), ("CCC", 4)]))
    with pytest.raises(BenchError, match=r"row 2: the sequence is row 1 of the test file\."):
        read_predictions(path, test)
    path.write_bytes(table([("ACG", 1), ("TTT", 2), ("CCC", 4)]))
    with pytest.raises(BenchError, match=r"3 predictions for 4 test rows; row 1 of the test file"):
        read_predictions(path, test)


@pytest.mark.parametrize(
    "content", [b"\x93NUMPY\x01\x00v\x00{'descr'", b"PK\x03\x04garbage", b"\x93NUMPY"]
)
def test_a_damaged_array_file_is_one_line(content: bytes, test: TestSet, tmp_path: Path) -> None:
    (tmp_path / "p.npy").write_bytes(content)
    with pytest.raises(BenchError, match=r"p\.npy: not a NumPy array file: ") as raised:
        read_predictions(tmp_path / "p.npy", test)
    assert "\n" not in str(raised.value)


A, B, C, D = PAIRS
BAD: dict[str, tuple[str, bytes | str, str]] = {
    "shuffled": ("p.tsv", table([A, C, B, D]), ", row 2: the sequence is row 3 of the test file."),
    "short": ("p.tsv", table([A, B, D]), ": 3 predictions for 4 test rows; row 3 of the test file"),
    "twice": ("p.tsv", table([A, B, B, D]), ", row 3: sequence repeats an earlier row: ACG"),
    "too many": ("p.tsv", table([*PAIRS, A]), ", row 5: sequence repeats an earlier row: ACGTA"),
    "unknown": ("p.tsv", table([A, ("ACC", 1), C, D]), ", row 2: not a sequence of the test file"),
    "longer": ("p.tsv", table([("ACGTAN", 1), B, C, D]), ", row 1: not a sequence of the test"),
    "nan": ("p.tsv", table([A, ("ACG", "nan"), C, D]), ", row 2: 'nan' is not a finite number."),
    "inf": ("p.tsv", table([A, B, ("GGT", "-inf"), D]), ", row 3: '-inf' is not a finite number."),
    "text": ("p.tsv", table([A, B, C, ("TTTTT", "high")]), ", row 4: 'high' is not a number."),
    "gap": ("p.tsv", table([A, ("ACG", ""), C, D]), ", row 2: '' is not a number."),
    "header": ("p.tsv", b"sequence\tvalue\n" + table(PAIRS), ", row 1: letter 'e' is not one of"),
    "three columns": ("p.tsv", b"ACGTA\t1\t2\n", ", row 1: 3 columns, needs a sequence, a tab and"),
    "empty": ("p.tsv", b"", " is empty."),
    "blank": ("p.txt", b"\n", " is empty."),
    "few": ("p.txt", b"1\n2\n3\n", ": 3 predictions for 4 test rows."),
    "many": ("p.txt", b"1\n2\n3\n4\n5\n", ": 5 predictions for 4 test rows."),
    "hole": ("p.txt", b"1\n2\n\n4\n", ", row 3 is empty. Remove the line."),
    "nan value": ("p.txt", b"1\n2\nNaN\n4\n", ", row 3: 'NaN' is not a finite number."),
    "huge": ("p.txt", b"1\n2\n1e39\n4\n", ", row 3: '1e39' is not a finite number."),
    "word": ("p.txt", b"1\ntwo\n3\n4\n", ", row 2: 'two' is not a number."),
    "commas": ("p.csv", b"ACGTA,1\nACG,2\n", ", row 1: 'ACGTA,1' is not a number."),
    "cut": ("p.txt.gz", gzip.compress(b"1\n2\n3\n4\n")[:-6], " is cut short or damaged after row"),
    "no vector": ("p.npy", b"hello", ": not a NumPy array file: "),
    "empty vector": ("p.npy", b"", ": not a NumPy array file: "),
    "no json": ("p.json", b"{", ": not JSON: "),
    "list": ("p.json", b"[1, 2, 3, 4]", ': needs {"0": value, "1": value, '),
    "number": ("p.json", b"3", ': needs {"0": value, "1": value, '),
    "empty json": ("p.json", b"", ": not JSON: "),
    "no rows": ("p.json", b"{}", ": 0 predictions for 4 test rows; the first without one is '0'."),
    "missing": (
        "p.json",
        '{"0": 1, "1": 2, "3": 4}',
        ": 3 predictions for 4 test rows; the first ",
    ),
    "foreign": ("p.json", '{"0": 1, "1": 2, "2": 3, "4": 4}', ": '4' is no row of the 4 test rows"),
    "padded": (
        "p.json",
        '{"0": 1, "01": 2, "2": 3, "3": 4}',
        ": '01' is no row of the 4 test",
    ),
    "index twice": ("p.json", '{"0": 1, "1": 2, "2": 3, "3": 4, "1": 5}', ": index '1' is given"),
    "json nan": ("p.json", '{"0": 1, "1": NaN, "2": 3, "3": 4}', ": index '1': 'nan' is not a fin"),
    "json null": ("p.json", '{"0": 1, "1": null, "2": 3, "3": 4}', ": index '1': 'None' is not a"),
    "json true": ("p.json", '{"0": 1, "1": true, "2": 3, "3": 4}', ": index '1': 'True' is not a"),
    "json text": ("p.json", '{"0": 1, "1": "2", "2": 3, "3": 4}', ": index '1': '2' is not a fini"),
    "json very deep": ("p.json", "[" * 200_000, ": not JSON: "),
    "same letters but an N": ("p.tsv", table([A, ("ACGN", 1), C, D]), ", row 2: not a sequence of"),
    "json deep": ("p.json", '{"0": {"1": 2}}', ": 1 predictions for 4 test rows"),
    "json huge": ("p.json", '{"0": 1, "1": 1e39, "2": 3, "3": 4}', ": index '1': '1e+39' is not a"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_line_with_file_and_row(
    case: str, test: TestSet, tmp_path: Path
) -> None:
    name, content, expected = BAD[case]
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BenchError) as raised:
        read_predictions(path, test)
    message = str(raised.value)
    assert message.startswith(f"{path}{expected}")
    assert message.isprintable()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((4, 1)), "needs one vector of numbers, found float64 of shape (4, 1)."),
        (np.array(3.0), "needs one vector of numbers, found float64 of shape ()."),
        (np.array(["1", "2", "3", "4"]), "needs one vector of numbers, found <U1 of shape (4,)."),
        (np.zeros(4, dtype=complex), "needs one vector of numbers"),
        (np.zeros(4, dtype=bool), "needs one vector of numbers"),
        (np.zeros(3), "3 predictions for 4 test rows."),
        (np.array([0, 1, np.nan, 2]), "row 2: nan is not a finite number."),
        (np.array([0, -np.inf, 3, 2]), "row 1: -inf is not a finite number."),
        (np.array([None, 1, 2, 3], dtype=object), "not a NumPy array file: "),
    ],
)
def test_an_array_that_is_no_vector_of_predictions_is_refused(
    values: Any, expected: str, test: TestSet, tmp_path: Path
) -> None:
    path = tmp_path / "p.npy"
    np.save(path, values, allow_pickle=True)
    with pytest.raises(BenchError) as raised:
        read_predictions(path, test)
    assert expected in str(raised.value)


def test_a_missing_file_is_named(test: TestSet, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"gone\.tsv: no such file"):
        read_predictions(tmp_path / "gone.tsv", test)


PARTS = {"public": np.array([1, 3]), "most": np.array([0, 1, 2])}


def test_a_json_file_may_hold_exactly_the_rows_of_the_scored_part(
    test: TestSet, tmp_path: Path
) -> None:
    """Teams of the challenge submitted the 9,045 public rows alone, in an order of their own."""
    path = tmp_path / "p.json"
    path.write_text('{"3": 0.5, "1": -2}')
    read = read_predictions(path, test, parts=PARTS, scored="public")
    np.testing.assert_array_equal(read, [np.nan, -2, np.nan, 0.5])
    path.write_text('{"3": 0.5, "1": -2, "0": 1, "2": 7}')  # all rows, whatever is scored
    assert read_predictions(path, test, parts=PARTS, scored="public").tolist() == [1, -2, 7, 0.5]


@pytest.mark.parametrize(
    ("content", "scored", "expected"),
    [
        ('{"1": 0, "3": 1}', None, "public rows only. Give rows=public."),
        ('{"1": 0, "3": 1}', "private", "public rows only. Give rows=public."),
        ('{"1": 0, "3": 1}', "most", "public rows only. Give rows=public."),
        ('{"3": 1}', "public", "1 predictions for 2 public rows; the first without one is '1'."),
        ('{"2": 1, "3": 1}', "public", "2 predictions for 2 public rows; the first without one is"),
        ('{"1": 0, "2": 1, "3": 1}', "public", "3 predictions for 4 test rows; the first without"),
        ('{"1": 0, "2": 1}', None, "2 predictions for 4 test rows; the first without one is '0'."),
        ('{"1": 0, "3": 1, "4": 2}', "public", "'4' is no row of the 4 test rows (from 0)."),
        ('{"1": 0, "1": 0, "3": 1}', "public", "index '1' is given twice."),
        ('{"1": 0, "3": null}', "public", "index '3': 'None' is not a finite number."),
    ],
)
def test_any_other_rows_of_a_json_file_are_refused(
    content: str, scored: str | None, expected: str, test: TestSet, tmp_path: Path
) -> None:
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(BenchError) as raised:
        read_predictions(path, test, parts=PARTS, scored=scored)
    assert str(raised.value).startswith(f"{path}: {expected}")
