"""Parts of MadLab without golden files: freezing, L2 parameters, redrawn LSTM weights."""

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.registry import MODELS

MadLab = MODELS.get("madlab")


def test_as_submitted_the_transformers_weights_are_frozen() -> None:
    model = MadLab(MadLab.Config(frozen_transformer=True), 110)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    statistics = sum(b.numel() for name, b in model.named_buffers() if "running" in name)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert (frozen, trained + statistics) == (167_040, 152_617)


def test_every_width_is_a_branch_padded_as_tensorflow_pads() -> None:
    """The oracle sums base by base; an even width has one zero more on the right."""
    torch.manual_seed(0)
    model = MadLab(MadLab.Config(hidden=12, blocks=0, widths=(3, 8)), 20).eval()
    assert len(model.get_submodule("branches")) == 2  # type: ignore[arg-type]
    tokens = torch.randint(5, (1, 20), dtype=torch.uint8)
    letters = model.get_submodule("one_hot")(tokens)[0].double().numpy()
    for branch, left, right in ((0, 1, 1), (1, 3, 4)):
        scan = model.get_submodule(f"branches.{branch}.scan")
        weight = scan.get_parameter("weight").detach().double().numpy()  # (24, 4, width)
        wanted = np.zeros((24, 20))
        for place in range(20):
            for offset in range(-left, right + 1):
                if 0 <= place + offset < 20:
                    wanted[:, place] += weight[:, :, offset + left] @ letters[:, place + offset]
        seen: list[torch.Tensor] = []
        scan.register_forward_hook(lambda module, args, out, seen=seen: seen.append(out))
        model(tokens)
        np.testing.assert_allclose(seen[0][0].detach(), wanted, atol=1e-5)


@pytest.mark.parametrize("given", [(), []])
def test_no_width_at_all_is_refused(given: object) -> None:
    with pytest.raises(BenchError, match=r"widths is one or more whole numbers with commas"):
        MadLab.Config(widths=given)


def test_l2_acts_on_the_eight_convolutions_and_the_output_kernel() -> None:
    model = MadLab(MadLab.Config(hidden=12), 110)
    names = {id(p): name for name, p in model.named_parameters()}
    acted_on = sorted(names[id(p)] for p in model.l2_parameters())
    expected = [f"branches.{b}.{part}.weight" for b in range(4) for part in ("reduce", "scan")]
    assert acted_on == sorted([*expected, "head.weight"])


def test_the_lstm_equals_a_loop_written_from_the_equations() -> None:
    torch.manual_seed(0)
    model = MadLab(MadLab.Config(hidden=12, units=3), 110)
    lstm = model.get_submodule("lstm")
    x = torch.randn(2, 7, 12)
    states = lstm(x).detach().numpy()

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    weights = {name: p.detach().double().numpy() for name, p in lstm.named_parameters()}
    for row in range(2):
        for direction in range(2):
            steps = x[row].double().numpy()[:: 1 if direction == 0 else -1]
            h, c = np.zeros(3), np.zeros(3)
            for step in steps:
                z = step @ weights["kernel"][direction] + h @ weights["recurrent"][direction]
                z = z + weights["bias"][direction, 0]
                i, f, g, o = z[:3], z[3:6], z[6:9], z[9:]
                c = sigmoid(f) * c + sigmoid(i) * (g * sigmoid(g))
                h = sigmoid(o) * (c * sigmoid(c))
            ours = states[row, 3 * direction : 3 * direction + 3]
            np.testing.assert_allclose(ours, h, rtol=1e-5)


def test_attention_reads_the_distance_with_its_sign() -> None:
    """The oracle picks relative logits one by one; the layer slices and reshapes a buffer."""
    torch.manual_seed(0)
    model = MadLab(MadLab.Config(hidden=12, attention_heads=2), 110)
    layer = model.get_submodule("transformer.0.attention")
    torch.nn.init.normal_(layer.out.weight)  # type: ignore[arg-type, union-attr]
    x = torch.randn(1, 110, 12)
    w = {name: p.detach() for name, p in layer.named_parameters()}
    features = layer.features
    assert isinstance(features, torch.Tensor)
    out = torch.zeros(110, 12)
    for head in range(2):
        part = slice(6 * head, 6 * head + 6)
        q, k, v, r = (
            source @ w[f"{name}.weight"][part].T
            for name, source in (
                ("query", x[0]),
                ("key", x[0]),
                ("value", x[0]),
                ("relative_key", features),
            )
        )
        q = q / 6**0.5
        logits = (q + w["content_bias"][0, head]) @ k.T
        for i in range(110):
            logits[i] += r[[109 + j - i for j in range(110)]] @ (
                q[i] + w["position_bias"][0, head, 0]
            )
        out[:, part] = logits.softmax(-1) @ v
    expected = out @ w["out.weight"].T + w["out.bias"]
    torch.testing.assert_close(layer(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_width_that_six_kinds_of_features_cannot_share_is_refused() -> None:
    with pytest.raises(BenchError, match=r"hidden \(100\) is not a multiple .* Try 96\."):
        MadLab.Config(hidden=100)


@pytest.mark.parametrize(
    ("positions", "seeds"),
    [
        (110, [0, 21]),
        pytest.param(110, [1, 2, 4, 49, 86, 221], marks=pytest.mark.slow),
        pytest.param(300, [0, 16], marks=pytest.mark.slow),
    ],
)
def test_initial_predictions_are_bounded_where_the_first_draw_explodes(
    positions: int, seeds: list[int]
) -> None:
    """Swish is unbounded: the first weights would give states of 7e10, or NaN at 300 nt."""
    tokens = torch.randint(4, (256, positions), generator=torch.Generator().manual_seed(1))
    largest = []
    for seed in seeds:
        torch.manual_seed(seed)
        with torch.no_grad():
            predictions = MadLab(MadLab.Config(), positions)(tokens)
        largest.append(predictions.abs().max().item())
    assert all(value < 100 for value in largest), largest  # NaN is not


def test_a_single_letter_is_refused_in_one_line() -> None:
    with pytest.raises(BenchError, match=r"^madlab needs sequences of at least two nt"):
        MadLab(MadLab.Config(hidden=12), 1)
    MadLab(MadLab.Config(hidden=12), 2)(torch.zeros(3, 2, dtype=torch.uint8))
