"""Camformer, the mini size: six convolutions of 64 to 384 filters that lengthen the row.

The network with its table of shapes: :mod:`bench.models._layers.camformer`. The input has a fifth
channel, purine or not. Every layer has five zeros on both sides, so 110 positions become 116, 121,
126 and 132, after the max pool 63, then 69 and 76.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.recipe import Preset, Recipe
from bench.search_space import Choice, Range, Spaces

from ._layers.camformer import CITATION, DIFFERENCES, URL, CamformerConfig, CamformerNetwork


@settings
class CamformerMiniConfig(CamformerConfig):
    """Sizes of the network; the defaults are those of the mini model."""

    purines: bool = setting(True, "a fifth channel, 1 for A and G; N is .25 four times and .5")
    channels: tuple[int, ...] = setting(
        (384, 256, 128, 64, 128, 192), "filters of every layer", low=1
    )
    widths: tuple[int, ...] = setting((5, 6, 6, 5, 5, 4), "filter width of every layer", low=1)
    padding: int = setting(5, "zeros on each side of every layer; 0: keep the length", low=0)
    residual: bool = setting(False, "add the output of every odd layer to that of the next")
    pooled_layer: int = setting(4, "layer that the max pool follows, from 1 on; 0: none", low=0)
    pool: int = setting(7, "width of the max pool", low=1)
    stride: int = setting(2, "stride of the max pool", low=1)
    dropout: float = setting(0.156, "dropout of the first layer", low=0, high=1)
    last_dropout: float = setting(0.344, "of the last layer; even steps between", low=0, high=1)
    hidden: int = setting(32, "width of the dense layers", low=1)
    hidden_layers: int = setting(1, "dense layers before the output", low=0)


class CamformerMini(CamformerNetwork):
    """See the module docstring."""

    Config = CamformerMiniConfig
    space: ClassVar[Spaces] = {
        "purines": Choice((False, True)),
        "pool": Choice((3, 5, 7)),
        "dropout": Range(0, 0.4),
        "last_dropout": Range(0, 0.5),
        "hidden": Choice((16, 32, 64, 128)),
        "hidden_layers": Range(1, 3),
    }
    card = ModelCard(
        summary="six convolutions that lengthen the row, dense head; a twelfth of Camformer's size",
        source=Source(citation=CITATION, url=URL, license="MIT; written anew from a description"),
        variants=(
            (
                "model.purines=false recipe.loss=l1",
                "with the paper's recipe: four channels, the original's loss; 1,444,801 weights",
            ),
        ),
        differences=DIFFERENCES,
    )
    paper_options: ClassVar[Mapping[str, Mapping[str, object]]] = {"dream": {"validation": 0.1}}
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"channels": (64, 48, 32, 32, 32, 48), "dropout": 0.0, "last_dropout": 0.1},
            recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"channels": (192, 128, 64, 32, 64, 96)},
            recipe={"batch_size": 256, "epochs": 10},
            max_steps=5_000,
        ),
    }

    @classmethod
    def paper_recipe(cls, config: CamformerConfig) -> Recipe:
        """Return the original's recipe with the squared error."""
        return replace(super().paper_recipe(config), loss="mse")
