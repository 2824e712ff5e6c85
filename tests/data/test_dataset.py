"""Fingerprints of data sets that are equal or differ in one property, and damaged folders."""

import hashlib
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import Dataset, Split, TestSet
from bench.data.sequences import Sequences, encode
from bench.errors import BenchError

Rows = list[tuple[str, float]]
TRAIN: Rows = [("ACGTA", 1.5), ("ACG", -2.0), ("GG", 0.25)]
VALIDATION: Rows = [("TTTT", 3.0), ("CA", 4.0)]
TEST: Rows = [("GATTACA", 5.0), ("A", 6.0), ("C", 7.0)]


def split(rows: Rows) -> Split:
    sequences = encode([letters for letters, _ in rows])
    return Split(sequences, np.array([number for _, number in rows], dtype=np.float64))


def scored(part: Split) -> TestSet:
    subsets = {"snv": np.array([[0, 2]]), "odd": np.array([0, 1, 2])}
    return TestSet(part.sequences, part.target, "toy test", subsets, {"rare": "rare.csv"})


def dataset(train: Rows = TRAIN, validation: Rows = VALIDATION, test: Rows = TEST) -> Dataset:
    return Dataset(
        name="toy",
        version=3,
        options={"fraction": 0.5, "whole": None},
        usual_length=5,
        flanks=(1, 2),
        train=split(train),
        validation=split(validation),
        test=scored(split(test)),
        notes={"repeats": 7},
    )


def spaced(part: Split) -> Split:
    """Return the rows in arrays of another memory layout: not contiguous, with another width."""
    tokens, lengths = part.sequences.tokens, part.sequences.lengths
    wide = np.full((len(part), 40), 4, dtype=np.uint8)
    wide[:, : 2 * tokens.shape[1] : 2] = tokens
    every_other: Any = wide[:, ::2]
    return Split(Sequences(every_other, lengths.repeat(2)[::2]), part.target.repeat(2)[::2])


def test_a_dataset_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = dataset()
    saved.save(tmp_path / "new" / "folder")
    opened = Dataset.open(tmp_path / "new" / "folder")
    assert (opened.name, opened.version, opened.options) == ("toy", 3, saved.options)
    assert (opened.usual_length, opened.flanks, opened.notes) == (5, (1, 2), {"repeats": 7})
    for name, rows in [("train", TRAIN), ("validation", VALIDATION), ("test", TEST)]:
        part = getattr(opened, name)
        assert len(part) == len(rows)
        assert part.target.tolist() == [number for _, number in rows]
        assert part.sequences.lengths.tolist() == [len(letters) for letters, _ in rows]
        np.testing.assert_array_equal(part.sequences.tokens, split(rows).sequences.tokens)
    assert (opened.test.name, opened.test.missing) == ("toy test", {"rare": "rare.csv"})
    assert list(opened.test.subsets) == ["snv", "odd"]
    assert opened.test.subsets["snv"].tolist() == [[0, 2]]
    assert opened.test.subsets["odd"].tolist() == [0, 1, 2]


def test_a_fraction_keeps_the_rows_of_one_permutation_in_their_order() -> None:
    """The permutation is NumPy's, with its rows typed here; no other split changes."""
    rows: Rows = [("A" * (1 + place), float(place)) for place in range(10)]
    whole = dataset(train=rows)
    thin = whole.thinned(0.4)
    order = [9, 1, 3, 8, 7, 6, 0, 4, 2, 5]  # numpy.random.default_rng((0, 1)).permutation(10)
    assert thin.train.target.tolist() == sorted(order[:4])
    assert thin.train.sequences.lengths.tolist() == [1 + place for place in sorted(order[:4])]
    assert whole.thinned(0.7).train.target.tolist() == sorted(order[:7])
    assert whole.thinned(1e-9).train.target.tolist() == order[:1]
    assert thin.validation is whole.validation
    assert thin.test is whole.test
    assert thin.fingerprint != whole.fingerprint
    assert whole.thinned(None) is whole
    assert whole.thinned(1.0).fingerprint == whole.fingerprint


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_a_fraction_is_a_share(fraction: float) -> None:
    with pytest.raises(BenchError, match="a fraction is above 0 and at most 1; got"):
        dataset().thinned(fraction)


