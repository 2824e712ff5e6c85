"""LegNet as submitted, the winner of the DREAM Challenge 2022.

The network with its table of shapes: :mod:`bench.models._layers.legnet`.
"""

from __future__ import annotations

from dataclasses import replace

from bench.cards import ModelCard, Source
from bench.recipe import Recipe

from ._layers.dream_nets import dream_recipe
from ._layers.he_out import he_out_
from ._layers.legnet import CITATION, DIFFERENCES, LegNetConfig, LegNetNetwork


class LegNet(LegNetNetwork):
    """See the module docstring."""

    card = ModelCard(
        summary="gated convolution blocks, soft classes for sorting bins; won the challenge",
        source=Source(
            citation=CITATION,
            url="https://github.com/autosome-ru/dream2022/tree/f3adc0a",
            license="none stated; written anew from its description",
        ),
        variants=(
            ("model.gate=simple", "gate without products, as in DREAM-CNN and optimized LegNet"),
            ("model.context=false", "N in place of the yeast plasmid, for DNA of other assays"),
        ),
        differences=(
            *DIFFERENCES,
            "The singleton flag is 0 for all rows to predict, as the report says. The authors' "
            "test.py derives it from the test file's placeholders.",
        ),
    )

    def __init__(self, config: LegNetConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.apply(he_out_)

    @classmethod
    def paper_recipe(cls, config: LegNetConfig) -> Recipe:
        """Return the submitted recipe: AdamW, one cycle with cycled momentum, both strands."""
        return replace(dream_recipe(lr=0.005), epochs=6, keep="last")
