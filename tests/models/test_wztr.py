"""The network of wztr against a float64 computation, its input and its last ReLU by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.model import TargetScale
from bench.registry import MODELS
from tests.models import float64 as by_hand

Wztr = MODELS.get("wztr")


def small(**settings: Any) -> Any:
    sizes = {"length": 11, "stem_channels": 5, "channels": 6, "hidden": 4, "dilations": (1, 3)}
    config = Wztr.Config(**{**sizes, "stages": 3, "blocks": 2, **settings})
    return Wztr(config, 2 * config.length).eval()


def both_strands(row: str, length: int) -> str:
    """Return a row filled with N, and the reverse complement of both."""
    padded = row + "N" * (length - len(row))
    return padded + by_hand.reverse_complement(padded)


def as_read(row: str, length: int) -> str:
    """Return the same with a dot for every N that fills the row."""
    fill = "." * (length - len(row))
    return row + fill + fill + by_hand.reverse_complement(row)


@pytest.mark.parametrize("row", ["ACNNGT", "ACGTACGTACG", "A", "CNNNNNNNNNT"])
def test_n_inside_a_row_is_a_quarter_and_n_behind_it_zero(row: str) -> None:
    model = small()
    seen: list[torch.Tensor] = []
    model.stem.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    forward = both_strands(row, 11)
    model(by_hand.tokens(forward, forward[11:] + forward[:11]))  # and shown from the other strand
    read = as_read(row, 11)
    np.testing.assert_array_equal(seen[0][0], by_hand.one_hot(read, n=0.25))
    np.testing.assert_array_equal(seen[0][1], by_hand.one_hot(read[11:] + read[:11], n=0.25))


def quick_gelu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-1.702 * x))


def expected_output(w: by_hand.Weights, letters: str) -> float:
    """Return the output before the last ReLU for the sizes of :func:`small`."""

    def layer(x: by_hand.Array, name: str, pad: int, dilation: int = 1) -> by_hand.Array:
        x = by_hand.conv(x, w, f"{name}.conv", (pad, pad), dilation)
        return by_hand.relu(by_hand.batch_norm(x, w, f"{name}.norm"))

    x = layer(layer(by_hand.one_hot(letters, n=0.25), "stem.0", 2), "stem.1", 1)
    for stage in range(3):
        for block in range(2):
            name = f"stages.{3 * stage + block}.branches"
            x = x + np.concatenate([layer(x, f"{name}.0", 1), layer(x, f"{name}.1", 3, 3)])
        pairs = [x[:, i : i + 2] for i in range(0, x.shape[1], 2)]  # the last may be one position
        x = np.stack([pair.mean(axis=1) for pair in pairs], axis=1)
    y = quick_gelu(by_hand.linear(x.reshape(-1), w, "first"))
    for number in range(2):
        y = quick_gelu(by_hand.linear(y, w, f"hidden.{number}"))
    return float(by_hand.linear(y, w, "head")[0])


def test_the_output_equals_a_float64_computation() -> None:
    """22 positions become 11, 6 and 3: two of the halvings have a single position left."""
    model = small()
    w = by_hand.randomize(model)
    rng = np.random.default_rng(1)
    rows = ["".join(rng.choice(list("ACGT"), size)) for size in (11, 11, 9, 5, 7, 10)]
    rows.append("ACGNNTA")
    expected = np.array([expected_output(w, as_read(row, 11)) for row in rows])
    tokens = by_hand.tokens(*(both_strands(row, 11) for row in rows))
    model.scale = TargetScale(mean=1e3, std=1.0)  # 0 of the unit is far below all outputs
    assert np.std(expected) > 0.01
    assert by_hand.worst(model(tokens), expected) < 1e-5


@pytest.mark.parametrize(
    ("mean", "std", "bias", "standardized"),
    [
        (0.0, 1.0, -2.0, 0.0),  # raw targets: a ReLU
        (0.0, 1.0, 2.0, 2.0),
        (11.0, 2.0, -5.0, -5.0),  # 11 - 10 = 1 bin
        (11.0, 2.0, -6.0, -5.5),  # 11 - 12 is below 0 bins; 0 bins are -5.5
    ],
)
def test_the_last_relu_is_at_zero_of_the_targets_unit(
    mean: float, std: float, bias: float, standardized: float
) -> None:
    model = small()
    model.scale = TargetScale(mean=mean, std=std)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.constant_(model.head.bias, bias)
    assert model(by_hand.tokens("A" * 22)).tolist() == [standardized]


def test_without_the_last_relu_targets_below_zero_are_predicted() -> None:
    tokens = by_hand.tokens(*("ACGTTGCATCG" * 2, "T" * 22, "GATTACAGGAC" * 2))
    outputs = []
    for last_relu in (True, False):
        torch.manual_seed(0)
        model = small(last_relu=last_relu)
        model.scale = TargetScale(mean=2.0, std=4.0)
        torch.nn.init.constant_(model.head.bias, -3.0)
        outputs.append(model(tokens))
    cut, free = outputs
    assert cut.tolist() == [-0.5] * 3  # 0 of the unit
    assert (free < -2).all()
    assert free.unique().numel() == 3


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in Wztr(Wztr.Config(), 284).parameters()) == 4_823_297


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BenchError, match=r"channels \(10\) is not a multiple .* Try 8\."):
        Wztr.Config(channels=10)
    with pytest.raises(BenchError, match=r"stem_width must be odd; got 4\. Try 5\."):
        Wztr.Config(stem_width=4)
