"""Base class of models: settings, inputs and output."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.config import NoSettings, settings
from bench.data.dataset import Split
from bench.data.sequences import encode
from bench.errors import BenchError
from bench.model import UNSCALED, Batch, FittedModel, Model, TargetScale


@settings
class First:
    width: int = 3


@settings
class Second(First):
    height: int = 4


class Wide(Model[First]):
    """Logits: the tokens times a weight, ``(B, 2)``."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, :2].float()


class Wider(Wide):
    """Settings of its parent."""


class Fitted(FittedModel[Second]):
    """A model that is fitted."""


class Dosed(Model[First]):
    columns = ("dose", "strand")

    def forward(self, tokens: Tensor, dose: Tensor, strand: Tensor) -> Tensor:
        return tokens.sum(dim=1) + dose * strand


def test_the_type_argument_is_the_class_of_settings() -> None:
    assert (Wide.Config, Wider.Config, Fitted.Config) == (First, First, Second)
    assert Model.Config is FittedModel.Config is NoSettings
    assert Wide(First(width=7), 2).config.width + 1 == 8  # and mypy knows it


def test_any_is_no_class_of_settings() -> None:
    class Free(Model[Any]):
        pass

    assert Free.Config is NoSettings


def test_an_output_that_is_no_number_a_row_needs_an_expectation() -> None:
    model, tokens = Wide(First(), 2), torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)
    told = r"^Wide.forward returns \(2, 2\), one row a sequence: define expectation\(output\)"
    with pytest.raises(BenchError, match=told):
        model.loss(Batch(tokens, torch.zeros(2), {}))
    model.expectation = lambda output: output @ torch.tensor([10.0, 1.0])  # type: ignore[method-assign]
    loss = model.loss(Batch(tokens, torch.tensor([11.0, 36.0]), {}))
    assert loss.item() == (1**2 + 2**2) / 2


def test_columns_are_handed_to_the_network_by_name() -> None:
    model, tokens = Dosed(First(), 2), torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)
    columns = {"strand": torch.tensor([1, -1]), "dose": torch.tensor([0.5, 2.0])}
    target = torch.tensor([3.5, 8.0])  # predicted are 3.5 and 5
    assert model.loss(Batch(tokens, target, columns)).item() == 3**2 / 2


def test_named_columns_are_taken_from_the_rows() -> None:
    rows = Split(
        encode(["A", "C"]),
        np.zeros(2),
        columns={"cell": np.array(["a", "b"]), "strand": np.array([1, 2]), "dose": np.ones(2)},
    )
    assert list(Dosed.input_columns(First(), rows)) == ["dose", "strand"]
    assert Wide.input_columns(First(), rows) == {}
    few = Split(rows.sequences, rows.target, columns={"dose": np.ones(2)})
    with pytest.raises(BenchError) as raised:
        Dosed.input_columns(First(), few)
    told = "Dosed reads the column 'strand' of every row; these rows have: dose."
    assert str(raised.value) == told


def test_the_scale_goes_both_ways_and_is_no_part_of_the_weights() -> None:
    scale, values = TargetScale(mean=5, std=2), torch.tensor([-1.5, 0.0, 2.0])
    assert scale.raw(values).tolist() == [2, 5, 9]
    assert scale.standardized(scale.raw(values)).tolist() == values.tolist()
    assert UNSCALED.raw(values).tolist() == values.tolist()
    model = Wide(First(), 2)
    assert model.scale == UNSCALED
    model.scale = scale
    assert not model.state_dict()
