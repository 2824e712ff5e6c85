"""LegNet and the organisers' networks against outputs of the originals' own modules.

Every size is read from a file's configuration, so files of other sizes are tested by being put into
the folder. Bounds and the rule of the weights are those of the files' README.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.sequences import encode, reverse_complement
from bench.model import Batch, TargetScale
from bench.models._layers.sorting_bins import soft_classes
from bench.registry import MODELS
from tests.models.test_golden import Arrays, load, parametrize, relative_error

BOUND, GRADIENT_BOUND = 1e-5, 5e-5
SCALE = TargetScale(mean=11.13, std=2.34)
"""Scale of targets like the challenge's, which predictions in bins do not depend on."""

SETTINGS = {
    "legnet": {
        "blocks": "block_sizes",
        "kernel": "kernel",
        "resize": "resize_factor",
        "reduction": "se_reduction",
        "group": "channels_per_group",
    },
    "dream-cnn": {
        "first": "first_channels",
        "first_widths": "first_kernels",
        "kernel": "kernel",
        "resize": "resize_factor",
        "reduction": "se_reduction",
    },
    "dream-rnn": {
        "first": "first_channels",
        "first_widths": "first_kernels",
        "units": "lstm_hidden",
        "last": "out_channels",
        "last_widths": "core_kernels",
    },
    "dream-attn": {
        "dim": "channels",
        "blocks": "blocks",
        "kernel": "kernel",
        "attention_heads": "heads",
        "ffn": "ff_mult",
    },
}
"""The files' word for each setting, by model."""
GAINS = {"legnet": (1.4, 12), "dream-cnn": (1.4, 12), "dream-rnn": (2, 8), "dream-attn": (1.2, 2)}
"""Gains of the rule for the body and for the head."""

NAMES = (
    (r"^(core|final)\.", ""),
    (r"^seqextractor\.", ""),
    (r"^blc0\.", "stem."),
    (r"^inv_res_blc(\d+)\.", r"blocks.\1.branch."),
    (r"^resize_blc(\d+)\.", r"blocks.\1.merge."),
    (r"\.6\.fc\.0\.", ".6.squeeze."),
    (r"\.6\.fc\.3\.mod\.trl\.(weight\.)?", ".6.products."),
    (r"\.factors\.factor_0$", ".left"),
    (r"\.factors\.factor_1$", ".right"),
    (r"\.factors\.factor_2$", ".out"),
    (r"\.6\.fc\.5\.", ".6.excite."),
    (r"^mapper\.0\.", "head."),
    (r"^first\.block\.", "first."),
    (r"\.ff1\.", ".first."),
    (r"\.ff2\.", ".second."),
    (r"\.layernorm\.", ".norm."),
    (r"\.linear1\.", ".widen."),
    (r"\.linear2\.", ".narrow."),
    (r"\.layernorm1\.", ".norm."),
    (r"\.layernorm2\.", ".attention_norm."),
    (r"\.conv\.0\.", ".conv.depthwise."),
    (r"\.conv\.1\.", ".conv.pointwise."),
    (r"\.attn\.in_proj_", ".attention.project."),
    (r"\.attn\.out_proj\.", ".attention.out."),
    (r"^pos_embedding\.weight$", "position"),
)
"""Patterns in the originals' names, and what stands in their place here, in order."""


def our_name(name: str, model: str) -> str:
    """Return the name of one of the originals' tensors in this project."""
    if name.startswith("core.conv_list."):
        name = name.replace("core.conv_list.", "last.conv_list.")
    name = re.sub(r"conv_list\.(\d+)\.conv\.", r"convs.\1.", name)
    name = name.replace(".6.fc.2.", ".6.mix." if model == "legnet" else ".6.excite.")
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def rule(name: str, shape: tuple[int, ...], seed: int, model: str) -> NDArray[np.float32]:
    """Return a tensor by the rule of the files' README."""
    random = np.random.RandomState(zlib.crc32(f"{seed}:{name}".encode()))
    z = random.standard_normal(int(np.prod(shape))).reshape(shape)
    leaf = name.rpartition(".")[2]
    if leaf.startswith("factor_"):
        z = 0.5 * z / shape[1] ** 0.25
    elif leaf == "weights":
        z = 1 + 0.2 * z
    elif "pos_embedding" in name:
        z = 0.5 * z
    elif len(shape) >= 2:
        z = z * GAINS[model]["mapper" in name] / np.sqrt(np.prod(shape[1:]))
    elif leaf == "weight":
        z = 1 + 0.2 * z
    else:
        z = 0.1 * z
    return z.astype(np.float32)


