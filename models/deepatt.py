"""DeepAtt, the benchmark network of Vaishnav et al. (2022), whose trained weights are published.

Shapes, with the paper's sizes (F 256 filters, U 16 units, A 16 heads, H 16):

    tokens      (B, 110)     right-aligned: N on the left, or the last 110 nt
    x           (B, 4, 110)  one-hot A C G T; N is four ones
    scan        (B, F, 81)   valid convolution of width 30, ReLU
    pooled      (B, F, 27)   maximum over 3 positions
    states      (B, 27, 2U)  bidirectional LSTM, Keras' hard sigmoid as gates
    attention   (B, 27, 2U)  A heads of 2U / A channels; ReLU on query, key, value and output
    prediction  (B,)         flattened by position, then H, H and 1 units

Their encoder writes N as four ones by a slip: an index of None selects all four channels. The
published predictions can only be reproduced so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.data.layout import Layout
from bench.errors import BenchError
from bench.model import Model, TargetScale, Weights
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._importers.deepatt import read_deepatt
from ._layers.channels_last import linear
from ._layers.keras import glorot_uniform_, variance_scaling_
from ._layers.one_hot import OneHot


@settings
class DeepAttConfig:
    """Sizes of the network; the defaults are the published ones."""

    length: int = setting(110, "nt, with flanks, after padding or cropping on the left", low=1)
    filters: int = setting(256, "filters of the convolution", low=1)
    kernel: int = setting(30, "width of the convolution", low=1)
    pool: int = setting(3, "positions of a maximum", low=1)
    units: int = setting(16, "units of the LSTM a direction", low=1)
    attention_heads: int = setting(16, "heads, which share the 2 x units channels", low=1)
    hidden: int = setting(16, "width of both hidden layers of the head", low=1)
    dropout: float = setting(0.2, "after the pool and after the attention", low=0, high=1)

    def __post_init__(self) -> None:
        """Check that the heads divide the channels, and that a pooled position is left."""
        if 2 * self.units % self.attention_heads:
            raise BenchError(
                f"model.attention_heads ({self.attention_heads}) must divide 2 x model.units "
                f"({2 * self.units})."
            )
        least = self.kernel + self.pool - 1
        if self.length < least:
            raise BenchError(f"model.length ({self.length}) must be at least {least}.")


class DeepAtt(Model[DeepAttConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "filters": Choice((64, 128, 256, 512)),
        "kernel": Choice((10, 20, 30)),
        "units": Choice((16, 32, 64)),
        "attention_heads": Choice((4, 8, 16)),
        "hidden": Choice((16, 32, 64)),
        "dropout": Range(0, 0.4),
    }
    card = ModelCard(
        summary="convolution, bidirectional LSTM and attention; trained weights are published",
        source=Source(
            citation="Vaishnav et al., Nature 603:455 (2022), doi:10.1038/s41586-022-04506-6",
            url="https://github.com/1edv/evolution/tree/"
            "e771e3442d24835e4dffc507428e646f174c37a4/manuscript_code/model/benchmarking_models",
            license="MIT; written anew from its description",
        ),
        differences=(
            "Adam's epsilon is added after bias correction (PyTorch), not before (TensorFlow).",
        ),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4}, max_steps=400),
        "quick": Preset(recipe={"batch_size": 256, "epochs": 10}, max_steps=5_000),
    }

    def __init__(self, config: DeepAttConfig, positions: int) -> None:
        super().__init__(config, positions)
        channels, hidden = 2 * config.units, config.hidden
        self.one_hot = OneHot(4, n=1.0)
        self.scan = nn.Conv1d(4, config.filters, config.kernel)
        self.pool = nn.MaxPool1d(config.pool)
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = HardSigmoidBiLSTM(config.filters, config.units)
        self.attention = Attention(channels, config.attention_heads)
        pooled = (positions - config.kernel + 1) // config.pool
        self.first = nn.Linear(pooled * channels, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                glorot_uniform_(module.weight, module.in_features, module.out_features)
                nn.init.zeros_(module.bias)
        variance_scaling_(self.scan.weight, self.config.kernel, 4, self.config.filters, scale=2)
        nn.init.zeros_(self.scan.bias)  # type: ignore[arg-type]
        variance_scaling_(self.last.weight, self.config.hidden, 1, scale=2)
        self.attention.initialize()

    @classmethod
    def layout(cls, config: DeepAttConfig) -> Layout:
        """Return the layout: flanks included, right-aligned."""
        return Layout(length=config.length, pad="left", crop="left")

    @classmethod
    def paper_recipe(cls, config: DeepAttConfig) -> Recipe:
        """Return the authors' recipe: Adam at a constant rate, three epochs, no validation."""
        return Recipe(
            schedule="constant", warmup=0, batch_size=1024, epochs=3, clip_norm=0, keep="last"
        )

    @classmethod
    def import_weights(cls, config: DeepAttConfig, path: Path) -> Weights:
        """Return the weights of the authors' ``DeepAtt_model.h5``, or of a file of bench."""
        if path.suffix != ".h5":
            return super().import_weights(config, path)
        # Mean and std of their training targets; not in the file.
        return Weights(read_deepatt(path), TargetScale(9.35878428, 3.70407089))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``(B, L)`` to standardized predictions ``(B,)``."""
        x = self.dropout(functional.relu(self.pool(self.scan(self.one_hot(tokens)))))
        x = self.attention(self.lstm(x.transpose(1, 2)))  # (B, L', 2U)
        x = functional.relu(self.first(self.dropout(x).flatten(1)))
        return self.last(functional.relu(self.second(x))).squeeze(1)


class HardSigmoidBiLSTM(nn.Module):
    """A bidirectional LSTM with Keras' hard sigmoid as gates, which returns all states.

    The gates are input, forget, cell and output. Axis 0 of the weights: forward, backward.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.kernel = nn.Parameter(torch.empty(2, inputs, 4 * units))
        self.recurrent = nn.Parameter(torch.empty(2, units, 4 * units))
        self.bias = nn.Parameter(torch.zeros(2, 1, 4 * units))
        with torch.no_grad():
            self.bias[..., units : 2 * units] = 1  # Keras opens the forget gate
        for kernel, recurrent in zip(self.kernel, self.recurrent, strict=True):
            variance_scaling_(kernel, *kernel.shape, scale=2)
            nn.init.orthogonal_(recurrent)

    def forward(self, x: Tensor) -> Tensor:
        """Return the states of both directions, ``(B, L, inputs)`` -> ``(B, L, 2U)``."""
        gates = linear(x, self.kernel.transpose(1, 2).flatten(0, 1), self.bias.flatten())
        ahead, back = gates.float().transpose(0, 1).chunk(2, dim=-1)  # (L, B, 4U)
        gates = torch.stack([ahead, back.flip(0)], dim=1)  # (L, 2, B, 4U)
        with torch.autocast(x.device.type, enabled=False):  # rounding would add up over L steps
            h = c = gates.new_zeros(2, len(x), self.units)
            states = []
            for step in gates.unbind():
                z = torch.baddbmm(step, h, self.recurrent)
                i, f, _, o = hard_sigmoid(z).chunk(4, dim=-1)
                c = f * c + i * z.chunk(4, dim=-1)[2].tanh()
                h = o * c.tanh()
                states.append(h)
        ahead, back = torch.stack(states, dim=2)  # (B, L, U) each
        return torch.cat([ahead, back.flip(1)], dim=-1)


def hard_sigmoid(x: Tensor) -> Tensor:
    """Return Keras 2's hard sigmoid: 0 below -2.5, 1 above 2.5; torch's has the slope 1/6."""
    return (0.2 * x + 0.5).clamp(0, 1)


class Attention(nn.Module):
    """Multi-head attention with a ReLU after each of its four linear maps."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (
            nn.Linear(channels, channels) for _ in range(4)
        )

    def initialize(self) -> None:
        """Draw the kernels by Glorot's normal distribution, truncated as in Keras."""
        for part in (self.query, self.key, self.value, self.out):
            variance_scaling_(part.weight, part.in_features, part.out_features, scale=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, C)`` to the same shape."""
        q, k, v = (
            functional.relu(part(x)).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )  # (B, A, L, C / A)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return functional.relu(self.out(mixed.transpose(1, 2).flatten(2)))
