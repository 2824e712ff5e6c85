"""LegNet and the organisers' networks: classes for bins, flags, initial weights, sizes.

Their arithmetic is compared with golden files in ``test_golden_dream_nets.py``; that of optimized
LegNet, of which there is none, with a computation in float64 here.
"""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.dataset import Split
from bench.data.sequences import encode
from bench.errors import BenchError
from bench.model import UNSCALED, Batch, Model, TargetScale
from bench.models._layers.sorting_bins import (
    SixChannels,
    SortingBinsConfig,
    are_bins,
    class_scale,
    soft_classes,
)
from bench.registry import MODELS
from bench.results.options import Request
from bench.runner.request import resolve

PARAMETERS = {
    "legnet": 1_852_846,
    "legnet-optimized": 2_129_602,
    "dream-cnn": 1_933_970,
    "dream-rnn": 4_130_578,
    "dream-attn": 4_539_410,
}
DREAM = TargetScale(mean=11.13, std=2.34)
AUTO = SortingBinsConfig()
SMALL: dict[str, Any] = {"blocks": (8, 8, 8)}


def network(name: str, positions: int = 20, **settings: Any) -> Any:
    torch.manual_seed(0)
    model_class = MODELS.get(name)
    return model_class(model_class.Config(**settings), positions)


def rows_of(target: Tensor, positions: int = 20) -> Batch:
    """Return random rows with these standardized targets, on one strand, none a singleton."""
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(4, (len(target), positions), dtype=torch.uint8, generator=random)
    flag = torch.zeros(len(target), dtype=torch.bool)
    return Batch(tokens, target, {"reverse_strand": flag, "singleton": flag.clone()})


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_of_the_originals(name: str) -> None:
    with torch.device("meta"):
        model: Model = network(name, 150)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_soft_classes_worked_out_by_hand() -> None:
    """Bin e is a normal distribution of mean e + .5 and std .5; class i lies between i and i + 1.

    By a table of the normal distribution, Phi(.5) = .6914625, Phi(1) = .8413447, Phi(1.5) =
    .9331928, Phi(2.5) = .9937903, Phi(3) = .9986501, Phi(5) = .9999997.

    e = 11, center 11.5: class 11 is -1..1 std, classes 10 and 12 are 1..3 std, 9 and 13 3..5 std.
    e = 10.25, center 10.75: class 10 is -1.5...5 std, class 11 is .5..2.5 std.
    e = 0 and e = 17: the first and the last class also have all beyond, 1 - Phi(-1).
    """
    classes = soft_classes(torch.tensor([11, 10.25, 0, 17], dtype=torch.float64), 18)
    assert classes.shape == (4, 18)
    whole, between, first, last = classes
    assert whole[9:14].tolist() == pytest.approx(
        [0.0013496, 0.1573054, 0.6826895, 0.1573054, 0.0013496], abs=2e-7
    )
    assert between[10:12].tolist() == pytest.approx([0.6246553, 0.3023279], abs=2e-7)
    assert first[0].item() == pytest.approx(0.8413447, abs=2e-7)
    assert last[17].item() == pytest.approx(0.8413447, abs=2e-7)
    assert (whole @ torch.arange(18.0, dtype=torch.float64)).item() == pytest.approx(11)


@pytest.mark.parametrize("bins", [2, 7, 18])
def test_soft_classes_equal_scipys_to_the_last_tail(bins: int) -> None:
    target = np.arange(-2.0, 20.0, 0.125)
    classes = soft_classes(torch.from_numpy(target), bins)
    np.testing.assert_allclose(classes.sum(dim=1), 1, rtol=1e-14)
    edges = np.array([-np.inf, *range(1, bins), np.inf])
    for mean, row in zip(target, classes.numpy(), strict=True):
        normal = scipy.stats.norm(mean + 0.5, 0.5)
        expected = np.where(
            edges[:-1] > mean + 0.5,
            normal.sf(edges[:-1]) - normal.sf(edges[1:]),
            normal.cdf(edges[1:]) - normal.cdf(edges[:-1]),
        )
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-300)


