"""Targets far from zero: correlations must not depend on a constant that is added to all targets.

Targets are multiples of 1/1024, so that every shift up to 1e12 is exact in 64-bit numbers. The
oracle is scipy on the stored predictions, after the shift is taken away again.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

import bench
from bench.data.dataset import Dataset, Split, TestSet
from bench.errors import BenchError
from bench.registry import TASKS

TINY = str(Path(__file__).parents[1] / "guides" / "tiny.py")
SHIFTS = [0.0, 1e3, 1e7, -1e9, 1e12]


@pytest.fixture(autouse=True)
def no_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the tasks that are made of data sets here; other tests count what is registered."""
    monkeypatch.setattr(TASKS, "_at_hand", {})


@cache
def rows() -> tuple[list[str], NDArray[np.float64]]:
    generator = np.random.default_rng(0)
    sequences = ["".join(generator.choice(list("ACGT"), 40)) for _ in range(400)]
    signal = np.array([text.count("C") + text.count("GA") for text in sequences], dtype=float)
    targets = signal + 0.5 * generator.normal(size=400)
    return sequences, np.round(targets * 1024) / 1024


def dataset(shift: float, targets: NDArray[np.float64] | None = None) -> Dataset:
    sequences, values = rows()
    values = (values if targets is None else targets) + shift
    parts = [slice(0, 240), slice(240, 300), slice(300, 400)]
    train, validation, test = (Split.of(sequences[part], values[part]) for part in parts)
    return Dataset(train=train, validation=validation, test=TestSet(test.sequences, test.target))


def run(model: str, data: Dataset, folder: Path, **recipe: object) -> bench.Run:
    options = {"batch_size": 16, "lr": 0.01, "epochs": 3} if model == TINY else {}
    return bench.run(
        model, data, recipe_options={**options, **recipe}, device="cpu", runs_dir=folder
    )


@pytest.mark.parametrize(("model", "close"), [("kmer-ridge", 1e-5), (TINY, 1e-3)])
def test_scores_do_not_depend_on_a_shift_of_the_targets(
    tmp_path: Path, model: str, close: float
) -> None:
    test = rows()[1][300:]
    wanted: tuple[float, ...] = ()
    for shift in SHIFTS:
        done = run(model, dataset(shift), tmp_path)
        assert done.predictions is not None
        assert done.predictions.dtype == np.float64
        centered = done.predictions - shift
        found = tuple(
            float(f(centered, test)[0]) for f in (scipy.stats.pearsonr, scipy.stats.spearmanr)
        )
        wanted = wanted or found
        assert wanted[0] > 0.5
        assert found == pytest.approx(wanted, abs=close), shift
        scored = [done.metrics[f"test/all/{name}"] for name in ("pearson", "spearman")]
        assert scored == pytest.approx(found, abs=1e-6), shift


def test_a_run_predicts_its_test_rows_as_it_did_when_it_was_scored(tmp_path: Path) -> None:
    done = run("kmer-ridge", dataset(1e9), tmp_path)
    assert np.array_equal(done.predict(rows()[0][300:]), np.asarray(done.predictions))


@pytest.mark.parametrize("shift", [1e14, -1e16, 1e30])
def test_targets_whose_differences_are_rounded_away_are_refused(
    tmp_path: Path, shift: float
) -> None:
    with pytest.raises(BenchError) as raised:
        run("kmer-ridge", dataset(shift), tmp_path)
    text = str(raised.value)
    assert text.startswith(
        "240 training rows with one target value"
        if abs(shift) > 1e16
        else f"the 240 training targets have mean {shift:.6g} and std "
    )
    assert not list(tmp_path.iterdir())


def test_the_constant_that_a_refusal_names_helps(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="Subtract a constant such as ") as raised:
        run("kmer-ridge", dataset(1e14), tmp_path)
    constant = float(str(raised.value).split(" such as ")[1].split()[0])
    targets = (rows()[1] + 1e14) - constant  # rounded to 1/64 by the shift, and no further
    done = run("kmer-ridge", dataset(0.0, targets), tmp_path)
    near = run("kmer-ridge", dataset(0.0), tmp_path)
    assert done.metrics["test/all/pearson"] == pytest.approx(
        near.metrics["test/all/pearson"], abs=1e-3
    )


def test_targets_that_are_not_standardized_need_their_digits_in_float32(tmp_path: Path) -> None:
    run("kmer-ridge", dataset(100.0), tmp_path, standardize=False)
    with pytest.raises(BenchError, match=r"without recipe\.standardize=True"):
        run("kmer-ridge", dataset(1e6), tmp_path, standardize=False)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "^training row 7: the target nan is not a finite number"),
        (-np.inf, "^training row 7: the target -inf is not a finite number"),
        (1e308, r"^training row 7: the target 1e\+308 is not a finite number"),
        (None, "^240 training rows with one target value"),
    ],
)
def test_targets_that_are_no_numbers_or_all_alike_are_refused(
    tmp_path: Path, value: float | None, message: str
) -> None:
    data = dataset(0.0)
    data.train.target[:] = 0.1 if value is None else data.train.target
    data.train.target[7] = 0.1 if value is None else value
    with pytest.raises(BenchError, match=message):
        run("kmer-ridge", data, tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_rows_in_memory_take_the_numbers_that_files_take(value: float) -> None:
    with pytest.raises(BenchError, match=r"^row 1 has a target that is not a finite number\.$"):
        Split.of(["A", "C"], [0.0, value])


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30, 3e36])
def test_scores_do_not_depend_on_the_unit(tmp_path: Path, scale: float) -> None:
    near = run("kmer-ridge", dataset(0.0), tmp_path)
    done = run("kmer-ridge", dataset(0.0, rows()[1] * scale), tmp_path)
    for name in ("test/all/pearson", "test/all/spearman"):
        assert done.metrics[name] == pytest.approx(near.metrics[name], abs=1e-5)
