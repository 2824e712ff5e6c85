"""LegNet as its authors simplified it after the challenge.

The network with its table of shapes: :mod:`bench.models._layers.legnet`. As submitted:
:mod:`bench.models.legnet`. Initial weights are PyTorch's, as in the authors' program.
"""

from __future__ import annotations

from typing import Literal

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.recipe import Recipe

from ._layers.efficient_block import GateKind
from ._layers.legnet import CITATION, DIFFERENCES, LegNetConfig, LegNetNetwork


@settings
class LegNetOptimizedConfig(LegNetConfig):
    """Settings of LegNet, with the defaults of the optimized network."""

    resize_of: Literal["output", "input"] = setting("input", "channels that `resize` multiplies")
    group: int = setting(1, "channels of a group in a block; 1: depthwise", low=1)
    gate: GateKind = setting(
        "simple", "bilinear: with products of the gate's units; simple: without"
    )
    branch_first: bool = setting(True, "the branch before the block's input, not after it")
    head_silu: bool = setting(False, "SiLU between the last convolution and the mean")


class LegNetOptimized(LegNetNetwork):
    """See the module docstring."""

    Config = LegNetOptimizedConfig
    card = ModelCard(
        summary="LegNet after the challenge: depthwise, a simple gate, Lion",
        source=Source(
            citation=CITATION,
            url="https://github.com/autosome-ru/LegNet/tree/5b7d387e/dream_ablation",
            license="MIT; written anew from its description",
        ),
        variants=(("model.context=false", "N in place of the yeast plasmid, for other DNA"),),
        differences=(
            *DIFFERENCES,
            "The singleton flag is 0 for rows to predict; in the authors' program it is an option "
            "without a default.",
            "An N is all zeros, as in the authors' program in effect: it writes .25 into a tensor "
            "of whole numbers, where .25 becomes 0.",
        ),
    )

    @classmethod
    def paper_recipe(cls, config: LegNetConfig) -> Recipe:
        """Return the authors' recipe: Lion, one cycle without cycled momentum, both strands."""
        return Recipe(
            optimizer="lion",
            lr=5e-4,
            beta2=0.99,
            weight_decay=0.1,
            schedule="one_cycle",
            warmup=0.3,
            warmup_unit="share",
            batch_size=1024,
            epochs=6,
            clip_norm=0,
            strands="both",
            average_strands=True,
            keep="last",
            precision="bf16",
        )
