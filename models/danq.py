"""DanQ, adapted to short sequences: one convolution and a bidirectional LSTM (Quang & Xie 2016).

Shapes, with the default sizes:

    tokens    (B, L)         L 110 in DREAM; the original's sequences have 1,000 nt
    letters   (B, 4, L)      one-hot bases; N is all zeros
    motifs    (B, 36, 320)   filters of width 26, pooled by three
    states    (B, 36, 640)   both directions at every position
    hidden    (B, 925)       one dense layer over all positions
    output    (B,)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.model import Model
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.keras import glorot_uniform_
from ._layers.one_hot import OneHot
from ._layers.scalar_head import ScalarHead
from ._layers.stages import pooled_length, zeros


@settings
class DanQConfig:
    """Sizes of the network; the defaults are the paper's, except for padding and pool."""

    filters: int = setting(320, "filters of the convolution", low=1)
    width: int = setting(26, "width of the convolution, in bases", low=1)
    pool: int = setting(3, "positions pooled into one; the paper: 13", low=1)
    padding: Literal["same", "valid"] = setting("same", "zeros around a sequence; the paper: none")
    units: int = setting(320, "LSTM units a direction", low=1)
    hidden: int = setting(925, "units of the dense layer", low=1)
    motif_dropout: float = setting(0.2, "dropout before the LSTM", low=0, high=1)
    state_dropout: float = setting(0.5, "dropout after the LSTM", low=0, high=1)


class DanQ(Model[DanQConfig]):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "filters": Choice((80, 160, 320)),
        "width": Range(8, 30),
        "pool": Choice((2, 3, 5)),
        "units": Choice((80, 160, 320)),
        "motif_dropout": Range(0, 0.5),
        "state_dropout": Range(0, 0.6),
    }
    card = ModelCard(
        summary="one convolution, a bidirectional LSTM, one dense layer; adapted to short DNA",
        source=Source(
            citation="Quang & Xie, Nucleic Acids Research 44:e107 (2016), doi:10.1093/nar/gkw226",
            url="https://github.com/uci-cbcl/DanQ/blob/105c0f44df871bce5dc7281a7e87badb035cdd60"
            "/DanQ_train.py",
            license="free for non-commercial use; written anew from its description",
        ),
        variants=(("model.padding=valid model.pool=13", "as published, for 1,000 nt"),),
        differences=(
            "Adapted to the task's length: a pool of 3 in place of 13, and a convolution that "
            "keeps the length. The original's leave 6 positions of 110 nt. Nobody has published "
            "one way to do this, so no score of the original is shown beside it.",
            "One linear output in place of 919 probabilities, and the recipe's loss in place of "
            "the cross-entropy: a task has one number per sequence.",
            "The best epoch has the best validation Pearson; the authors take the smallest loss.",
            "The LSTM's gates are logistic; those of Keras 0.2 were piecewise linear, for which "
            "no library has a fast LSTM.",
            "RMSProp's epsilon is added to the root (PyTorch), not under it (Keras 0.2), so the "
            "paper recipe has .001, the root of Keras' 1e-6.",
        ),
    )
    idle_parameters: ClassVar[Mapping[str, str]] = {
        "lstm.bias_hh_*": "Keras has one bias per gate, PyTorch two"
    }
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"filters": 64, "units": 32, "hidden": 128},
            recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"filters": 160, "units": 96, "hidden": 400},
            recipe={"batch_size": 256, "epochs": 10},
            max_steps=5_000,
        ),
    }

    def __init__(self, config: DanQConfig, positions: int) -> None:
        super().__init__(config, positions)
        length = pooled_length(positions, [config.width], [config.pool], config.padding)
        self.one_hot = OneHot(4)
        self.motifs = nn.Sequential(
            zeros(config.width, config.padding),
            nn.Conv1d(4, config.filters, config.width),
            nn.ReLU(),
            nn.MaxPool1d(config.pool),
            nn.Dropout(config.motif_dropout),
        )
        self.lstm = nn.LSTM(config.filters, config.units, batch_first=True, bidirectional=True)
        self.dense = nn.Sequential(
            nn.Dropout(config.state_dropout),
            nn.Flatten(),
            nn.Linear(length * 2 * config.units, config.hidden),
            nn.ReLU(),
        )
        self.head = ScalarHead(config.hidden)
        self._initialize()

    @torch.no_grad()
    def _initialize(self) -> None:
        """Draw the weights as Keras 0.2 did."""
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                module.weight.uniform_(-0.05, 0.05)
            elif isinstance(module, nn.Linear):
                glorot_uniform_(module.weight, module.in_features, module.out_features)
            if isinstance(module, nn.Conv1d | nn.Linear):
                assert module.bias is not None
                module.bias.zero_()
        units = self.config.units
        for name, weight in self.lstm.named_parameters():
            if name.startswith("bias"):
                weight.zero_()
            if name.startswith("bias_ih"):
                weight[units : 2 * units] = 1  # the forget gate
            elif name.startswith("bias_hh"):
                weight.requires_grad_(False)  # Keras has one bias per gate, PyTorch two
            else:
                for gate in torch.split(weight, units):
                    if name.startswith("weight_ih"):
                        glorot_uniform_(gate, gate.shape[1], units)
                    else:
                        nn.init.orthogonal_(gate)

    @classmethod
    def paper_recipe(cls, config: DanQConfig) -> Recipe:
        """Return the program's recipe: RMSProp with the defaults of Keras 0.2."""
        return Recipe(
            optimizer="rmsprop",
            lr=1e-3,
            rho=0.9,
            eps=1e-3,
            schedule="constant",
            warmup=0,
            batch_size=100,
            epochs=60,
            early_stop=5,
            clip_norm=0,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return predictions, ``(B, L)`` -> ``(B,)``."""
        motifs = self.motifs(self.one_hot(tokens))  # (B, filters, pooled positions)
        states, _ = self.lstm(motifs.transpose(1, 2))  # (B, pooled positions, 2 units)
        return self.head(self.dense(states))
