"""Files of predictions, and the check that each prediction belongs to its test row.

The reader knows four forms, by the file's name and content:

*.json            an object {"0": value, "1": value, …} of row numbers in any order; either all test
                  rows, or only the rows of a part that does not rank and is scored alone
*.npy             a NumPy vector
two columns       sequence<TAB>value; may be gzipped
one column        one value a line; may be gzipped
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TestSet
from bench.data.sequences import Sequences, decode
from bench.data.tables import LARGEST, columns_of, read_numbers, read_pairs
from bench.errors import BenchError, argument, first_line

Predictions = NDArray[np.float64]
Rows = NDArray[np.int64]


def read_predictions(
    path: Path,
    test: TestSet,
    *,
    parts: Mapping[str, Rows] | None = None,
    scored: str | None = None,
) -> Predictions:
    """Return the predictions of a file in the order of the test rows, ``(N,)``.

    Args:
        path: Path of the file.
        test: Test rows.
        parts: Row numbers of the parts of the test rows that a JSON file may hold alone, by name.
        scored: Name of the part that is scored. If a file holds only this one, other rows are NaN.

    Raises:
        BenchError: The file has none of the four forms, a value is not a finite number, or the
            file's rows are not the test rows; the message names the first wrong row.
    """
    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    if path.suffix == ".json":
        return _read_json(path, len(test), parts or {}, scored)
    if path.suffix == ".npy":
        predictions = _read_vector(path)
    elif columns_of(path) > 1:
        sequences, predictions = read_pairs(path)
        _match(path, sequences, test.sequences)
    else:
        predictions = read_numbers(path)
    if len(predictions) != len(test):
        raise BenchError(
            f"{path}: {len(predictions):,} predictions for {len(test):,} test rows. "
            "Give one for every row of the test file, in its order."
        )
    return predictions


def check_predictions(values: Predictions, test: TestSet) -> Predictions:
    """Return predictions in memory after the same checks as those of a file.

    Raises:
        BenchError: The predictions are not one finite number for every test row.
    """
    if values.shape != (len(test),):
        raise BenchError(
            f"predictions of shape {values.shape} for {len(test):,} test rows: one number each is "
            "needed, in the order of the rows."
        )
    wrong = ~(np.abs(values) <= LARGEST)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BenchError(f"prediction {row}: {values[row]} is not a finite number.")
    return values


def _read_vector(path: Path) -> Predictions:
    try:
        with path.open("rb") as file:
            values = np.load(file, allow_pickle=False)
    except Exception as error:  # NumPy's parser raises many types for a damaged header
        raise BenchError(f"{path}: not a NumPy array file: {first_line(error)}") from None
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "fiu":
        found = f"{values.dtype} of shape {values.shape}" if hasattr(values, "dtype") else "several"
        raise BenchError(f"{path}: needs one vector of numbers, found {found}.")
    wrong = ~(np.abs(values.astype(np.float64)) <= LARGEST)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BenchError(f"{path}, row {row}: {values[row]} is not a finite number.")
    return values.astype(np.float64)


def _read_json(path: Path, rows: int, parts: Mapping[str, Rows], scored: str | None) -> Predictions:
    """Return the values of a JSON object; its keys are all test rows, or those of a part."""
    try:
        pairs = json.loads(path.read_bytes(), object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path}: not JSON: {error}") from None
    form = 'needs {"0": value, "1": value, …}, one for every row of the test file'
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise BenchError(f"{path}: {form}.")
    given = dict(pairs)
    wanted = {str(row): row for row in range(rows)}
    unknown = next((key for key in given if key not in wanted), None)
    if unknown is not None:
        raise BenchError(f"{path}: '{unknown[:40]}' is no row of the {rows:,} test rows (from 0).")
    if len(given) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise BenchError(f"{path}: index '{twice}' is given twice.")
    if len(given) < rows:
        _check_part(path, given.keys(), rows, parts, scored)
    for key, value in pairs:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not abs(value) <= LARGEST
        ):
            raise BenchError(f"{path}: index '{key}': {str(value)[:40]!r} is not a finite number.")
    return np.array([given.get(key, np.nan) for key in wanted], dtype=np.float64)


def _check_part(
    path: Path, given: Set[str], rows: int, parts: Mapping[str, Rows], scored: str | None
) -> None:
    """Check that some of the test rows are exactly those of the part that is scored.

    Raises:
        BenchError: They are another part, or no part; the message names the first missing row.
    """
    keys = {name: [str(row) for row in part.tolist()] for name, part in parts.items()}
    found = next((name for name, wanted in keys.items() if given == set(wanted)), None)
    if found is not None and found != scored:
        raise BenchError(f"{path}: {found} rows only. Give {argument('rows', found)}.")
    if found is not None:
        return
    wanted, what = [str(row) for row in range(rows)], "test"
    if scored in keys and len(given) <= len(keys[scored]):
        wanted, what = keys[scored], scored
    first = next(key for key in wanted if key not in given)
    raise BenchError(
        f"{path}: {len(given):,} predictions for {len(wanted):,} {what} rows; the first without "
        f"one is '{first}'."
    )


def _match(path: Path, given: Sequences, wanted: Sequences) -> None:
    """Check that sequences are those of the test file, in its order.

    Raises:
        BenchError: A sequence differs; the message names the first wrong row.
    """
    width = int(wanted.lengths.max(initial=0))
    if len(given) == len(wanted) and int(given.lengths.max(initial=0)) == width:
        same = np.array_equal(given.lengths, wanted.lengths)
        if same and np.array_equal(given.tokens[:, :width], wanted.tokens[:, :width]):
            return
    ours, theirs = _spell(wanted), _spell(given)
    place: dict[str, int] = {}
    for row, text in enumerate(ours):
        place.setdefault(text, row)
    often, seen = Counter(ours), Counter[str]()
    for row, text in enumerate(theirs):
        if text not in place:
            raise BenchError(
                f"{path}, row {row + 1}: not a sequence of the test file: {text[:40]}…"
            )
        seen[text] += 1
        if seen[text] > often[text]:
            raise BenchError(
                f"{path}, row {row + 1}: sequence repeats an earlier row: {text[:40]}…"
            )
    missing = next((place[text] for text in ours if seen[text] < often[text]), None)
    if missing is not None:
        raise BenchError(
            f"{path}: {len(theirs):,} predictions for {len(ours):,} test rows; row "
            f"{missing + 1} of the test file has none."
        )
    row = next(row for row, text in enumerate(theirs) if text != ours[row])
    raise BenchError(
        f"{path}, row {row + 1}: the sequence is row {place[theirs[row]] + 1} of the test file. "
        "Put the rows in the test file's order."
    )


def _spell(sequences: Sequences) -> list[str]:
    texts = decode(sequences.tokens)
    return [text[:length] for text, length in zip(texts, sequences.lengths, strict=True)]
