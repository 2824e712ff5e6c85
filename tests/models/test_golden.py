"""Models against outputs of their authors' own programs, weight by weight."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.model import Batch, Model
from bench.registry import MODELS
from tests.conftest import golden_files

Arrays = Mapping[str, NDArray[Any]]


def parametrize(pattern: str) -> pytest.MarkDecorator:
    files = golden_files(pattern)
    skip = pytest.mark.skip(reason=f"golden outputs: set BENCH_GOLDEN to a folder with {pattern}")
    cases = [pytest.param(file, id=file.stem) for file in files]
    return pytest.mark.parametrize("path", cases or [pytest.param(Path(), marks=skip, id="absent")])


def relative_error(out: Tensor, reference: NDArray[Any]) -> float:
    difference = out.detach().double().numpy() - reference
    return float(np.linalg.norm(difference) / np.linalg.norm(reference))


def load(model: Model, weights: Mapping[str, NDArray[Any]]) -> None:
    """Copy weights given by PyTorch name; every parameter and statistic must be named once."""
    state = {
        name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name
    }
    assert set(weights) == set(state)
    for name, tensor in state.items():
        assert weights[name].shape == tuple(tensor.shape), name
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))


def proformer_weights(z: Arrays) -> dict[str, NDArray[Any]]:
    def w(name: str) -> NDArray[Any]:
        return z[f"weight/{name}"]

    dim = int(z["config/dim"])
    weights = {
        "position": w("pos_embedding"),
        "strand": w("strand_embedding"),
        "expression_embedding.weight": w("expression_embedding.kernel").T,
        "expression_embedding.bias": w("expression_embedding.bias"),
        "kmer.weight": w("kmer.kernel").T,
        "kmer.bias": w("kmer.bias"),
        "expression_head.weight": w("expression_head.kernel").T,
        "expression_head.bias": w("expression_head.bias"),
        "nucleotide_head.weight": w("nucleotide_head.kernel").T,
        "nucleotide_head.bias": w("nucleotide_head.bias"),
    }
    for b in range(int(z["config/blocks"])):
        ours, theirs = f"blocks.{b}", f"blocks.{b}"
        for part, name in (("first", "ff1"), ("second", "ff2")):
            weights[f"{ours}.{part}.norm.weight"] = w(f"{theirs}.{name}.norm.gamma")
            weights[f"{ours}.{part}.norm.bias"] = w(f"{theirs}.{name}.norm.beta")
            weights[f"{ours}.{part}.widen.weight"] = w(f"{theirs}.{name}.in.kernel").T
            weights[f"{ours}.{part}.narrow.weight"] = w(f"{theirs}.{name}.out.kernel").T
        weights[f"{ours}.conv_norm.weight"] = w(f"{theirs}.conv.norm.gamma")
        weights[f"{ours}.conv_norm.bias"] = w(f"{theirs}.conv.norm.beta")
        depthwise = w(f"{theirs}.conv.depthwise.kernel")  # [width, dim, 1]
        weights[f"{ours}.depthwise.weight"] = depthwise.transpose(1, 2, 0)
        weights[f"{ours}.pointwise.weight"] = w(f"{theirs}.conv.pointwise.kernel")[0].T
        weights[f"{ours}.pointwise.bias"] = w(f"{theirs}.conv.bias")
        weights[f"{ours}.norm.weight"] = w(f"{theirs}.norm.gamma")
        weights[f"{ours}.norm.bias"] = w(f"{theirs}.norm.beta")
        for name in ("query", "key", "value"):
            kernel = w(f"{theirs}.attn.{name}.kernel").reshape(dim, -1)
            weights[f"{ours}.attention.{name}.weight"] = kernel.T
            weights[f"{ours}.attention.{name}.bias"] = w(f"{theirs}.attn.{name}.bias").reshape(-1)
        weights[f"{ours}.attention.out.weight"] = w(f"{theirs}.attn.out.kernel").reshape(-1, dim).T
        weights[f"{ours}.attention.out.bias"] = w(f"{theirs}.attn.out.bias")
    return weights


@parametrize("proformer_*.npz")
def test_golden_proformer(path: Path) -> None:
    z = np.load(path)
    model_class = MODELS.get("proformer")
    config = model_class.Config(
        k=int(z["config/kmer"]),
        dim=int(z["config/dim"]),
        blocks=int(z["config/blocks"]),
        attention_heads=int(z["config/heads"]),
        expression_heads=int(z["config/projectors"]),
    )
    model: Any = model_class(config, z["tokens"].shape[1]).eval()
    load(model, proformer_weights(z))
    assert sum(p.numel() for p in model.parameters()) == z["config/n_parameters"]

    tokens, masked = torch.from_numpy(z["tokens"]), torch.from_numpy(z["masked_tokens"])
    expression, nucleotides = model.expression_and_nucleotides(tokens)
    assert relative_error(expression, z["expression"]) < 1e-5
    assert relative_error(nucleotides, z["nucleotide_logits"]) < 1e-5
    assert relative_error(model(tokens), z["expression"]) < 1e-5

    expression, nucleotides = model.expression_and_nucleotides(masked)
    assert relative_error(expression, z["masked_expression"]) < 1e-5
    assert relative_error(nucleotides, z["masked_nucleotide_logits"]) < 1e-5
    squared = torch.nn.functional.mse_loss(expression, torch.from_numpy(z["target"]))
    filling = model.mask_filling_loss(nucleotides, tokens, torch.from_numpy(z["mask"]))
    assert relative_error(squared, z["loss_expression"]) < 1e-5
    assert relative_error(filling, z["loss_mask_filling"]) < 1e-5


@parametrize("proformer_*.npz")
def test_golden_proformer_training_loss_is_the_sum_under_the_same_mask(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value of ``loss``, with random numbers that give the golden mask."""
    z = np.load(path)
    model_class = MODELS.get("proformer")
    config = model_class.Config(
        k=int(z["config/kmer"]),
        dim=int(z["config/dim"]),
        blocks=int(z["config/blocks"]),
        attention_heads=int(z["config/heads"]),
        expression_heads=int(z["config/projectors"]),
    )
    model = model_class(config, z["tokens"].shape[1]).eval()
    load(model, proformer_weights(z))
    draw = torch.from_numpy(1.0 - z["mask"])  # 0 where hidden, 1 elsewhere
    monkeypatch.setattr(torch, "rand", lambda *args, **kwargs: draw)
    loss = model.loss(Batch(torch.from_numpy(z["tokens"]), torch.from_numpy(z["target"]), {}))
    assert relative_error(loss, z["loss_expression"] + z["loss_mask_filling"]) < 1e-5


