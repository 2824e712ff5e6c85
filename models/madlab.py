"""MadLab's entry: multi-scale convolutions, Enformer-style attention, a small BiLSTM.

Shapes, with the report's sizes (H 96, U 4):

    tokens    (B, L)       L 110 with flanks; padded with N on the left, cropped on the left
    branches  (B, H, L)    filters of widths 15, 20, 25 and 30, normalized and reduced; summed
    x         (B, L, H)    two pre-norm transformer blocks with relative positions
    states    (B, 2U)      last state of each direction
    output    (B,)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.data.layout import Layout
from bench.errors import BenchError
from bench.model import Model
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.channels_last import Linear
from ._layers.keras import variance_scaling_
from ._layers.one_hot import OneHot
from ._layers.relative_attention import RelativeAttention
from ._layers.same_length import Conv
from ._layers.scalar_head import ScalarHead
from ._layers.swish_lstm import SwishBiLSTM

_LARGEST_STATE = 10.0  # on random DNA; stable initial weights stay below 4, others exceed 1e6


@settings
class MadLabConfig:
    """Sizes of the network; the defaults are the report's."""

    hidden: int = setting(
        96, "channels after every branch; a multiple of 6 x attention_heads", low=6
    )
    widths: tuple[int, ...] = setting(
        (15, 20, 25, 30), "filter width of each branch, in bases", low=1
    )
    blocks: int = setting(2, "transformer blocks", low=0)
    attention_heads: int = setting(1, "heads of a block", low=1)
    units: int = setting(4, "LSTM units a direction", low=1)
    frozen_transformer: bool = setting(False, "freeze attention and feed-forward, as submitted")

    def __post_init__(self) -> None:
        """Check that the fields fit together."""
        if self.hidden % (6 * self.attention_heads):
            step = 6 * self.attention_heads
            raise BenchError(
                f"model.hidden ({self.hidden}) is not a multiple of 6 x attention_heads "
                f"({step}). Try {max(self.hidden // step, 1) * step}."
            )


