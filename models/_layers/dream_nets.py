"""What the organisers' three networks of the DREAM Challenge 2022 share: source and recipe."""

from bench.cards import Source
from bench.recipe import Recipe

from .sorting_bins import CLASSES

SOURCE = Source(
    citation="Rafi et al., Nature Biotechnology (2024), doi:10.1038/s41587-024-02414-w",
    url="https://github.com/de-Boer-Lab/random-promoter-dream-challenge-2022/tree/17d20713"
    "/prixfixe",
    license="MIT; written anew from its description",
)

DIFFERENCES = (
    "Validation rows are predicted like test rows: mean over both strands, singleton flag 0. The "
    "organisers' have their true flags, which rows to predict do not have.",
    "The seed of a run decides initial weights, order and dropout; the organisers seeded all but "
    "dropout and PyTorch's own initial weights.",
    f"{CLASSES} Without classes the organisers' loss is the mean squared error.",
)


def dream_recipe(*, lr: float) -> Recipe:
    """Return the organisers' recipe, LegNet's with 80 passes: AdamW, one cycle, both strands."""
    return Recipe(
        optimizer="adamw",
        lr=lr,
        weight_decay=0.01,
        schedule="one_cycle",
        warmup=0.3,
        warmup_unit="share",
        cycle_momentum=True,
        batch_size=1024,
        epochs=80,
        clip_norm=0,
        strands="both",
        average_strands=True,
        precision="float32",
    )
