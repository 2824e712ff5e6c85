"""Targets and counts of the loader, against values worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from bench.data.dataset import Dataset, Split, TestSet
from bench.data.layout import Layout
from bench.data.sequences import encode
from bench.errors import BenchError
from bench.model import TargetScale
from bench.training.loader import Loader

Rows = list[tuple[str, float]]
# Flanks of 1 and 2 nt: ACGTTT is the insert CGT.
TRAIN: Rows = [("ACGTTT", target) for target in (2, 4, 4, 4, 5, 5, 7, 9)]  # mean 5, std 2
LONG: Rows = [("ACGTACGTTT", 1000)]
VALIDATION: Rows = [("ACGTTT", 9), ("AGACTATT", 1), ("ATT", 6)]
TEST: Rows = [("ACGTTT", 8), ("AGACTATT", 8), ("AGACTACTT", 8), ("ACGTACTT", 8)]
SHORT = Layout(flanks="trim", length=4)
DROPPING = Layout(flanks="trim", length=4, drop_longer=True)


def split(rows: Rows) -> Split:
    sequences = encode([letters for letters, _ in rows])
    return Split(sequences, np.array([number for _, number in rows], dtype=np.float64))


def loader(train: Rows, layout: Layout, *, standardize: bool = True, **more: Any) -> Loader:
    test = split(TEST)
    dataset = Dataset(
        name="toy",
        version=1,
        options={},
        usual_length=6,
        flanks=(1, 2),
        train=split(train),
        validation=split(VALIDATION),
        test=TestSet(test.sequences, test.target, name="toy"),
    )
    return Loader(dataset, layout, standardize=standardize, device=torch.device("cpu"), **more)


def predictions(*values: float) -> Any:
    return np.array(values, dtype=np.float32)


def test_targets_are_standardized_by_mean_and_population_deviation_of_the_training_rows() -> None:
    made = loader(TRAIN, SHORT)
    assert made.transform.scale == TargetScale(5, 2)
    assert made.training().target.tolist() == [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]
    assert made.validation().target.tolist() == [2, -2, 0.5]


def test_predictions_return_to_the_unit_of_the_targets() -> None:
    made = loader(TRAIN, SHORT)
    assert made.transform.in_units(predictions(-1.5, 0, 2, 0.25)).tolist() == [2, 5, 9, 5.5]
    assert made.transform.in_units(made.validation().target.numpy()).tolist() == [9, 1, 6]


def test_without_standardizing_targets_and_predictions_are_left_alone() -> None:
    made = loader(TRAIN, SHORT, standardize=False)
    assert made.training().target.tolist() == [2, 4, 4, 4, 5, 5, 7, 9]
    assert made.validation().target.tolist() == [9, 1, 6]
    assert made.transform.in_units(predictions(-1.5, 2)).tolist() == [-1.5, 2]


def test_a_row_that_is_dropped_is_counted_and_leaves_the_moments_alone() -> None:
    made = loader([*TRAIN[:3], *LONG, *TRAIN[3:]], DROPPING)
    assert made.transform.scale == TargetScale(5, 2)
    assert made.training().target.tolist() == [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]
    assert made.counts == {
        "train": 8,
        "dropped_train": 1,
        "cropped_train": 0,
        "validation": 3,
        "cropped_validation": 1,
        "test": 4,
        "cropped_test": 3,
    }


def test_a_row_that_is_cropped_is_counted_and_learnt_from() -> None:
    made = loader([*LONG, *TRAIN], SHORT)
    assert (made.counts["train"], made.counts["dropped_train"]) == (9, 0)
    assert (made.counts["cropped_train"], made.counts["cropped_validation"]) == (1, 1)
    assert made.transform.scale.mean == pytest.approx(1040 / 9)
    first, _, _ = next(made.training().in_order(9))
    letters = ["".join("ACGTN"[token] for token in row) for row in first[:2]]
    assert letters == ["CGTA", "CGTN"]


def test_no_one_who_predicts_the_test_rows_is_told_their_targets() -> None:
    batches = loader(TRAIN, SHORT).test()
    assert len(batches) == 4
    assert batches.target.isnan().all()


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (LONG, "^all 1 training rows are longer than the 7 nt that the model takes"),
        (TRAIN[1:4], "^3 training rows with one target value"),
    ],
    ids=["all dropped", "all alike"],
)
def test_rows_that_teach_nothing_are_refused(train: Rows, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        loader(train, DROPPING)


def test_a_model_is_told_the_targets_of_training_rows_alone() -> None:
    told: list[list[float]] = []

    def input_columns(rows: Split) -> dict[str, Any]:
        told.append(rows.target.tolist())
        return {"target": rows.target}

    made = loader([*TRAIN[:3], *LONG, *TRAIN[3:]], DROPPING, input_columns=input_columns)
    assert told[0] == [2, 4, 4, 4, 5, 5, 7, 9]  # in their unit, without the row that is dropped
    assert [len(targets) for targets in told] == [8, 3, 4]
    assert np.isnan([*told[1], *told[2]]).all()
    (validated,) = made.validation().in_order(9)
    assert validated.columns["target"].isnan().all()
    assert validated.target.tolist() == [2, -2, 0.5]
    assert made.sample_columns()["target"].tolist() == [2]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.array(["a"] * 8), "^a model's inputs are numbers; column 'x' is <U1"),
        (np.zeros(7), r"^a model's input 'x' has the shape \(7,\); it needs 8 rows"),
        (np.array(1.0), r"^a model's input 'x' has the shape \(\); it needs 8 rows"),
    ],
)
def test_an_input_that_is_no_number_a_row_is_refused(column: Any, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        loader(TRAIN, SHORT, input_columns=lambda rows: {"x": column})
