"""DREAM-RNN: convolutions of two widths, a bidirectional LSTM, and convolutions again.

Shapes, with the organisers' sizes (first 320, LSTM 320, last 320):

    tokens    (B, L)       L 150: the plasmid, the insert and the right flank
    channels  (B, 6, L)    A, G, C, T, reverse strand, singleton
    x         (B, 320, L)  filters of widths 9 and 15, 160 each
    states    (B, L, 640)  LSTM states of both directions
    x         (B, 320, L)  filters of widths 9 and 15, 160 each
    output    (B, 18)      mean over positions: logits of the sorting bins

Classes, their loss and the prediction: :mod:`bench.models._layers.sorting_bins`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from bench.cards import ModelCard
from bench.config import setting, settings
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.dream_nets import DIFFERENCES, SOURCE, dream_recipe
from ._layers.he_out import he_out_
from ._layers.same_length import Conv, ParallelConvs, check_shares
from ._layers.sorting_bins import SixChannels, SortingBins, SortingBinsConfig


@settings
class DreamRnnConfig(SortingBinsConfig):
    """Sizes of the network; the defaults are the organisers'."""

    first: int = setting(320, "channels of the first layer, all widths together", low=1)
    first_widths: tuple[int, ...] = setting((9, 15), "widths of its filters, in bases", low=1)
    units: int = setting(320, "LSTM units a direction", low=1)
    last: int = setting(320, "channels of the layer after the LSTM", low=1)
    last_widths: tuple[int, ...] = setting((9, 15), "widths of its filters, in positions", low=1)
    dropout: float = setting(0.2, "after both layers of convolutions", low=0, high=1)
    last_dropout: float = setting(0.5, "before the head, in addition", low=0, high=1)

    def __post_init__(self) -> None:
        """Check that every width has the same number of filters."""
        check_shares("first", self.first, self.first_widths)
        check_shares("last", self.last, self.last_widths)


class DreamRnn(SortingBins[DreamRnnConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "first": Choice((80, 160, 320)),
        "units": Choice((80, 160, 320)),
        "last": Choice((80, 160, 320)),
        "dropout": Range(0, 0.5),
        "last_dropout": Range(0, 0.5),
    }
    card = ModelCard(
        summary="the organisers' best network: convolutions, a BiLSTM, convolutions",
        source=SOURCE,
        variants=(("model.context=false", "N in place of the yeast plasmid, for other DNA"),),
        differences=DIFFERENCES,
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"first": 32, "units": 16, "last": 32, "dropout": 0.1, "last_dropout": 0.1},
            recipe={"batch_size": 128, "lr": 4e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"first": 64, "units": 32, "last": 64},
            recipe={"batch_size": 256, "epochs": 10},
            max_steps=5_000,
        ),
    }

    def __init__(self, config: DreamRnnConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.channels = SixChannels()
        self.first = ParallelConvs(
            SixChannels.count, config.first, config.first_widths, dropout=config.dropout
        )
        self.lstm = nn.LSTM(config.first, config.units, batch_first=True, bidirectional=True)
        self.last = ParallelConvs(
            2 * config.units, config.last, config.last_widths, dropout=config.dropout
        )
        self.dropout = nn.Dropout(config.last_dropout)
        self.head = Conv(config.last, config.bins, 1, bias=True)
        self.head.apply(he_out_)  # the other layers keep PyTorch's initial weights

    @classmethod
    def paper_recipe(cls, config: DreamRnnConfig) -> Recipe:
        """Return the organisers' recipe."""
        return dream_recipe(lr=0.005)

    def forward(self, tokens: Tensor, reverse_strand: Tensor, singleton: Tensor) -> Tensor:
        """Return the logits of the classes, ``(B, L)`` and two flags ``(B,)`` -> ``(B, bins)``."""
        x = self.first(self.channels(tokens, reverse_strand, singleton))
        states, _ = self.lstm(x.transpose(1, 2))
        x = self.dropout(self.last(states.transpose(1, 2)))
        return self.head(x).float().mean(dim=2)
