"""DeepSTARR, Basset and DanQ: sizes of the originals, and forward passes computed again.

The oracle is float64 NumPy, position by position, written from the networks' descriptions.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.model import Batch, count_parameters
from bench.registry import MODELS

Array = NDArray[np.float64]
State = Mapping[str, Array]


def trained(name: str, positions: int, **settings: object) -> int:
    """Count the weights that an optimizer changes."""
    model_class = MODELS.get(name)
    with torch.device("meta"):
        model = model_class(model_class.Config(**settings), positions)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_deepstarr_has_the_size_of_the_original() -> None:
    """The original has a second output: one more row of 256 weights and a bias."""
    assert trained("deepstarr", 249) + 257 == 622_722
    model = MODELS.get("deepstarr")(MODELS.get("deepstarr").Config(), 249)
    moving = sum(b.numel() for n, b in model.named_buffers() if n.endswith(("_mean", "_var")))
    assert count_parameters(model) + moving + 257 == 624_738  # as Keras counts


def test_basset_as_published_has_the_size_of_the_original() -> None:
    """Summed by hand: 600 nt leave 582, pooled 194; 184, 46; 40, 10 positions."""
    convolutions = 300 * (4 * 19 + 1) + 200 * (300 * 11 + 1) + 200 * (200 * 7 + 1)
    norms = 2 * (300 + 200 + 200 + 1000 + 1000)
    layers = 1000 * (10 * 200 + 1) + 1000 * (1000 + 1) + (1000 + 1)
    found = trained("basset", 600, padding="valid", pools=(3, 4, 4))
    assert found == convolutions + norms + layers == 3_971_901


def test_danq_as_published_has_the_size_of_the_original() -> None:
    """The original's 46,926,479 have 919 outputs in place of one."""
    found = trained("danq", 1000, padding="valid", pool=13)
    assert found == 46_926_479 - 919 * 926 + 926


CASES: list[tuple[str, dict[str, Any]]] = [
    (
        "deepstarr",
        {"filters": (6, 5, 4), "widths": (4, 3, 5), "hidden": (12, 9), "dropout": 0.5},
    ),
    (
        "basset",
        {"filters": (5, 6, 4), "widths": (5, 4, 3), "pools": (2, 3, 1), "hidden": (12, 9)},
    ),
    (
        "basset",
        {"filters": (5, 6), "widths": (5, 4), "pools": (3, 2), "hidden": (8,), "padding": "valid"},
    ),
    ("danq", {"filters": 6, "width": 4, "units": 5, "hidden": 7}),
    (
        "danq",
        {"filters": 6, "width": 5, "pool": 2, "units": 3, "hidden": 4, "padding": "valid"},
    ),
]


@pytest.mark.parametrize("positions", [31, 40])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_output_is_that_of_a_computation_in_float64(
    name: str, settings: dict[str, Any], positions: int
) -> None:
    model_class = MODELS.get(name)
    config = model_class.Config(**settings)
    torch.manual_seed(0)
    model = model_class(config, positions)
    with torch.no_grad():  # no zero bias, no unit scale, no initial statistic stays
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                positive = key.endswith(("running_var", "head.weight"))
                tensor.uniform_(*((0.5, 2.0) if positive else (-0.9, 0.9)))
    tokens = torch.randint(5, (4, positions), dtype=torch.uint8)
    state = {key: value.double().numpy() for key, value in model.state_dict().items()}
    compute = {"deepstarr": deepstarr, "basset": basset, "danq": danq}[name]
    wanted = [compute(config, state, letters(row)) for row in tokens.tolist()]
    found = model.eval()(tokens).detach().numpy()
    assert np.std(wanted) > 0.01
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def deepstarr(config: Any, state: State, x: Array) -> float:
    for layer, width in enumerate(config.widths):
        left = (width - 1) // 2  # Keras: an even width has the odd zero on the right
        x = scanned(x, state, f"convolutions.{layer}.1", (left, width - 1 - left))
        x = pooled(relu(normalized(x, state, f"convolutions.{layer}.2", 1e-3)), config.pool)
    flat = x.T.reshape(-1)  # position by position
    for layer in range(len(config.hidden)):
        flat = relu(
            normalized(mapped(flat, state, f"dense.{layer}.0"), state, f"dense.{layer}.1", 1e-3)
        )
    return float(mapped(flat, state, "head")[0])


def basset(config: Any, state: State, x: Array) -> float:
    for layer, (width, pool) in enumerate(zip(config.widths, config.pools, strict=True)):
        left = (width - 1) // 2
        around = (left, width - 1 - left) if config.padding == "same" else (0, 0)
        x = scanned(x, state, f"convolutions.{layer}.1", around)
        x = pooled(relu(normalized(x, state, f"convolutions.{layer}.2", 1e-5)), pool)
    flat = x.reshape(-1)  # channel by channel, as Torch7 keeps them
    for layer in range(len(config.hidden)):
        flat = relu(
            normalized(mapped(flat, state, f"dense.{layer}.0"), state, f"dense.{layer}.1", 1e-5)
        )
    return float(mapped(flat, state, "head")[0])