def test_an_opened_dataset_lies_on_disk(tmp_path: Path) -> None:
    dataset().save(tmp_path)
    assert isinstance(Dataset.open(tmp_path).train.sequences.tokens, np.memmap)


def test_rows_are_taken_with_their_targets() -> None:
    taken = split(TRAIN).take(np.array([2, 0]))
    assert taken.target.tolist() == [0.25, 1.5]
    assert taken.sequences.lengths.tolist() == [2, 5]
    assert taken.sequences.tokens.tolist() == [[2, 2, 4, 4, 4], [0, 1, 2, 3, 0]]


def test_a_folder_is_a_dataset_once_its_header_is_written(tmp_path: Path) -> None:
    assert not Dataset.is_saved(tmp_path)
    dataset().save(tmp_path)
    assert Dataset.is_saved(tmp_path)
    assert not Dataset.is_saved(tmp_path / "absent")


def mixed(x: int) -> int:
    """Return SplitMix64's finalizer, computed with Python integers."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def row_hash(letters: str) -> int:
    total = mixed(len(letters))
    for place, start in enumerate(range(0, len(letters), 8), start=1):
        word = bytes("ACGTN".index(letter) for letter in letters[start : start + 8].ljust(8, "N"))
        number = int.from_bytes(word, "little") + place * 0x9E3779B97F4A7C15
        total += mixed(number % 2**64)
    return total % 2**64


def hashed(rows: Rows) -> str:
    digest = hashlib.blake2b(str(len(rows)).encode(), digest_size=8)
    for letters, _ in rows:
        digest.update(struct.pack("<Q", row_hash(letters)))
    for _, target in rows:
        digest.update(struct.pack("<d", target))
    return digest.hexdigest()


def test_the_fingerprint_is_worked_out_in_plain_python() -> None:
    """Fingerprints identify data sets in old results, so they must never change."""
    long: Rows = [("ACGTNACGTTT", 0.5), ("ACGTACGT", 1.0)]
    parts = f"train {hashed(TRAIN)} validation {hashed(long)} test {hashed(TEST)}"
    expected = hashlib.blake2b(parts.encode(), digest_size=8).hexdigest()
    assert dataset(validation=long).fingerprint == expected


def test_equal_content_has_one_fingerprint_however_it_is_stored(tmp_path: Path) -> None:
    first = dataset()
    again = replace(
        first,
        train=spaced(first.train),
        validation=spaced(first.validation),
        test=scored(spaced(first.test)),
    )
    first.save(tmp_path / "first")
    again.save(tmp_path / "again")
    opened = Dataset.open(tmp_path / "again")
    opened.save(tmp_path / "third")
    stored = [first, again, Dataset.open(tmp_path / "first"), Dataset.open(tmp_path / "third")]
    assert {each.fingerprint for each in [*stored, opened]} == {dataset().fingerprint}


def test_the_fingerprint_is_of_rows_and_not_of_names() -> None:
    renamed = replace(dataset(), name="other", version=9, notes={}, options={})
    assert renamed.fingerprint == dataset().fingerprint


def test_every_change_of_the_rows_changes_the_fingerprint() -> None:
    a, b, c = TRAIN
    d, e = VALIDATION
    changed = [
        dataset(),
        dataset(train=[("ACGTC", 1.5), b, c]),  # a letter
        dataset(train=[a, b, ("GG", 0.5)]),  # a target
        dataset(train=[a, ("ACGN", -2.0), c]),  # a length: N is a letter here
        dataset(train=[a, b, ("GGN", 0.25)]),
        dataset(train=[("ACGTAN", 1.5), b, c]),
        dataset(train=[b, a, c]),  # the order
        dataset(train=[("ACG", 1.5), ("ACGTA", -2.0), c]),  # the assignment of targets to rows
        dataset(train=[a, b]),
        dataset(train=[a, b, c, c]),
        dataset(validation=[d]),
        dataset(test=TEST[:2]),
        dataset(train=[a, b], validation=[c, d, e]),  # the split
        dataset(train=[a, b, c, d], validation=[e]),
        dataset(train=VALIDATION, validation=TRAIN),
        dataset(validation=TEST, test=VALIDATION),
    ]
    assert len({each.fingerprint for each in changed}) == len(changed)


def rewrite(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        array = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", change(array))

    return tamper


def cut(name: str, size: int | None) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:size])

    return tamper


def header(**changes: Any) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        content = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps({**content, **changes}))

    return tamper


def opening_fails(folder: Path, tamper: Callable[[Path], None]) -> str:
    dataset().save(folder)
    tamper(folder)
    with pytest.raises(BenchError) as raised:
        Dataset.open(folder)
    message = str(raised.value)
    assert message.isprintable()
    assert message.startswith(str(folder))
    return message.removeprefix(str(folder))


CHANGED = ": its content has changed. Encode it again."


@pytest.mark.parametrize(
    "tamper",
    [
        rewrite("train.tokens", lambda a: (a + 1) % 4),
        rewrite("train.lengths", lambda a: a[::-1]),
        rewrite("validation.target", lambda a: a + 1),
        rewrite("test.target", lambda a: a[:-1]),
        rewrite("test.target", lambda a: a.astype(np.float32)),
        header(fingerprint="0" * 16),
    ],
    ids=["tokens", "lengths", "target", "rows", "type", "fingerprint"],
)
def test_other_content_than_was_written_is_refused(
    tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    assert opening_fails(tmp_path, tamper).endswith("Encode it again.")


@pytest.mark.parametrize(
    "name", ["train.tokens.npy", "validation.lengths.npy", "test.target.npy", "subset.snv.npy"]
)
def test_a_file_that_is_missing_or_cut_short_is_named(tmp_path: Path, name: str) -> None:
    message = opening_fails(tmp_path / "missing", lambda folder: (folder / name).unlink())
    assert message.startswith(f"/{name}: ")
    assert message.endswith(". Encode it again.")
    assert opening_fails(tmp_path / "cut", cut(name, -1)).startswith(f"/{name}: ")
    assert opening_fails(tmp_path / "few", cut(name, 20)).startswith(f"/{name}: ")


@pytest.mark.parametrize("place", range(10, 100, 3))
def test_a_changed_byte_in_the_header_of_an_array_is_one_line(tmp_path: Path, place: int) -> None:
    def change(folder: Path) -> None:
        file = folder / "test.target.npy"
        content = bytearray(file.read_bytes())
        content[place] = ord("(")  # NumPy's parser raises other errors for other letters
        file.write_bytes(content)

    with suppress(BenchError):  # some bytes are blanks, which mean nothing
        dataset().save(tmp_path)
        change(tmp_path)
        assert Dataset.open(tmp_path).fingerprint == dataset().fingerprint


@pytest.mark.parametrize(
    "tamper",
    [
        cut("train.tokens.npy", 0),
        lambda folder: (folder / "dataset.json").unlink(),
        cut("dataset.json", 0),
        cut("dataset.json", 40),
        lambda folder: (folder / "dataset.json").write_text("{}"),
    ],
    ids=["empty array", "no header", "empty header", "half a header", "header of nothing"],
)
def test_an_empty_file_or_a_damaged_header_is_one_line(
    tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    assert opening_fails(tmp_path, tamper)


@pytest.mark.parametrize(
    "tamper",
    [
        rewrite("train.tokens", lambda a: a.ravel()),
        rewrite("train.target", lambda a: a.view(np.int32)),
        rewrite("subset.snv", lambda a: a + 1),
        header(flanks=[0, 0]),
    ],
    ids=["shape", "same bytes, other type", "subset", "flanks"],
)
def test_whatever_is_scored_or_trained_on_has_to_be_what_was_written(
    tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    assert opening_fails(tmp_path, tamper)


def test_saving_an_opened_dataset_in_its_own_folder_does_not_destroy_it(tmp_path: Path) -> None:
    dataset().save(tmp_path)
    with suppress(BenchError):
        Dataset.open(tmp_path).save(tmp_path)
    assert Dataset.open(tmp_path).train.target.tolist() == [1.5, -2, 0.25]


def test_a_split_may_be_empty(tmp_path: Path) -> None:
    nothing = Split(
        Sequences(np.zeros((0, 5), dtype=np.uint8), np.zeros(0, dtype=np.int32)),
        np.zeros(0),
    )
    replace(dataset(), validation=nothing).save(tmp_path)
    assert len(Dataset.open(tmp_path).validation) == 0


def test_rows_of_several_chunks_are_saved_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A selection of rows from a larger table, as a task makes it."""
    monkeypatch.setattr("bench.data.sequences._CHUNK", 2)
    rows: Rows = [(f"{'ACGT'[row % 4]}GT{'A' * (row % 3)}", row / 4) for row in range(9)]
    places = [8, 1, 1, 6, 0, 3, 5]
    chosen = split(rows).take(np.array(places))
    replace(dataset(), train=chosen).save(tmp_path)
    opened = Dataset.open(tmp_path).train
    wanted = split([rows[place] for place in places])
    np.testing.assert_array_equal(opened.sequences.tokens, wanted.sequences.tokens)
    assert opened.target.tolist() == wanted.target.tolist()
    assert opened.fingerprint == wanted.fingerprint == chosen.fingerprint
    assert len(np.load(tmp_path / "train.tokens.npy")) == 7


