"""The dream task on files typed by hand."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import Dataset
from bench.data.sequences import decode
from bench.errors import BenchError
from bench.registry import TASKS

Dream = TASKS.get("dream")
TEST = "filtered_test_data_with_MAUDE_expression.txt"
LEFT, RIGHT = "TGCATTTTTTTCACATC", "GGTTACGGCTGTT"


def promoters(count: int, seed: int) -> list[str]:
    letters = np.random.default_rng(seed).choice(list("ACGT"), (count, 80))
    return [LEFT + "".join(row) + RIGHT for row in letters]


def lines(count: int = 400, seed: int = 0) -> list[str]:
    """Every other target is a whole number; the target of a row is its number or number + .5."""
    values = [row / 2 for row in range(count)]
    return [f"{s}\t{v:g}" for s, v in zip(promoters(count, seed), values, strict=True)]


def release(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train_sequences.txt").write_text("\n".join(lines()) + "\n")
    (folder / TEST).write_text("\n".join(lines(30, seed=1)) + "\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def read(folder: Path, **options: Any) -> Dataset:
    return Dream(Dream.Options(**options)).read(folder, folder)


def test_every_row_is_in_one_split_and_letters_are_kept(tmp_path: Path) -> None:
    dataset = read(release(tmp_path))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (380, 20, 30)
    both = np.concatenate([dataset.train.target, dataset.validation.target])
    assert sorted(both.tolist()) == [row / 2 for row in range(400)]
    row = int(dataset.validation.target[0] * 2)
    assert decode(dataset.validation.sequences.tokens[:1])[0] == promoters(400, 0)[row]
    assert decode(dataset.test.sequences.tokens) == promoters(30, 1)


def test_validation_rows_depend_on_the_split_seed_and_on_nothing_else(tmp_path: Path) -> None:
    release(tmp_path)
    usual = read(tmp_path).validation.target.tolist()
    for options in ({"fraction": 0.1}, {"singletons": "half"}):
        assert read(tmp_path, **options).validation.target.tolist() == usual
    assert read(tmp_path, split_seed=1).validation.target.tolist() != usual


@pytest.mark.parametrize(("share", "text"), [(0.001, "0.1%"), (0.05, "5%"), (0.3, "30%")])
def test_the_share_of_validation_rows_is_told_whole(
    tmp_path: Path, share: float, text: str
) -> None:
    notes = read(release(tmp_path), validation=share).notes
    assert notes["validation"] == f"{text} of train_sequences.txt, seed 0"


def test_a_fraction_is_a_share_of_the_training_rows(tmp_path: Path) -> None:
    release(tmp_path)
    tenth, all_rows = read(tmp_path, fraction=0.1).train, read(tmp_path).train
    assert len(tenth) == 38
    assert set(tenth.target.tolist()) <= set(all_rows.target.tolist())


def test_half_of_the_whole_numbers_leave_and_no_other_row(tmp_path: Path) -> None:
    release(tmp_path)
    everything, half = read(tmp_path).train.target, read(tmp_path, singletons="half").train.target
    fractional = {value for value in everything.tolist() if value % 1}
    assert {value for value in half.tolist() if value % 1} == fractional
    whole = len(everything) - len(fractional)
    assert 0.35 * whole < len(half) - len(fractional) < 0.65 * whole


def test_the_organisers_own_split_wins_where_it_is_there(tmp_path: Path) -> None:
    own = {"train.txt": "\n".join(lines(50, seed=3)), "val.txt": "\n".join(lines(7, seed=4))}
    dataset = read(release(tmp_path, **own))
    assert decode(dataset.validation.sequences.tokens) == promoters(7, 4)
    assert len(dataset.train) == 50


@pytest.mark.parametrize("change", ["gzip", "line ends", "lower case"])
def test_the_fingerprint_is_of_the_content(tmp_path: Path, change: str) -> None:
    plain, other = release(tmp_path / "plain"), release(tmp_path / "other")
    path = other / "train_sequences.txt"
    text = path.read_bytes()
    if change == "gzip":
        path.unlink()
        (other / "train_sequences.txt.gz").write_bytes(gzip.compress(text))
    else:
        path.write_bytes(text.replace(b"\n", b"\r\n") if change == "line ends" else text.lower())
    assert read(other).fingerprint == read(plain).fingerprint


def test_missing_files_are_named_with_the_option_that_helps(tmp_path: Path) -> None:
    release(tmp_path)
    (tmp_path / TEST).unlink()
    with pytest.raises(BenchError, match="fetches it; test_data names another folder"):
        read(tmp_path)
    (tmp_path / "train_sequences.txt").unlink()
    with pytest.raises(BenchError, match=r"no train_sequences\.txt"):
        read(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("fraction", 0), ("fraction", 1.5), ("validation", 0)])
def test_a_share_of_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(BenchError, match=f"task.{name}"):
        Dream.Options(**{name: value})


def test_the_measured_release_is_read_whole(real_data: Path) -> None:
    folder = real_data / "dream"
    dataset = Dream(Dream.Options()).read(folder, folder)
    assert len(dataset.train) + len(dataset.validation) == 7_369
    assert len(dataset.test) == 71_103
    assert dataset.notes["missing files"] == ["test_subset_ids/all_SNVs_seqs.csv"]