class Golden:
    """One file, and the model of its sizes with its weights."""

    def __init__(self, path: Path) -> None:
        self.z: Arrays = np.load(path)
        self.sizes: dict[str, Any] = json.loads(str(self.z["config"]))
        self.name: str = self.sizes["model"]
        model_class = MODELS.get(self.name)
        settings = {ours: self.sizes[theirs] for ours, theirs in SETTINGS[self.name].items()}
        if self.name == "dream-cnn":
            settings["blocks"] = [*self.sizes["middle_sizes"], self.sizes["out_channels"]]
        for setting in model_class.Config.__dataclass_fields__:
            if "dropout" in setting:
                settings[setting] = 0.0
        self.model: Any = model_class(model_class.Config(**settings), self.sizes["seqsize"])
        self.model.scale = SCALE
        weights = {our_name(n, self.name): w for n, w in self.weights().items()}
        if self.name == "dream-attn":  # a convolution of width one is a linear map here
            for name in (n for n in weights if n.endswith("pointwise.weight")):
                weights[name] = weights[name][:, :, 0]
        load(self.model, weights)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return all tensors by the originals' names: the file's, else by the rule."""
        shapes = {n: tuple(t.shape) for n, t in self.model.state_dict().items()}
        weights = {}
        for name in self.z["weight_names"].tolist():
            if (key := f"weight/{name}") in self.z:
                weights[name] = self.z[key]
            elif not name.endswith("num_batches_tracked"):
                shape = shapes[our_name(name, self.name)]
                if name.endswith("conv.1.weight"):
                    shape = (*shape, 1)
                weights[name] = rule(name, shape, self.sizes["seed"], self.name)
        return {n: w for n, w in weights.items() if not n.endswith("num_batches_tracked")}

    def batch(self) -> Batch:
        """Return the file's rows with its flags and standardized targets."""
        target = SCALE.standardized(torch.from_numpy(self.z["targets"])).float()
        return Batch(torch.from_numpy(self.z["tokens"]), target, self.flags())

    def flags(self) -> dict[str, Tensor]:
        """Return the file's flags."""
        return {
            "reverse_strand": torch.from_numpy(self.z["reverse"].astype(bool)),
            "singleton": torch.from_numpy(self.z["singleton"].astype(bool)),
        }

    def bins(self, output: Tensor) -> Tensor:
        """Return predictions in bins."""
        return SCALE.raw(self.model.expectation(output).double())

    def strand(self, *, reverse: bool) -> Tensor:
        """Return predictions of one strand in bins, no row being a singleton."""
        tokens = self.z["tokens"]
        shown = reverse_complement(tokens).copy() if reverse else tokens
        flag = torch.full((len(tokens),), reverse)
        return self.bins(self.model(torch.from_numpy(shown), flag, torch.zeros_like(flag)))


Check = Callable[[str, Tensor, NDArray[Any]], None]


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Iterator[Check]:
    """Yield a function that compares with a reference and records the largest error of a kind."""
    worst: dict[str, float] = {}

    def compare(kind: str, out: Tensor, reference: NDArray[Any]) -> None:
        error = relative_error(out, reference)
        worst[kind] = max(worst.get(kind, 0.0), error)
        assert error < (GRADIENT_BOUND if kind == "gradient norms" else BOUND), (kind, error)

    yield compare
    request.node.user_properties.extend(worst.items())  # in the report of --junitxml


@parametrize("dream_nets/*.npz")
def test_golden_size_and_rule_of_the_weights(path: Path) -> None:
    golden = Golden(path)
    parameters = sum(parameter.numel() for parameter in golden.model.parameters())
    assert parameters == golden.sizes["parameters"]
    for name, weight in golden.weights().items():
        place = golden.z["weight_names"].tolist().index(name)
        doubled = weight.astype(np.float64)
        assert doubled.sum() == pytest.approx(golden.z["weight_sum"][place], rel=1e-9, abs=1e-9)
        assert np.linalg.norm(doubled) == pytest.approx(golden.z["weight_norm"][place], rel=1e-9)
        if "running" not in name:
            by_rule = rule(name, weight.shape, golden.sizes["seed"], golden.name)
            np.testing.assert_array_equal(weight, by_rule, name)


@parametrize("dream_nets/*.npz")
@torch.no_grad()
def test_golden_output_and_losses(path: Path, check: Check) -> None:
    golden = Golden(path)
    z, batch = golden.z, golden.batch()
    golden.model.eval()
    logits = golden.model(batch.tokens, **batch.columns)
    check("logits", logits, z["logits"])
    check("log-probabilities", logits.log_softmax(dim=1), z["log_probabilities"])
    check("expectation", golden.bins(logits), z["expectation"])
    check("losses", golden.model.loss(batch), z["loss_kl"])
    squared = (golden.bins(logits) - torch.from_numpy(z["targets"])).square().mean()
    check("losses", squared, z["loss_mse"])
    forward, reverse = golden.strand(reverse=False), golden.strand(reverse=True)
    check("expectation", forward, z["expectation_forward"])
    check("expectation", reverse, z["expectation_reverse"])
    check("prediction", (forward + reverse) / 2, z["prediction"])