def test_the_loss_is_the_divergence_from_the_raw_targets_classes() -> None:
    """A network that gives every class 1/18: the loss is log 18 minus the classes' entropy."""
    model = network("legnet", **SMALL)
    torch.nn.init.zeros_(model.head.weight)
    model.scale = DREAM
    raw = np.array([11.0, 10.25, 0.0, 17.0, 3.7])
    loss = model.loss(rows_of(torch.from_numpy((raw - 11.13) / 2.34).float()))
    entropies = []
    for bin_ in raw:
        edges = np.array([-np.inf, *range(1, 18), np.inf])
        entropies.append(scipy.stats.entropy(np.diff(scipy.stats.norm(bin_ + 0.5, 0.5).cdf(edges))))
    assert loss.item() == pytest.approx(math.log(18) - np.mean(entropies), rel=1e-6)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_the_prediction_is_the_mean_class_in_the_tasks_unit() -> None:
    model = network("dream-cnn", first=8, blocks=(8,))
    model.scale = DREAM
    logits = torch.full((2, 18), -100.0)
    logits[0, 4] = logits[0, 7] = 1.0  # two classes of one half each: 5.5
    logits[1, 17] = 0.0
    torch.testing.assert_close(DREAM.raw(model.expectation(logits)), torch.tensor([5.5, 17.0]))


@pytest.mark.parametrize(
    ("mean", "std", "bins"),
    [
        (11.13, 2.34, True),  # the challenge
        (6.86, 4.38, True),  # an earlier experiment of the assay, -1.9..19.4
        (9.88, 14.26, False),  # coverage, 0..84
        (0.0, 1.0, False),  # standardized targets
        (0.5, 0.3, False),  # shares
        (50.0, 20.0, False),  # percent
        (math.nan, math.nan, False),  # rows to predict
    ],
)
def test_targets_are_bins_if_they_fit_into_them(mean: float, std: float, bins: bool) -> None:
    assert are_bins(mean, std, 18) is bins
    if bins:
        assert class_scale(TargetScale(mean, std), AUTO) == TargetScale(mean, std)


def test_other_targets_are_spread_over_the_classes_by_their_std() -> None:
    """-3 and 3 std are the outer edges of the classes; a target's classes predict the target."""
    scale = TargetScale(mean=9.88, std=14.26)
    in_classes = class_scale(scale, AUTO)
    edges = in_classes.raw(torch.tensor([-3.0, 3.0])) + 0.5
    torch.testing.assert_close(edges, torch.tensor([0.0, 18.0]))
    model = network("legnet-optimized", **SMALL)
    model.scale = scale
    target = torch.linspace(-2, 2, 9)
    classes = soft_classes(in_classes.raw(target.double()), 18)
    torch.testing.assert_close(model.expectation(classes.log().float()), target, atol=2e-3, rtol=0)
    assert class_scale(UNSCALED, AUTO) == UNSCALED  # recipe.standardize=false


