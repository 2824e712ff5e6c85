"""Data sets in memory and on disk: encoded sequences, targets, columns and fingerprints.

This module needs only NumPy. A data set that was encoded on one machine can be used for training on
another machine without polars and without the raw files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.data.sequences import LETTERS, Sequences, encode_lines
from bench.data.tables import LARGEST
from bench.errors import BenchError, first_line

SPLITS = ("train", "validation", "test")
_HEADER = "dataset.json"
_THINNING = (0, 1)  # seed for fractions; its stream differs from that of a task's split_seed 0
_DAMAGE = (*(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError),)


@dataclass(frozen=True)
class Split:
    """Rows for training, validation or test.

    Attributes:
        sequences: N encoded sequences, flanks included.
        target: Targets ``(N,)`` float64, as in the file; training rounds them to
            float32 after it has standardized them.
        columns: Additional columns by name, ``(N, ...)`` each: numbers that a model may take as an
            input, or fixed-width text such as the name of a cell line.
    """

    sequences: Sequences
    target: NDArray[np.float64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse columns of another length, and columns that are neither numbers nor text."""
        for name, column in self.columns.items():
            if len(column) != len(self):
                raise BenchError(f"column '{name}' has {len(column):,} rows, not {len(self):,}.")
            if column.dtype.kind not in "biufSU":
                raise BenchError(
                    f"column '{name}' is of type {column.dtype}: make it numbers, or text by "
                    ".astype(str)."
                )

    @classmethod
    def of(cls, sequences: Sequence[str], target: ArrayLike, **columns: ArrayLike) -> Split:
        """Return rows made from sequences as text and their targets.

        Args:
            sequences: N sequences of A, C, G, T and N, in upper or lower case.
            target: N finite numbers.
            columns: Additional columns by name, N values each.

        Raises:
            BenchError: A sequence is empty or has another letter, a number is not finite, or the
                numbers of sequences and targets differ; the message counts rows from 0.
        """
        numbers = np.asarray(target, dtype=np.float64)
        if numbers.shape != (len(sequences),):
            raise BenchError(
                f"{len(sequences):,} sequences need as many numbers; got shape {numbers.shape}."
            )
        encoded, known = encode_lines([text.encode() for text in sequences])
        for wrong, what in (
            (~known, f"a letter that is not one of {LETTERS}"),
            (encoded.lengths == 0, "no sequence"),
            (~(np.abs(numbers) <= LARGEST), "a target that is not a finite number"),
        ):
            if wrong.any():
                raise BenchError(f"row {int(np.argmax(wrong)):,} has {what}.")
        return cls(encoded, numbers, columns={k: np.asarray(v) for k, v in columns.items()})

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.int64]) -> Split:
        """Return some rows, in the order given."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Split(self.sequences.take(rows), self.target[rows], columns=columns)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of bases, targets and columns, independent of the way they are stored."""
        digest = hashlib.blake2b(f"{len(self)}".encode(), digest_size=8)
        for array in (self.sequences.hashes(), self.target):
            digest.update(np.ascontiguousarray(array).data)
        for name, column in sorted(self.columns.items()):
            cells = _as_stored_anywhere(column)
            digest.update(f"{name} {cells.dtype.str} {cells.shape}".encode())
            digest.update(cells.view(np.uint8).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class TestSet(Split):
    """Test rows with their subsets; scoring needs nothing else.

    Attributes:
        name: Name of the data set in results, such as "dream" or "dream-simulated".
        subsets: Subsets by name: test rows ``(M,)``, or pairs of test rows ``(M, 2)``.
        missing: Missing files by the name of their subset.
        remarks: Remarks on subsets that are not those of the release, by name.
    """

    __test__: ClassVar[bool] = False  # tells pytest that this class is not a test case

    name: str = ""
    subsets: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    @cached_property
    def subsets_fingerprint(self) -> str:
        """Hash of the subsets; a score depends on it, on :attr:`fingerprint` and on predictions."""
        digest = hashlib.blake2b(digest_size=8)
        for name, rows in sorted(self.subsets.items()):
            digest.update(f"{name} {rows.shape} {rows.dtype}".encode())
            digest.update(np.ascontiguousarray(rows).data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Training, validation and test rows of a task.

    A data set can be made from rows in memory::

        Dataset(train=Split.of(sequences, numbers), validation=…, test=…)

    Attributes:
        train, validation: Rows to train on, and rows to choose the best weights with.
        test: Rows to score; a plain split becomes a test set without subsets.
        name: Name of the data set in results, such as "dream" or "dream-simulated".
        version: Version of the task that read the rows.
        options: Options of the task with which the rows were read.
        usual_length: Length of a typical sequence (nt), flanks included; 0 for the length of the
            longest training sequence.
        flanks: Number of constant bases on the left and on the right of every sequence.
        notes: Counts for the user, such as the number of repeated sequences.
    """

    train: Split
    validation: Split
    test: TestSet
    name: str = "in-memory"
    version: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    usual_length: int = 0
    flanks: tuple[int, int] = (0, 0)
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Turn a plain test split into a test set, and derive the usual length from the rows."""
        if not isinstance(self.test, TestSet):
            rows: Split = self.test
            test = TestSet(rows.sequences, rows.target, self.name, columns=rows.columns)
            object.__setattr__(self, "test", test)
        if not self.usual_length:
            longest = int(self.train.sequences.lengths.max(initial=0))
            object.__setattr__(self, "usual_length", longest)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of bases, targets, columns and split, independent of the way they are stored."""
        splits = [f"{name} {getattr(self, name).fingerprint}" for name in SPLITS]
        return hashlib.blake2b(" ".join(splits).encode(), digest_size=8).hexdigest()

    def thinned(self, fraction: float | None) -> Dataset:
        """Return the data set with a fraction of its training rows, in their order.

        The rows are the first rows of one fixed permutation, which depends neither on the seed of a
        run nor on the fraction. All runs with the same fraction train on the same rows, and the
        rows of a smaller fraction are a subset of those of a larger one.

        Args:
            fraction: Share of the training rows, at least one row; None for all rows.

        Raises:
            BenchError: The fraction is not above 0, or it is above 1.
        """
        if fraction is None:
            return self
        if not 0 < fraction <= 1:
            raise BenchError(
                f"a fraction is above 0 and at most 1; got {fraction}.", field="fraction"
            )
        rows = np.random.default_rng(_THINNING).permutation(len(self.train))
        kept = rows[: max(1, round(len(rows) * fraction))]
        return replace(self, train=self.train.take(np.sort(kept)))

    def _checksum(self) -> str:
        """Return a hash of the facts outside the fingerprint: lengths, flanks and test subsets."""
        test = self.test
        rest = [self.usual_length, self.flanks, test.name, test.missing, test.subsets_fingerprint]
        rest += [test.remarks] if test.remarks else []  # folders of older versions have none
        return hashlib.blake2b(repr(tuple(rest)).encode(), digest_size=8).hexdigest()

    def save(self, directory: Path) -> None:
        """Write the data set as ``.npy`` files and a JSON header; the header is written last.

        Raises:
            BenchError: The folder holds a data set already, whose files this one may have mapped.
        """
        if self.is_saved(directory):
            raise BenchError(f"{directory} holds a data set already. Name a new folder.")
        directory.mkdir(parents=True, exist_ok=True)
        for name in SPLITS:
            split: Split = getattr(self, name)
            _save_tokens(directory / f"{name}.tokens.npy", split.sequences)
            np.save(directory / f"{name}.lengths.npy", split.sequences.lengths)
            np.save(directory / f"{name}.target.npy", split.target)
            for number, column in enumerate(split.columns.values()):
                np.save(directory / f"{name}.column.{number}.npy", column)
        for name, rows in self.test.subsets.items():
            np.save(directory / f"subset.{name}.npy", rows)
        header = {
            "name": self.name,
            "version": self.version,
            "options": self.options,
            "usual_length": self.usual_length,
            "flanks": self.flanks,
            "test": {
                "name": self.test.name,
                "subsets": list(self.test.subsets),
                "missing": self.test.missing,
                "remarks": self.test.remarks,
            },
            "notes": self.notes,
            "fingerprint": self.fingerprint,
            "checksum": self._checksum(),
        }
        columns = {name: list(getattr(self, name).columns) for name in SPLITS}
        if any(columns.values()):
            header["columns"] = columns
        (directory / _HEADER).write_text(json.dumps(header, indent=1) + "\n")

    @classmethod
    def is_saved(cls, directory: Path) -> bool:
        """Return whether a directory holds a data set written by :meth:`save`."""
        return (directory / _HEADER).is_file()

    @classmethod
    def open(cls, directory: Path) -> Dataset:
        """Open a data set written by :meth:`save`; its arrays are memory-mapped.

        Raises:
            BenchError: A file is missing or has changed.
        """
        try:
            header = json.loads((directory / _HEADER).read_text())
            columns = header.get("columns", {})
            train, validation, test = (
                _open_split(directory, name, columns.get(name, [])) for name in SPLITS
            )
            scored = header["test"]
            subsets = {name: _open_array(directory, f"subset.{name}") for name in scored["subsets"]}
            dataset = cls(
                name=header["name"],
                version=header["version"],
                options=header["options"],
                usual_length=header["usual_length"],
                flanks=(header["flanks"][0], header["flanks"][1]),
                train=train,
                validation=validation,
                test=TestSet(
                    test.sequences,
                    test.target,
                    scored["name"],
                    subsets,
                    scored["missing"],
                    scored.get("remarks", {}),
                    columns=test.columns,
                ),
                notes=header["notes"],
            )
            written = header["fingerprint"], header["checksum"]
        except _DAMAGE as error:
            raise BenchError(f"{directory / _HEADER}: {error!r}. Encode it again.") from None
        if (dataset.fingerprint, dataset._checksum()) != written:
            raise BenchError(f"{directory}: its content has changed. Encode it again.")
        return dataset


def _as_stored_anywhere(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column with a fixed byte order and, for text, the width of its longest cell."""
    if column.dtype.kind in "SU":
        width = int(np.char.str_len(column).max(initial=1))
        return np.ascontiguousarray(column, dtype=f"<{column.dtype.kind}{width}")
    return np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))