def test_what_test_rows_are_called_and_lack_has_to_be_what_was_written(tmp_path: Path) -> None:
    test: dict[str, Any] = {
        "name": "toy test",
        "subsets": ["snv", "odd"],
        "missing": {"rare": "rare.csv"},
    }
    changes: list[dict[str, Any]] = [{"name": "dream"}, {"missing": {}}, {"subsets": ["snv"]}]
    for number, change in enumerate(changes):
        tamper = header(test={**test, **change})
        assert opening_fails(tmp_path / str(number), tamper) == CHANGED
    assert opening_fails(tmp_path / "usual", header(usual_length=6)) == CHANGED


def test_the_subsets_fingerprint_is_of_names_shapes_types_and_rows_in_any_order() -> None:
    part = split(TEST)

    def found(**subsets: list[Any] | Any) -> str:
        arrays = {name: np.asarray(rows) for name, rows in subsets.items()}
        return TestSet(part.sequences, part.target, "toy", arrays).subsets_fingerprint

    assert found(a=[0, 1], b=[2]) == found(b=[2], a=[0, 1])
    others = [
        found(a=[0, 1], b=[2]),
        found(a=[0, 1], c=[2]),
        found(a=[0, 2], b=[2]),
        found(a=[[0, 1]], b=[2]),
        found(a=[[0], [1]], b=[2]),
        found(a=np.array([0, 1], dtype=np.uint64), b=[2]),
        found(a=[0, 1]),
        found(),
    ]
    assert len(set(others)) == len(others)