@pytest.mark.parametrize("raw", [[11, 10.25, 0, 17, 8], [0, 84, 12, 5.5, 0], [-2, 1, 0.5, 1, 0]])
def test_a_wrong_guess_about_the_targets_can_be_put_right(raw: list[float]) -> None:
    """Two networks of the same logits: one for bins, one for targets that are spread."""
    scale = TargetScale(float(np.mean(raw)), float(np.std(raw)))
    logits = torch.full((1, 18), -100.0)
    logits[0, 13] = 0.0
    targets = (torch.tensor(raw) - scale.mean) / scale.std
    for classes, prediction, flags in [
        ("bins", (13 - scale.mean) / scale.std, [value == int(value) for value in raw]),
        ("spread", 1.5, [False] * 5),  # 4.5 classes above 8.5, and a std is 3 classes
    ]:
        model = network("dream-cnn", first=8, blocks=(8,), classes=classes).eval()
        model.scale = scale
        assert model.expectation(logits).item() == pytest.approx(prediction, rel=1e-6)
        assert flags_of(raw, classes=classes) == flags
        torch.nn.init.zeros_(model.head.weight)
        in_classes = np.array(raw) if classes == "bins" else 8.5 + 3 * targets.numpy()
        edges = np.array([-np.inf, *range(1, 18), np.inf])
        parts = [np.diff(scipy.stats.norm(value + 0.5, 0.5).cdf(edges)) for value in in_classes]
        expected = math.log(18) - np.mean([scipy.stats.entropy(part) for part in parts])
        assert model.loss(rows_of(targets)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", PARAMETERS)
def test_targets_to_spread_have_to_be_standardized(name: str) -> None:
    """Raw targets were read as standardized ones: 11 as 11 std above the mean."""
    given: dict[str, Any] = {"model": {"classes": "spread"}, "recipe": {"standardize": "false"}}
    with pytest.raises(BenchError, match=r"^model\.classes=spread places") as caught:
        resolve(Request(model=name, task="dream", overrides=given))
    assert caught.value.field == "model.classes"
    assert caught.value.hint == {"recipe.standardize": True, "model.classes": "bins"}
    for section, value in (("model", {"classes": "bins"}), ("recipe", {"standardize": "true"})):
        resolve(Request(model=name, task="dream", overrides={**given, section: value}))


def test_the_largest_prediction_of_spread_targets_is_that_of_the_card() -> None:
    model = network("dream-cnn", first=8, blocks=(8,), classes="spread")
    last = model.expectation(torch.tensor([[0.0] * 17 + [100.0]])).item()
    assert f"{-last:.2f} and {last:.2f} std" in " ".join(model.card.differences)


def flags_of(target: list[float], **settings: Any) -> list[bool]:
    model_class = MODELS.get("legnet")
    rows = Split.of(["ACGT"] * len(target), np.zeros(len(target)))
    rows = Split(rows.sequences, np.array(target))
    config = model_class.Config(**settings)
    flags: NDArray[np.bool_] = model_class.input_columns(config, rows)["singleton"]
    assert flags.dtype == bool
    return flags.tolist()


def test_singletons_are_the_training_rows_with_whole_raw_targets() -> None:
    assert flags_of([11, 10.25, 0, 17, 16.999, 8]) == [True, False, True, True, False, True]
    assert flags_of([math.nan] * 3) == [False] * 3  # validation, test, rows to predict
    assert flags_of([0, 84, 12, 5.5, 0]) == [False] * 5  # coverage: whole, and no bins
    assert flags_of([]) == []


def test_channels_by_hand() -> None:
    tokens = torch.from_numpy(encode(["ACGTN", "GGNAA"]).tokens)
    channels = SixChannels()(tokens, torch.tensor([False, True]), torch.tensor([True, False]))
    expected = [
        [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0] * 5, [1] * 5],
        [[0, 0, 0, 1, 1], [1, 1, 0, 0, 0], [0] * 5, [0] * 5, [1] * 5, [0] * 5],
    ]
    assert channels.tolist() == expected


