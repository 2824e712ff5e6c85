"""Layers in float64 NumPy, written from their equations, and weights that are not the default ones.

Nothing here uses torch's layers: the tests compare a model's output with what these return.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.model import Model

Array = NDArray[np.float64]
Weights = dict[str, Array]

LETTERS = "ACGTN"
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def tokens(*texts: str) -> torch.Tensor:
    """Return rows of letters as tokens."""
    return torch.tensor([[LETTERS.index(c) for c in text] for text in texts], dtype=torch.uint8)


def text(row: torch.Tensor) -> str:
    """Return a row of tokens as letters."""
    return "".join(LETTERS[token] for token in row.tolist())


def reverse_complement(letters: str) -> str:
    """Return the other strand, read from its start."""
    return letters.translate(COMPLEMENT)[::-1]


def one_hot(letters: str, n: float = 0.0) -> Array:
    """Return the channels A C G T of letters, ``(4, L)``; a dot is all zeros."""
    columns = {"N": [n] * 4, ".": [0.0] * 4}
    for channel, base in enumerate("ACGT"):
        columns[base] = [float(channel == c) for c in range(4)]
    return np.array([columns[letter] for letter in letters]).T


def randomize(model: Model, seed: int = 0) -> Weights:
    """Give a model random weights and statistics, and return them in float64."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        shape = tuple(tensor.shape)
        if name.endswith("running_var"):
            values = rng.uniform(0.5, 2, shape)
        elif len(shape) > 1:
            values = rng.normal(size=shape) * 1.5 / np.sqrt(np.prod(shape[1:]))
        elif name.endswith("norm.weight"):
            values = 1 + 0.3 * rng.normal(size=shape)
        else:
            values = 0.3 * rng.normal(size=shape)
        tensor.copy_(torch.from_numpy(values))
        weights[name] = tensor.double().numpy().copy()  # as rounded to float32
    return weights


def conv(x: Array, w: Weights, name: str, pads: tuple[int, int], dilation: int = 1) -> Array:
    """Return a convolution of one row, ``(C, L)`` -> ``(O, L')``, offset by offset."""
    kernel = w[f"{name}.weight"]
    x = np.pad(x, ((0, 0), pads))
    length = x.shape[1] - dilation * (kernel.shape[2] - 1)
    out = np.repeat(w[f"{name}.bias"][:, None], length, axis=1)
    for k in range(kernel.shape[2]):
        out += np.einsum("oc,cl->ol", kernel[:, :, k], x[:, k * dilation : k * dilation + length])
    return out


def batch_norm(x: Array, w: Weights, name: str) -> Array:
    """Return a batch norm of one row in evaluation, ``(C, L)``."""
    scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + 1e-5)
    shift = w[f"{name}.bias"] - scale * w[f"{name}.running_mean"]
    return scale[:, None] * x + shift[:, None]


def linear(x: Array, w: Weights, name: str) -> Array:
    """Return a linear map of a vector."""
    return np.einsum("oi,i->o", w[f"{name}.weight"], x) + w[f"{name}.bias"]


def relu(x: Array) -> Array:
    """Return the positive part."""
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    """Return the logistic function."""
    return 1 / (1 + np.exp(-x))


def lstm(x: Array, w: Weights, name: str, ending: str) -> Array:
    """Return all states of one direction, ``(L, inputs)`` -> ``(L, U)``; gates i, f, g, o."""
    kernel, recurrent = w[f"{name}.weight_ih_l0{ending}"], w[f"{name}.weight_hh_l0{ending}"]
    bias = w[f"{name}.bias_ih_l0{ending}"] + w[f"{name}.bias_hh_l0{ending}"]
    h = c = np.zeros(recurrent.shape[1])
    states = []
    for step in x:
        i, f, g, o = np.split(kernel @ step + recurrent @ h + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def worst(ours: torch.Tensor, expected: Array) -> float:
    """Return the largest error relative to the largest expected value."""
    difference = np.abs(ours.detach().double().numpy() - expected)
    return float(difference.max() / np.abs(expected).max())