COLUMNS = {"strand": np.array([1, -1, 1]), "cell": np.array(["K562", "HepG2", "K562"])}


def with_columns(**changes: Any) -> Dataset:
    columns = {**COLUMNS, **changes}
    first = {name: column[:2] for name, column in columns.items()}
    plain = dataset()
    return replace(
        plain,
        train=replace(plain.train, columns=columns),
        validation=replace(plain.validation, columns=first),
        test=replace(plain.test, columns=columns),
    )


def test_columns_are_taken_with_their_rows() -> None:
    taken = with_columns(pair=np.arange(6).reshape(3, 2)).train.take(np.array([2, 0, 2]))
    assert taken.columns["cell"].tolist() == ["K562", "K562", "K562"]
    assert taken.columns["strand"].tolist() == [1, 1, 1]
    assert taken.columns["pair"].tolist() == [[4, 5], [0, 1], [4, 5]]


def test_columns_come_back_as_they_were_saved(tmp_path: Path) -> None:
    path = np.array([[0.5], [1.5], [-2.5]], dtype=np.float32)
    saved = with_columns(**{"a / path": path})
    saved.save(tmp_path)
    opened = Dataset.open(tmp_path)
    assert opened.fingerprint == saved.fingerprint
    for part, rows in [(opened.train, 3), (opened.validation, 2), (opened.test, 3)]:
        assert list(part.columns) == ["strand", "cell", "a / path"]
        assert part.columns["cell"].tolist() == ["K562", "HepG2", "K562"][:rows]
        assert part.columns["strand"].tolist() == [1, -1, 1][:rows]
        assert part.columns["a / path"].dtype == np.float32
        assert part.columns["a / path"].tolist() == [[0.5], [1.5], [-2.5]][:rows]
    np.save(tmp_path / "test.column.1.npy", np.array(["K562", "K562", "K562"]))
    with pytest.raises(BenchError, match="its content has changed"):
        Dataset.open(tmp_path)


