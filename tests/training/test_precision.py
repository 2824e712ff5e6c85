"""The precision of a recipe: in training, in prediction and in the manifest."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.recipe import Recipe
from bench.training.device import Precision, autocast, describe_device, full_float32
from bench.training.predict import predict
from tests.training.test_loop import Letters, gc_content, run


class Head(Letters):
    """A model whose output is a matrix product; torch rounds its inputs to bfloat16 if asked."""

    def forward(self, tokens: Tensor) -> Tensor:
        counts = nn.functional.one_hot(tokens.long(), 6).float().sum(dim=1)
        return (counts @ self.weights[:, None]).squeeze(1).float()


def rounded(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which numbers have no more than the 8 bits of a bfloat16."""
    found: NDArray[np.bool_] = values.view(np.uint32) & 0xFFFF == 0
    return found


@pytest.mark.parametrize(
    ("precision", "coarse"), [("auto", False), ("float32", False), ("bf16", True)]
)
def test_the_precision_is_that_of_the_recipe_and_the_manifest(precision: Any, coarse: bool) -> None:
    model = Head()
    model.weights.data[:] = torch.tensor([0.123456, 0.23456, 0.345678, 0.456789, 0, 0])
    batches = gc_content(200, seed=2)
    batches.rule = type(batches.rule).of({"precision": precision})
    assert rounded(predict(model, batches).astype(np.float32)).all() == coarse
    with autocast(torch.device("cpu"), precision):
        assert (torch.eye(2) @ torch.eye(2)).dtype == (torch.bfloat16 if coarse else torch.float32)
    told = describe_device(torch.device("cpu"), precision)["precision"]
    assert told == ("bfloat16" if coarse else "float32")
    losses = {}
    for name in ("float32", precision):
        model.weights.data[:] = torch.tensor([0.123456, 0.23456, 0.345678, 0.456789, 0, 0])
        done, _ = run(model, Recipe(batch_size=64, precision=name), max_steps=1)
        losses[name] = done.losses[0]
    assert (losses["float32"] != losses[precision]) == coarse
    assert losses[precision] == pytest.approx(losses["float32"], rel=0.02)


def test_convolutions_in_float32_are_not_rounded_on_a_gpu() -> None:
    precisions: tuple[Precision, ...] = ("auto", "bf16", "float32")
    for precision in precisions:
        with full_float32(precision):
            assert torch.backends.cudnn.allow_tf32 == (precision != "float32")
        assert torch.backends.cudnn.allow_tf32