@pytest.mark.parametrize("flag", ["reverse_strand", "singleton"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_flag_that_is_wrong_by_one_row_changes_that_row(name: str, flag: str) -> None:
    model_class = MODELS.get(name)
    model = network(name, **dict(model_class.presets["smoke"].model)).eval()
    batch = rows_of(torch.zeros(4))
    before = model(batch.tokens, **batch.columns)
    batch.columns[flag][2] = True
    changed = (model(batch.tokens, **batch.columns) - before).abs().amax(dim=1) > 1e-6
    assert changed.tolist() == [False, False, True, False]


@pytest.mark.parametrize("name", PARAMETERS)
def test_other_lengths_and_rows_without_flanks(name: str) -> None:
    model_class = MODELS.get(name)
    settings = {**model_class.presets["smoke"].model, "length": 100, "context": False}
    layout = model_class.layout(model_class.Config(**settings))
    assert layout.positions(100, (0, 0)) == 100
    assert not layout.context_left
    model = network(name, 100, **settings)
    batch = rows_of(torch.zeros(3), 100)
    assert model.expectation(model(batch.tokens, **batch.columns)).shape == (3,)


def std_of(tensors: list[Tensor], times: list[float]) -> float:
    """Return the root mean square of weights that are divided by their own std each."""
    parts = [tensor.detach().flatten() / std for tensor, std in zip(tensors, times, strict=True)]
    return float(torch.cat(parts).square().mean().sqrt())


def test_initial_weights_of_legnet() -> None:
    model = network("legnet", blocks=(64, 48, 40), kernel=5)
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv1d)]
    limits = [math.sqrt(2 / (m.kernel_size[0] * m.out_channels)) for m in convs]
    assert std_of([m.weight for m in convs], limits) == pytest.approx(1, rel=0.02)
    grouped = model.blocks[0].branch[3]  # its fan counts all filters, not those of a group
    assert grouped.groups == 96
    assert grouped.weight.std().item() == pytest.approx(math.sqrt(2 / (5 * 192)), rel=0.06)
    linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    assert std_of([m.weight for m in linears], [0.001] * 6) == pytest.approx(1, rel=0.02)
    assert not any(m.bias.any() for m in linears)
    assert not model.head.bias.any()

    products = model.blocks[0].branch[6].products
    rank = 26  # r 16, q 8: round(.5 x 2048 / 40)
    assert products.left.shape == products.right.shape == (16, rank)
    assert products.out.shape == (8, rank)
    assert (products.weights == 1).all()
    factors = [products.left, products.right, products.out]
    std = (0.00075 / math.sqrt(rank)) ** (1 / 3)
    assert std_of(factors, [std] * 3) == pytest.approx(1, rel=0.08)
    whole = torch.einsum("aR,bR,oR->abo", *factors)
    assert whole.std().item() == pytest.approx(0.00075, rel=0.3)
    biases = torch.cat([network("legnet").blocks[i].branch[6].products.bias for i in range(2)])
    assert 0.8 < biases.abs().max() <= 1
    assert biases.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.2)


def test_optimized_legnet_keeps_the_initial_weights_of_pytorch() -> None:
    """Uniform up to 1 / sqrt(fan), which counts the channels of one group."""
    model = network("legnet-optimized", blocks=(64, 48, 40), kernel=5)
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv1d)]
    linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    weights = [*(m.weight for m in convs), *(m.weight for m in linears)]
    std = [1 / math.sqrt(3 * math.prod(weight.shape[1:])) for weight in weights]
    assert std_of(weights, std) == pytest.approx(1, rel=0.02)
    assert model.head.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 40), rel=0.05)
    gate = model.blocks[0].branch[6]
    assert gate.squeeze.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 256), rel=0.05)
    submitted = network("legnet", blocks=(64, 48, 40), kernel=5)
    assert submitted.head.weight.std().item() == pytest.approx(math.sqrt(2 / 18), rel=0.05)
    assert submitted.blocks[0].branch[6].squeeze.weight.std().item() == pytest.approx(1e-3, rel=0.1)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dream-cnn", {"first": 64, "blocks": (32,)}),
        ("dream-rnn", {"first": 64, "units": 40, "last": 64}),
    ],
)
def test_first_layers_keep_the_initial_weights_of_pytorch(
    name: str, settings: dict[str, Any]
) -> None:
    model = network(name, **settings)
    for conv, width in zip(model.first.convs, (9, 15), strict=True):
        limit = 1 / math.sqrt(6 * width)
        for tensor in (conv.weight, conv.bias):
            assert 0.85 * limit < tensor.abs().max() <= limit
    assert model.head.weight.std().item() == pytest.approx(math.sqrt(2 / 18), rel=0.1)
    assert not model.head.bias.any()