def test_a_dataset_without_columns_is_saved_as_it_always_was(tmp_path: Path) -> None:
    dataset().save(tmp_path)
    assert not list(tmp_path.glob("*column*"))
    assert "columns" not in json.loads((tmp_path / "dataset.json").read_text())


def test_every_change_of_a_column_changes_the_fingerprint() -> None:
    changed = [
        dataset(),
        with_columns(),
        with_columns(strand=np.array([1, 1, 1])),
        with_columns(strand=np.array([1.0, -1.0, 1.0])),
        with_columns(cell=np.array(["K562", "HepG2", "GM12878"])),
        with_columns(cell=np.array(["K562H", "epG2", "K562"])),
        with_columns(line=COLUMNS["cell"]),
        replace(with_columns(), test=dataset().test),
    ]
    assert len({each.fingerprint for each in changed}) == len(changed)


def test_equal_columns_have_one_fingerprint_however_they_are_stored() -> None:
    big = COLUMNS["strand"].astype(">i8")
    spread: Any = np.repeat(COLUMNS["strand"], 2)[::2]
    stored = [
        with_columns(),
        with_columns(strand=big, cell=COLUMNS["cell"].astype("U40")),
        with_columns(strand=spread, cell=COLUMNS["cell"].astype(">U9")),
    ]
    assert len({each.fingerprint for each in stored}) == 1
    turned = dict(reversed(COLUMNS.items()))
    train = replace(dataset().train, columns=turned)
    assert train.fingerprint == with_columns().train.fingerprint


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.arange(2), "column 'x' has 2 rows, not 3."),
        (np.array(["a", None, 1], dtype=object), "column 'x' is of type object: make it numbers"),
        (np.zeros(3, dtype="datetime64[D]"), r"column 'x' is of type datetime64\[D\]: make"),
    ],
)
def test_a_column_that_does_not_fit_the_rows_is_refused(column: Any, message: str) -> None:
    with pytest.raises(BenchError, match=f"^{message}"):
        replace(dataset().train, columns={"x": column})


@pytest.mark.parametrize("columns", [["strand"], {"train": ["absent"]}, {"train": 3}])
def test_a_header_whose_columns_are_wrong_is_refused(tmp_path: Path, columns: object) -> None:
    dataset().save(tmp_path)
    header = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**header, "columns": columns}))
    with pytest.raises(BenchError, match="Encode it again"):
        Dataset.open(tmp_path)
