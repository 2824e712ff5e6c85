"""Camformer, the original size: six convolutions of 512 filters in residual pairs.

The network with its table of shapes: :mod:`bench.models._layers.camformer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench.cards import ModelCard, Source
from bench.recipe import Preset
from bench.search_space import Choice, Range, Spaces

from ._layers.camformer import CITATION, DIFFERENCES, URL, CamformerNetwork


class Camformer(CamformerNetwork):
    """See the module docstring."""

    space: ClassVar[Spaces] = {
        "pool": Choice((5, 10)),
        "dropout": Range(0, 0.4),
        "last_dropout": Range(0, 0.4),
        "hidden": Choice((64, 128, 256)),
        "hidden_layers": Range(1, 3),
    }
    card = ModelCard(
        summary="six wide convolutions in residual pairs, dense head",
        source=Source(citation=CITATION, url=URL, license="MIT; written anew from a description"),
        variants=(
            (
                "recipe.loss=huber recipe.lr=0.01 recipe.schedule=one_cycle recipe.warmup=0.3 "
                "recipe.warmup_unit=share recipe.cycle_momentum=true",
                "with the paper's recipe: its Large, the same network by another recipe",
            ),
        ),
        differences=(
            *DIFFERENCES,
            "The authors' Huber loss, in the recipe of the paper's Large, turns linear at .9, "
            "ours at 1.",
        ),
    )
    paper_options: ClassVar[Mapping[str, Mapping[str, object]]] = {"dream": {"validation": 0.1}}
    presets: ClassVar[Mapping[str, Preset]] = {
        "smoke": Preset(
            model={"channels": (32,) * 6, "hidden": 64, "dropout": 0.0, "last_dropout": 0.1},
            recipe={"batch_size": 128, "lr": 2e-3, "epochs": 4},
            max_steps=400,
        ),
        "quick": Preset(
            model={"channels": (64,) * 6, "hidden": 128},
            recipe={"batch_size": 256, "epochs": 10},
            max_steps=5_000,
        ),
    }