def test_initial_weights_of_dream_attn() -> None:
    model = network("dream-attn", 100, dim=32, blocks=1)
    attention = model.blocks[0].attention
    limit = math.sqrt(6 / (32 + 3 * 32))
    assert 0.98 * limit < attention.project.weight.abs().max() <= limit
    assert not attention.project.bias.any()
    assert not attention.out.bias.any()
    assert attention.out.weight.abs().max() <= 1 / math.sqrt(32)
    assert model.position.std().item() == pytest.approx(1, rel=0.05)
    assert model.first[0].weight.std().item() == pytest.approx(math.sqrt(2 / (7 * 32)), rel=0.06)
    assert model.blocks[0].conv.depthwise.weight.abs().max() <= 1 / math.sqrt(15)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("legnet", {"blocks": (256, 7, 8)}, "needs 8 channels before every block; got 7"),
        ("legnet", {"group": 3}, r"model\.group \(3\) does not divide a block's 512 inner"),
        ("dream-cnn", {"first": 321}, r"model\.first \(321\) is not a multiple"),
        ("dream-cnn", {"blocks": (64, 2, 4)}, r"model\.reduction \(4\) is above the 2 channels"),
        ("dream-rnn", {"last_widths": (3, 5, 7)}, r"model\.last \(320\) is not a multiple"),
        ("dream-attn", {"dim": 30}, r"model\.dim \(30\) is not a multiple"),
        ("dream-attn", {"dim": 5, "attention_heads": 5, "ffn": 3}, "must be even"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        MODELS.get(name).Config(**settings)


Array = NDArray[np.float64]


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def convolve(x: Array, weight: Array) -> Array:
    """Return a convolution that keeps the length, position by position: (C, L) -> (F, L)."""
    filters, per_group, width = weight.shape
    groups = len(x) // per_group
    out = np.zeros((filters, x.shape[1]))
    for f in range(filters):
        first = f // (filters // groups) * per_group
        for t in range(x.shape[1]):
            for k in range(width):
                if 0 <= (at := t + k - (width - 1) // 2) < x.shape[1]:
                    out[f, t] += weight[f, :, k] @ x[first : first + per_group, at]
    return out


def test_optimized_legnet_in_float64() -> None:
    """Depthwise, w = 4a, a simple gate, the branch first, no SiLU after the head."""
    model = network("legnet-optimized", 12, blocks=(8, 5, 6), kernel=4)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            torch.nn.init.uniform_(buffer, 0.5, 2)
        if name.endswith("running_mean"):
            torch.nn.init.normal_(buffer)
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def layer(x: Array, conv: str, norm: str) -> Array:
        x = convolve(x, state[f"{conv}.weight"])
        mean, var = (state[f"{norm}.running_{name}"][:, None] for name in ("mean", "var"))
        x = (x - mean) / np.sqrt(var + 1e-5)
        return silu(x * state[f"{norm}.weight"][:, None] + state[f"{norm}.bias"][:, None])

    x = np.zeros((6, 12))
    for position, base in enumerate(text := "ACGTNTTGACAG"):
        x[:4, position] = [base == b for b in "AGCT"]
    x[4] = 1
    x = layer(x, "stem.0", "stem.1")
    for block in ("blocks.0", "blocks.1"):
        assert state[f"{block}.branch.3.weight"].shape == (4 * len(x), 1, 4)
        y = layer(
            layer(x, f"{block}.branch.0", f"{block}.branch.1"),
            *(f"{block}.branch.{n}" for n in (3, 4)),
        )
        units = state[f"{block}.branch.6.squeeze.weight"] @ y.mean(axis=1)
        units = silu(units + state[f"{block}.branch.6.squeeze.bias"])
        gate = state[f"{block}.branch.6.excite.weight"] @ units
        gate = 1 / (1 + np.exp(-gate - state[f"{block}.branch.6.excite.bias"]))
        y = layer(y * gate[:, None], f"{block}.branch.7", f"{block}.branch.8")
        x = layer(np.concatenate([y, x]), f"{block}.merge.0", f"{block}.merge.1")
    expected = (state["head.weight"][:, :, 0] @ x).mean(axis=1) + state["head.bias"]

    tokens = torch.from_numpy(encode([text]).tokens)
    logits = model.eval()(tokens, torch.tensor([True]), torch.tensor([False]))
    np.testing.assert_allclose(logits[0].detach().numpy(), expected, rtol=1e-4, atol=1e-4)