class MadLab(Model[MadLabConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "hidden": Choice((48, 96, 192)),
        "blocks": Range(0, 4),
        "attention_heads": Choice((1, 2, 4)),
        "units": Choice((4, 8, 16)),
    }
    card = ModelCard(
        summary="multi-scale CNN, Enformer-style relative attention, swish BiLSTM",
        source=Source(
            citation="MadLab, DREAM Challenge 2022; in Rafi et al., Nature Biotechnology (2024), "
            "doi:10.1038/s41587-024-02414-w",
            url="https://github.com/de-Boer-Lab/random-promoter-dream-challenge-2022/tree/17d20713"
            "/dream_submissions/MadLab",
            license="MIT; written anew from its description",
        ),
        variants=(
            ("model.frozen_transformer=true", "as submitted: 152,617 registered parameters"),
            ("model.blocks=0", "no transformer at all"),
        ),
        differences=(
            "The report's 319,657 parameters include 2,304 moving statistics of batch norm.",
            "The transformer is trained. In the submitted program its weights (167,040) were not "
            "registered with Keras, and its output projection starts at zero.",
            "Initial LSTM weights whose states explode on random DNA are drawn again. With swish "
            "in place of tanh this happens to about two draws in five at the report's size.",
            "Batch norm uses the statistics of the whole batch; on the authors' TPU each of eight "
            "cores normalized its own 128 rows.",
            "Training rows are shuffled over the whole set; the authors' buffer held 1,024 rows.",
            "An epoch of the paper recipe is eight passes over the rows, whatever their number: "
            "the authors' 36,743 steps, computed for batches of 128 but run with 1,024, are that.",
            "Half of the single-bin rows are removed from the training split only, so that every "
            "run validates on the same kind of rows.",
        ),
    )
    paper_options: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "dream": {"singletons": "half", "validation": 0.02}
    }
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"hidden": 24, "blocks": 1},
            recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"hidden": 48}, recipe={"batch_size": 256, "epochs": 10}, max_steps=5_000
        ),
    }

    def __init__(self, config: MadLabConfig, positions: int) -> None:
        super().__init__(config, positions)
        if positions < 2:  # one position has no relative distances
            raise BenchError("madlab needs sequences of at least two nt; these have one.")
        self.one_hot = OneHot(4)
        self.branches = nn.ModuleList([Branch(width, config.hidden) for width in config.widths])
        self.transformer = nn.Sequential(
            *[TransformerBlock(config, positions) for _ in range(config.blocks)]
        )
        self.lstm = SwishBiLSTM(config.hidden, config.units)
        self.head = ScalarHead(2 * config.units)
        variance_scaling_(self.head.weight, 2 * config.units, 1, scale=2)
        nn.init.zeros_(self.head.bias)
        self._redraw_exploding_lstm()
        if config.frozen_transformer:
            for block in self.transformer:
                assert isinstance(block, TransformerBlock)
                for part in (block.attention, block.widen, block.narrow):
                    part.requires_grad_(False)

    @torch.no_grad()
    def _redraw_exploding_lstm(self) -> None:
        """Draw the LSTM's weights again while its states explode on random DNA.

        Swish is unbounded, so a positive feedback through the cell grows with every position.
        """
        if self.head.weight.is_meta:
            return
        letters = self.one_hot(torch.randint(4, (256, self.positions)))
        x = sum(branch(letters) for branch in self.branches)
        assert isinstance(x, Tensor)
        x = self.transformer(x.transpose(1, 2))
        while not self.lstm(x).abs().max() <= _LARGEST_STATE:  # also true for NaN
            self.lstm.draw()
        for branch in self.branches:  # the random DNA has changed the running statistics
            assert isinstance(branch, Branch)
            branch.scan_norm.reset_running_stats()
            branch.reduce_norm.reset_running_stats()

    @classmethod
    def layout(cls, config: MadLabConfig) -> Layout:
        """Return the layout: flanks kept, padded with N on the left, cropped on the left."""
        return Layout(pad="left", crop="left")

    @classmethod
    def paper_recipe(cls, config: MadLabConfig) -> Recipe:
        """Return the notebook's recipe: RMSProp at a constant rate, L2 penalty on kernels."""
        return Recipe(
            optimizer="rmsprop",
            lr=1e-4,
            rho=0.9,
            eps=1e-7,
            schedule="constant",
            warmup=0,
            batch_size=1024,
            epochs=10,
            passes=8,
            clip_norm=0,
            l2=1e-3,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predicted expression, ``(B, L)`` -> ``(B,)``."""
        letters = self.one_hot(tokens)  # (B, 4, L); N is all zeros
        x = sum(branch(letters) for branch in self.branches)  # (B, H, L)
        assert isinstance(x, Tensor)
        states = self.lstm(self.transformer(x.transpose(1, 2)))
        return self.head(states)

    def l2_parameters(self) -> Iterable[nn.Parameter]:
        """Yield the kernels of the convolutions and of the output, which the authors regularize."""
        for branch in self.branches:
            assert isinstance(branch, Branch)
            yield from (branch.scan.get_parameter("weight"), branch.reduce.get_parameter("weight"))
        yield self.head.get_parameter("weight")


class Branch(nn.Module):
    """Filters of one width, then a reduction, each with batch norm and swish."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.scan = Conv(4, 2 * hidden, width, bias=True)
        self.scan_norm = nn.BatchNorm1d(2 * hidden, eps=1e-3, momentum=0.01)
        self.reduce = Conv(2 * hidden, hidden, 1, bias=True)
        self.reduce_norm = nn.BatchNorm1d(hidden, eps=1e-3, momentum=0.01)
        for conv in (self.scan, self.reduce):
            filters, channels, size = conv.weight.shape
            variance_scaling_(conv.weight, size, channels, filters, scale=2)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, letters: Tensor) -> Tensor:
        """Map ``(B, 4, L)`` to ``(B, H, L)``."""
        x = self.reduce(functional.silu(self.scan_norm(self.scan(letters))))
        return functional.silu(self.reduce_norm(x))


class TransformerBlock(nn.Module):
    """Pre-norm attention with relative positions, then a pre-norm feed-forward."""

    def __init__(self, config: MadLabConfig, positions: int) -> None:
        super().__init__()
        hidden = config.hidden
        self.attention_norm = nn.LayerNorm(hidden, eps=1e-3)
        self.attention = RelativeAttention(hidden, config.attention_heads, positions)
        self.ffn_norm = nn.LayerNorm(hidden, eps=1e-3)
        self.widen = Linear(hidden, 2 * hidden)
        self.narrow = Linear(2 * hidden, hidden)
        for linear in (self.widen, self.narrow):  # Sonnet's default
            std = linear.in_features**-0.5
            nn.init.trunc_normal_(linear.weight, std=std, a=-2 * std, b=2 * std)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, H)`` to the same shape."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.narrow(functional.silu(self.widen(self.ffn_norm(x))))