def madlab_widths(z: Arrays) -> tuple[int, ...]:
    """The sizes come from the file's configuration, or from its kernels, [width, in, out]."""
    for name in ("config/widths", "config/kernels"):
        if name in z:
            return tuple(z[name].tolist())
    kernels = [f"weight/branches.{b}.conv1.kernel" for b in range(len(z))]
    return tuple(len(z[name]) for name in kernels if name in z)


def madlab_weights(z: Arrays) -> dict[str, NDArray[Any]]:
    def w(name: str) -> NDArray[Any]:
        return z[f"weight/{name}"]

    weights = {
        "lstm.kernel": np.stack([w("lstm.forward.kernel"), w("lstm.backward.kernel")]),
        "lstm.recurrent": np.stack([w("lstm.forward.recurrent"), w("lstm.backward.recurrent")]),
        "lstm.bias": np.stack([w("lstm.forward.bias"), w("lstm.backward.bias")])[:, None],
        "head.weight": w("head.kernel").T,
        "head.bias": w("head.bias"),
    }
    for b in range(len(madlab_widths(z))):
        for part, conv, norm in (("scan", "conv1", "norm1"), ("reduce", "conv2", "norm2")):
            kernel = w(f"branches.{b}.{conv}.kernel")  # [width, in, out]
            weights[f"branches.{b}.{part}.weight"] = kernel.transpose(2, 1, 0)
            weights[f"branches.{b}.{part}.bias"] = w(f"branches.{b}.{conv}.bias")
            for ours, theirs in (
                ("weight", "gamma"),
                ("bias", "beta"),
                ("running_mean", "mean"),
                ("running_var", "var"),
            ):
                weights[f"branches.{b}.{part}_norm.{ours}"] = w(f"branches.{b}.{norm}.{theirs}")
    for b in range(2):
        ours, theirs = f"transformer.{b}", f"transformer.{b}"
        for part, name in (("attention_norm", "norm1"), ("ffn_norm", "norm2")):
            weights[f"{ours}.{part}.weight"] = w(f"{theirs}.{name}.gamma")
            weights[f"{ours}.{part}.bias"] = w(f"{theirs}.{name}.beta")
        for part, name in (("widen", "ffn1"), ("narrow", "ffn2")):
            weights[f"{ours}.{part}.weight"] = w(f"{theirs}.{name}.kernel").T
            weights[f"{ours}.{part}.bias"] = w(f"{theirs}.{name}.bias")
        for name in ("query", "key", "value", "relative_key", "out"):
            weights[f"{ours}.attention.{name}.weight"] = w(f"{theirs}.attn.{name}.kernel").T
        weights[f"{ours}.attention.out.bias"] = w(f"{theirs}.attn.out.bias")
        for name in ("content_bias", "position_bias"):
            weights[f"{ours}.attention.{name}"] = w(f"{theirs}.attn.{name}")
    return weights


@parametrize("madlab_*.npz")
def test_golden_madlab(path: Path) -> None:
    z = np.load(path)
    model_class = MODELS.get("madlab")
    config = model_class.Config(
        hidden=int(z["config/hidden"]),
        attention_heads=int(z["config/heads"]),
        units=int(z["config/units"]),
        widths=madlab_widths(z),
    )
    model: Any = model_class(config, z["tokens"].shape[1])
    load(model, madlab_weights(z))
    statistics = sum(b.numel() for name, b in model.named_buffers() if "running" in name)
    parameters = sum(p.numel() for p in model.parameters())
    assert statistics == z["config/n_non_trainable"]
    assert parameters + statistics == z["config/n_parameters"]

    tokens = torch.from_numpy(z["tokens"])
    features = model.transformer[0].attention.features
    assert relative_error(features, z["relative_features"]) < 5e-5
    assert relative_error(model.eval()(tokens), z["prediction"]) < 5e-5
    assert relative_error(model.train()(tokens), z["prediction_batch_statistics"]) < 5e-5


@parametrize("madlab_*.npz")
def test_widths_are_found_in_files_that_say_them_and_in_others(path: Path) -> None:
    z = dict(np.load(path))
    assert madlab_widths(z) == (15, 20, 25, 30)
    told = z.pop("config/kernels")
    assert madlab_widths(z) == (15, 20, 25, 30)
    assert madlab_widths({**z, "config/widths": told[:2]}) == (15, 20)
