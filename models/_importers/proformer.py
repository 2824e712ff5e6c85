"""Weights of Proformer in a checkpoint that its authors' notebook wrote with TensorFlow 2.6.

The names of the tensors follow from two sources: the attributes of the notebook's classes
(mode_training.ipynb of gongx030/dream_PGE at 845e69f5), and the rules by which Keras 2.6 names the
objects of ``Model.save_weights``: attributes are joined by "/", and the layers with weights in a
``Sequential`` are called layer_with_weights-0, -1 … The authors' own checkpoint was not at hand to
confirm the names. The notebook's losses show that targets had variance 1, so that the output is
standardized.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.weights.tensorflow_checkpoint import VALUE, read_checkpoint

Floats = NDArray[np.float32]
Line = tuple[str, str, Callable[[Floats], Floats]]
"""Name in the model, name in the checkpoint, and change of the axes."""


def read_proformer(path: Path, blocks: int, *, nucleotides: bool) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by their names in the model.

    Args:
        path: File of the checkpoint that ends in ".index".
        blocks: Number of blocks.
        nucleotides: Whether the model has a nucleotide head.
    """
    lines = list(_lines(blocks, nucleotides))
    found = read_checkpoint(path, [name + VALUE for _, name, _ in lines])
    return {
        ours: torch.from_numpy(np.ascontiguousarray(change(found[name + VALUE])))
        for ours, name, change in lines
    }


def _lines(blocks: int, nucleotides: bool) -> Iterator[Line]:
    yield "position", "pos_embedding/embeddings", _same
    yield "strand", "strand_embedding/embeddings", _same
    dense = {
        "expression_embedding": "expression_embedding",
        "kmer": "kmer_dense",
        "expression_head": "expression_dense",
        **({"nucleotide_head": "nucleotide_dense"} if nucleotides else {}),
    }
    for ours, theirs in dense.items():
        yield f"{ours}.weight", f"{theirs}/kernel", np.transpose
        yield f"{ours}.bias", f"{theirs}/bias", _same
    for number in range(blocks):
        for ours, theirs, change in _block():
            yield f"blocks.{number}.{ours}", f"blocks/layer_with_weights-{number}/{theirs}", change


def _block() -> Iterator[Line]:
    for part, theirs in (("first", "ff1"), ("second", "ff2")):
        layer = f"{theirs}/net/layer_with_weights-"
        yield from _norm(f"{part}.norm", f"{layer}0")
        yield f"{part}.widen.weight", f"{layer}1/kernel", np.transpose
        yield f"{part}.narrow.weight", f"{layer}2/kernel", np.transpose
    yield from _norm("conv_norm", "conv/layer_with_weights-0")
    separable = "conv/layer_with_weights-1"
    yield "depthwise.weight", f"{separable}/depthwise_kernel", lambda x: x.transpose(1, 2, 0)
    yield "pointwise.weight", f"{separable}/pointwise_kernel", lambda x: x[0].T
    yield "pointwise.bias", f"{separable}/bias", _same
    yield from _norm("norm", "layernorm")
    for name in ("query", "key", "value"):  # (dim, heads, key_dim)
        yield f"attention.{name}.weight", f"attn/_{name}_dense/kernel", _rows
        yield f"attention.{name}.bias", f"attn/_{name}_dense/bias", np.ravel
    # (heads, key_dim, dim)
    yield (
        "attention.out.weight",
        "attn/_output_dense/kernel",
        lambda x: x.reshape(-1, x.shape[-1]).T,
    )
    yield "attention.out.bias", "attn/_output_dense/bias", _same


def _norm(ours: str, theirs: str) -> Iterator[Line]:
    yield f"{ours}.weight", f"{theirs}/gamma", _same
    yield f"{ours}.bias", f"{theirs}/beta", _same


def _same(values: Floats) -> Floats:
    return values


def _rows(values: Floats) -> Floats:
    return values.reshape(len(values), -1).T