def danq(config: Any, state: State, x: Array) -> float:
    left = (config.width - 1) // 2
    around = (left, config.width - 1 - left) if config.padding == "same" else (0, 0)
    x = pooled(relu(scanned(x, state, "motifs.1", around)), config.pool).T  # (positions, filters)
    ahead = list(lstm(x, state, "l0"))
    back = list(lstm(x[::-1], state, "l0_reverse"))[::-1]
    flat = np.concatenate([np.concatenate(pair) for pair in zip(ahead, back, strict=True)])
    return float(mapped(relu(mapped(flat, state, "dense.2")), state, "head")[0])


def letters(row: list[int]) -> Array:
    x = np.zeros((4, len(row)))
    for position, token in enumerate(row):
        if token < 4:
            x[token, position] = 1
    return x


def scanned(x: Array, state: State, layer: str, around: tuple[int, int]) -> Array:
    weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
    filters, _, width = weight.shape
    x = np.pad(x, ((0, 0), around))
    out = np.empty((filters, x.shape[1] - width + 1))
    for position in range(out.shape[1]):
        for number in range(filters):
            out[number, position] = (weight[number] * x[:, position : position + width]).sum()
    return out + bias[:, None]


def normalized(x: Array, state: State, layer: str, eps: float) -> Array:
    mean, variance = state[f"{layer}.running_mean"], state[f"{layer}.running_var"]
    scale = state[f"{layer}.weight"] / np.sqrt(variance + eps)
    return ((x.T - mean) * scale + state[f"{layer}.bias"]).T


def pooled(x: Array, pool: int) -> Array:
    whole = x.shape[1] // pool
    return np.stack([x[:, i * pool : (i + 1) * pool].max(axis=1) for i in range(whole)], axis=1)


def mapped(x: Array, state: State, layer: str) -> Array:
    return state[f"{layer}.weight"] @ x + state[f"{layer}.bias"]


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def lstm(x: Array, state: State, direction: str) -> Iterator[Array]:
    weight, recurrent = (state[f"lstm.weight_{part}_{direction}"] for part in ("ih", "hh"))
    bias = sum(state[f"lstm.bias_{part}_{direction}"] for part in ("ih", "hh"))
    h = c = np.zeros(recurrent.shape[1])
    for step in x:
        i, f, g, o = np.split(weight @ step + recurrent @ h + bias, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        yield h


@pytest.mark.parametrize(
    ("name", "settings", "shortest"),
    [
        ("deepstarr", {}, 16),  # four times halved
        ("deepstarr", {"pool": 3}, 81),
        ("basset", {}, 8),
        ("basset", {"padding": "valid", "pools": (3, 4, 4)}, 168),
        ("danq", {}, 3),
        ("danq", {"padding": "valid", "pool": 13}, 38),
    ],
)
def test_sequences_that_leave_nothing_are_refused_and_odd_lengths_are_taken(
    name: str, settings: dict[str, Any], shortest: int
) -> None:
    model_class = MODELS.get(name)
    config = model_class.Config(**settings)
    with pytest.raises(BenchError, match=f"sequences of {shortest - 1} nt are too short"):
        model_class(config, shortest - 1)
    for positions in (shortest, 201):
        model = model_class(config, positions).train()
        tokens = torch.randint(5, (3, positions), dtype=torch.uint8)
        assert model.loss(Batch(tokens, torch.randn(3), {})).isfinite()


@pytest.mark.parametrize("name", ["deepstarr", "basset"])
def test_a_convolution_without_a_width_is_refused(name: str) -> None:
    with pytest.raises(BenchError, match="Give one of each per convolution"):
        MODELS.get(name).Config(widths=(3, 3))


def test_danqs_lstm_starts_as_keras_starts_it() -> None:
    """Gates are drawn one by one; the forget gate is open; PyTorch's second bias stays zero."""
    model_class = MODELS.get("danq")
    model = model_class(model_class.Config(filters=50, units=40), 60)
    for direction in ("l0", "l0_reverse"):
        parameter = {
            part: model.get_parameter(f"lstm.{part}_{direction}").detach()
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        for gate in torch.split(parameter["weight_hh"], 40):
            torch.testing.assert_close(gate @ gate.T, torch.eye(40), atol=1e-5, rtol=0)
        limit = (6 / (50 + 40)) ** 0.5
        for gate in torch.split(parameter["weight_ih"], 40):
            assert 0.95 * limit < gate.abs().max() <= limit
        assert parameter["bias_ih"].tolist() == [0] * 40 + [1] * 40 + [0] * 80
        assert not parameter["bias_hh"].any()
