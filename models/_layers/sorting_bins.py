"""What LegNet and the DREAM networks share: six input channels, and classes for sorting bins.

Shapes, for B rows of L positions and K classes:

    tokens          (B, L)
    reverse_strand  (B,)       whether a row is shown as its reverse complement
    singleton       (B,)       whether a row's target is a whole number: seen in one single bin
    channels        (B, 6, L)  A, G, C, T and the two flags, each the same at all positions
    output          (B, K)     logits of the classes; the prediction is their mean class

A target e stands for a normal distribution of mean e + .5 and std .5: class i has its mass between
i and i + 1; the first and the last class also have what is beyond. The loss is the Kullback-Leibler
divergence of the output's distribution from that one.

With ``classes=auto`` targets are treated as bins if their mean plus or minus their std lies within
0..K, and their std is 1 at least, or if the recipe does not standardize them; ``classes=bins`` and
``classes=spread`` put a wrong guess right. Only a recipe that standardizes knows the mean and the
std that ``spread`` needs. A bin above K - 1 counts as K - 1.

Other targets are scaled so that the classes span the mean plus and minus 3 std: class =
standardized target x K / 6 + (K - 1) / 2. No row is then a singleton. The predictions of 18 classes
lie between -2.83 and 2.83 std, which limits the correlation on targets with a long tail: take their
logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.config import setting, settings
from bench.data.dataset import Split
from bench.data.layout import Layout
from bench.errors import BenchError
from bench.model import UNSCALED, Batch, Model, TargetScale
from bench.recipe import Recipe

from .one_hot import OneHot

PLASMID = (
    "AGTCCACTATTAAAGAACGTGGACTCCAACGTCAAAGGGCGAAAAACCGTCTATCAGGGCGATGGCCCACTACGTGAACCATCACC"
    "CTAATCAAGTGCTAGCAGGAATGATGCAAAAGGTTCCCGATTCGAACTGCATTTTTTTCACATC"
)
"""The 150 nt of the challenge's plasmid before an insert, with the 17 nt of the left flank."""

CLASSES = (
    "Targets that are no sorting bins are scaled so that the classes span the mean plus and minus "
    "3 std, and no row is a singleton. Predictions then lie between -2.83 and 2.83 std, which "
    "limits the correlation on targets with a long tail: take their logarithm. Targets are treated "
    "as bins if they fit into them, a target above 17 as 17; model.classes puts a wrong guess "
    "right."
)
"""A difference of every network that is used on other targets than bins, for their cards."""

Classes = Literal["auto", "bins", "spread"]
"""Whether targets are bins, are spread over the classes, or are one of both by a guess."""


@settings
class SortingBinsConfig:
    """Settings of input and output that the networks share."""

    bins: int = setting(18, "classes of the output", low=2)
    classes: Classes = setting(
        "auto", "bins: a target is a bin; spread: mean and 3 std around; auto: bins if they fit"
    )
    length: int = setting(150, "nt after padding or cropping on the left", low=1)
    context: bool = setting(True, "the challenge's plasmid before every row, in place of N")


ConfigT = TypeVar("ConfigT", bound=SortingBinsConfig)


class SortingBins(Model[ConfigT]):
    """A network with six input channels and one class a sorting bin; see the module docstring."""

    columns = ("reverse_strand",)

    @classmethod
    def layout(cls, config: ConfigT) -> Layout:
        """Return the layout: the plasmid in place of the left flank; the last 150 nt are kept."""
        return Layout(
            flanks="trim_left" if config.context else "keep",
            context_left=PLASMID if config.context else "",
            length=config.length,
            pad="left",
            crop="left",
        )

    @classmethod
    def check_recipe(cls, config: ConfigT, recipe: Recipe) -> None:
        """Check that targets to spread are standardized: else their mean and std are unknown."""
        if config.classes == "spread" and not recipe.standardize:
            raise BenchError(
                "model.classes=spread places the classes by the targets' mean and std, which a "
                "recipe without recipe.standardize does not compute.",
                field="model.classes",
                hint={"recipe.standardize": True, "model.classes": "bins"},
            )

    @classmethod
    def input_columns(cls, config: ConfigT, rows: Split) -> Mapping[str, NDArray[Any]]:
        """Return the singleton flags of training rows; rows to predict have none."""
        singleton = rows.target == np.rint(rows.target)
        if config.classes == "auto" and len(rows):
            mean, std = float(rows.target.mean()), float(rows.target.std())
            singleton &= are_bins(mean, std, config.bins)
        return {"singleton": singleton & (config.classes != "spread")}

    def expectation(self, output: Tensor) -> Tensor:
        """Return the mean class, standardized, ``(B, K)`` -> ``(B,)``."""
        classes = torch.arange(self.config.bins, dtype=torch.float32, device=output.device)
        # Not a product "@": autocast would round the mean to steps of 1/16 class.
        mean = (output.float().softmax(dim=1) * classes).sum(dim=1)
        return class_scale(self.scale, self.config).standardized(mean)

    def loss(self, batch: Batch) -> Tensor:
        """Return the divergence from the targets' classes, summed over classes, mean over rows."""
        output = self(batch.tokens, **batch.columns)
        scale = class_scale(self.scale, self.config)
        target = soft_classes(scale.raw(batch.target.double()), self.config.bins)
        return functional.kl_div(
            output.float().log_softmax(dim=1), target.float(), reduction="batchmean"
        )


class SixChannels(nn.Module):
    """The conversion of tokens and flags to six channels; N is zero in those of the bases."""

    count: ClassVar[int] = 6

    def __init__(self) -> None:
        super().__init__()
        self.letters = OneHot(4, order="AGCT")

    def forward(self, tokens: Tensor, reverse_strand: Tensor, singleton: Tensor) -> Tensor:
        """Map tokens ``(B, L)`` and two flags ``(B,)`` to ``(B, 6, L)``."""
        letters = self.letters(tokens)
        flags = torch.stack([reverse_strand, singleton], dim=1).to(letters.dtype)
        return torch.cat([letters, flags[:, :, None].expand(-1, -1, tokens.shape[1])], dim=1)


def are_bins(mean: float, std: float, bins: int) -> bool:
    """Return whether targets of this mean and std fit into the bins; False for NaN."""
    return std >= 1 and mean - std >= 0 and mean + std <= bins


def class_scale(scale: TargetScale, config: SortingBinsConfig) -> TargetScale:
    """Return the mean and the std of the targets in classes."""
    bins = config.bins
    fit = scale == UNSCALED or are_bins(scale.mean, scale.std, bins)
    if config.classes == "bins" or (config.classes == "auto" and fit):
        return scale
    return TargetScale(mean=(bins - 1) / 2, std=bins / 6)


def soft_classes(target: Tensor, bins: int) -> Tensor:
    """Return the probabilities of the classes, ``(B,)`` float64 -> ``(B, bins)``."""
    edges = torch.arange(1, bins, dtype=target.dtype, device=target.device)
    z = (edges - (target[:, None] + 0.5)) / 0.5  # (B, bins - 1)
    below = functional.pad(_normal(z), (1, 1))
    below[:, -1] = 1
    above = functional.pad(_normal(-z), (1, 1))
    above[:, 0] = 1
    # Right of the mean, differences of the upper tail lose no digits.
    right = functional.pad(z, (1, 0), value=-math.inf) > 0
    return torch.where(right, above[:, :-1] - above[:, 1:], below[:, 1:] - below[:, :-1])


def _normal(z: Tensor) -> Tensor:
    """Return the standard normal distribution function; erfc keeps the digits of its left tail."""
    return 0.5 * torch.special.erfc(-z * math.sqrt(0.5))