@parametrize("dream_nets/*.npz")
def test_golden_soft_classes(path: Path, check: Check) -> None:
    z = np.load(path)
    classes = soft_classes(torch.from_numpy(z["targets"]), 18)
    check("soft classes", classes, z["target_probabilities"])
    # The file's are differences of one distribution function, which lose the right tail.
    np.testing.assert_allclose(classes, z["target_probabilities"], rtol=1e-9, atol=1e-15)


Stage = tuple[nn.Module, Callable[[Tensor, Any], Tensor]]


def stages(golden: Golden) -> dict[str, Stage]:
    """Return, by stage, a module and what makes ``(B, C, L)`` of its input and its output."""
    model = golden.model

    def output(x: Tensor, y: Tensor) -> Tensor:
        return y

    if golden.name == "dream-rnn":
        states: Stage = model.lstm, lambda x, y: y[0].transpose(1, 2)
        return {"first": (model.first, output), "lstm": states, "core": (model.last, output)}
    blocks = list(enumerate(model.blocks))
    if golden.name == "dream-attn":
        first = model.blocks[0]
        return {
            "first": (model.first, output),
            "block0.ff1": (first.norm, lambda x, y: x.transpose(1, 2)),
            "block0.conv_branch": (first.conv, lambda x, y: (x + y).transpose(1, 2)),
            "block0.attn": (first.second, lambda x, y: x.transpose(1, 2)),
            "core": (model.blocks, lambda x, y: y.transpose(1, 2)),
            **{f"block{i}": (block, lambda x, y: y.transpose(1, 2)) for i, block in blocks},
        }
    start = "stem" if golden.name == "legnet" else "first"
    return {
        start: (getattr(model, start), output),
        **{f"expand{i}": (block.branch, output) for i, block in blocks},
        **{f"resize{i}": (block, output) for i, block in blocks},
        "core": (model.blocks, output),
    }


@parametrize("dream_nets/*.npz")
@torch.no_grad()
def test_golden_stages(path: Path, check: Check) -> None:
    golden, seen = Golden(path), dict[str, Tensor]()
    references = {
        key.partition("/")[2]: golden.z[key]
        for key in golden.z
        if key.startswith("stage_mean_std/")
    }
    known = stages(golden)
    for stage in references:
        module, made = known[stage]
        module.register_forward_hook(
            lambda module, x, y, stage=stage, made=made: seen.update({stage: made(x[0], y)})
        )
    golden.model.eval()(golden.batch().tokens, **golden.flags())
    for stage, reference in references.items():
        x = seen[stage].double()
        assert x.shape[2] == golden.sizes["seqsize"]
        check("stages", torch.stack([x.mean(2), x.std(2, correction=0)], dim=1), reference)


@parametrize("dream_nets/legnet*.npz")
@torch.no_grad()
def test_golden_gate(path: Path, check: Check) -> None:
    golden = Golden(path)
    gate = golden.model.eval().blocks[0].branch[6]
    check("gate", gate(torch.from_numpy(golden.z["se0_input"])), golden.z["se0_output"])


@parametrize("dream_nets/*.npz")
def test_golden_training(path: Path, check: Check) -> None:
    golden = Golden(path)
    z, model, batch = golden.z, golden.model, golden.batch()
    logits: list[Tensor] = []
    model.register_forward_hook(lambda module, inputs, output: logits.append(output))
    loss = model.train().loss(batch)
    loss.backward()
    check("training losses", loss, z["train/loss_kl"])
    check("log-probabilities", logits[0].log_softmax(dim=1), z["train/log_probabilities"])
    check("expectation", golden.bins(logits[0]), z["train/expectation"])

    parameters = dict(model.named_parameters())
    names = [our_name(name, golden.name) for name in z["train/gradient_names"].tolist()]
    assert set(names) == set(parameters)
    norms = torch.stack([parameters[name].grad.double().norm() for name in names])
    check("gradient norms", norms, z["train/gradient_norms"])

    for key in (k for k in z if re.match(r"train/.*\.running_(mean|var)$", k)):
        ours = model.get_buffer(our_name(key.removeprefix("train/"), golden.name)).double()
        if z[key].shape != tuple(ours.shape):  # the sum and the norm
            ours = torch.stack([ours.sum(), ours.norm()])
        check("running statistics", ours, z[key])


@parametrize("dream_nets/*_full.npz")
def test_golden_layout(path: Path) -> None:
    """Whole sequences are laid out as the originals do, in the alphabet's own order here."""
    golden = Golden(path)
    layout = type(golden.model).layout(golden.model.config)
    plasmid = layout.context_left
    assert len(plasmid) == 150
    texts = [(plasmid + text[17:])[-150:] for text in golden.z["sequences"].tolist()]
    assert texts == golden.z["padded"].tolist()
    np.testing.assert_array_equal(encode(texts).tokens, golden.z["tokens"])