def _save_tokens(path: Path, sequences: Sequences) -> None:
    """Write tokens chunk by chunk, because the rows may not fit into memory."""
    shape = len(sequences), sequences.base.shape[1]
    if not len(sequences):  # an empty file cannot be mapped
        np.save(path, np.zeros(shape, dtype=np.uint8))
        return
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for part, chunk in sequences.chunks():
        out[part] = chunk.tokens
    out.flush()


def _open_split(directory: Path, name: str, columns: list[str]) -> Split:
    tokens, lengths, target = (
        _open_array(directory, f"{name}.{part}") for part in ("tokens", "lengths", "target")
    )
    kinds = [str(array.dtype) for array in (tokens, lengths, target)]
    shapes = (tokens.ndim, len(tokens), lengths.shape, target.shape)
    if kinds != ["uint8", "int32", "float64"] or shapes != (
        2,
        len(target),
        (len(target),),
        (len(target),),
    ):
        raise BenchError(f"{directory}: {name} arrays do not belong together. Encode it again.")
    further = {
        column: _open_array(directory, f"{name}.column.{number}")
        for number, column in enumerate(columns)
    }
    return Split(Sequences(tokens, lengths), target, columns=further)


def _open_array(directory: Path, name: str) -> NDArray[Any]:
    path = directory / f"{name}.npy"
    try:
        loaded: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy's parser raises many types for a damaged header
        reason = first_line(error)
        raise BenchError(f"{path}: {reason}. Encode it again.") from None
    return loaded
