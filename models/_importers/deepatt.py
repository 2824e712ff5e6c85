"""Weights of DeepAtt in the authors' file DeepAtt_model.h5, which Keras 2.2 wrote."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from bench.weights.keras_h5 import read_h5

_LAYERS = {"scan": "conv1d", "first": "dense", "second": "dense_1", "last": "dense_2"}
_ATTENTION = "multi_head_attention/multi_head_attention/multi_head_attention_"
_LSTM = "bidirectional/bidirectional"


def read_deepatt(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the file by their names in the model.

    Kernels in Keras are (width, in, out) or (in, out), in PyTorch (out, in, width) or (out, in). Of
    the LSTM, the forward and the backward direction make one tensor.
    """
    names = _names()
    found = read_h5(path, [name for given in names.values() for name in given])
    state = {}
    for ours, given in names.items():
        tensors = [torch.from_numpy(found[name]) for name in given]
        if ours.startswith("lstm."):
            state[ours] = torch.stack(tensors)
        else:
            state[ours] = tensors[0].permute(*reversed(range(tensors[0].ndim)))
    state["lstm.bias"] = state["lstm.bias"].unsqueeze(1)
    return state


def _names() -> dict[str, list[str]]:
    """Return the names in the file by the name in the model."""
    names = {}
    for ours, layer in _LAYERS.items():
        for kind, given in (("weight", "kernel"), ("bias", "bias")):
            names[f"{ours}.{kind}"] = [f"{layer}/{layer}/{given}:0"]
    for ours in ("query", "key", "value", "out"):
        for kind, given in (("weight", "W"), ("bias", "b")):
            names[f"attention.{ours}.{kind}"] = [f"{_ATTENTION}{given}{ours[0]}:0"]
    for ours, given in (("kernel", "kernel"), ("recurrent", "recurrent_kernel"), ("bias", "bias")):
        names[f"lstm.{ours}"] = [f"{_LSTM}/{way}_lstm/{given}:0" for way in ("forward", "backward")]
    return {ours: [f"model_weights/{name}" for name in given] for ours, given in names.items()}
