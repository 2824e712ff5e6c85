"""All chromosomes on one line, so that a place is one number.

They lie further apart than anything here reaches: neighbours of any kind are found by one search.

Legend: C chromosomes, K intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.genomics.build_options import BuildOptions
from bench.genomics.fasta import Genome
from bench.genomics.intervals import Integers

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Line:
    """Chromosomes one after the other.

    Attributes:
        names: Of the chromosomes.
        sizes: ``(C,)`` their letters.
        offsets: ``(C,)`` where they begin.
        margin: Places that belong to no chromosome, before each and after the last.
    """

    names: list[str]
    sizes: Integers
    offsets: Integers
    margin: int

    @classmethod
    def of(cls, genome: Genome, used: pl.DataFrame, options: BuildOptions) -> Line:
        """Lay down the chromosomes that have peaks, in the genome's order."""
        present = set(used["chrom"])
        names = [name for name in genome.sizes if name in present]
        sizes = np.array([genome.sizes[name] for name in names], dtype=np.int64)
        margin = 4 * (options.flank + options.width)
        return cls(names, sizes, np.cumsum(sizes + margin) - sizes, margin)

    def places(self, chrom: pl.Series, positions: pl.Series) -> Integers:
        """Return positions on chromosomes as places on the line."""
        offset_of = dict(zip(self.names, self.offsets.tolist(), strict=True))
        offsets = chrom.replace_strict(offset_of, default=None)
        return (offsets + positions).to_numpy().astype(np.int64)

    def chromosomes(self, places: Integers) -> Integers:
        """Return which chromosome places on it belong to."""
        return np.searchsorted(self.offsets, places, side="right") - 1

    def outside(self) -> Integers:
        """Return the intervals between chromosomes, and before and after all."""
        ends = np.append(self.offsets, self.offsets[-1] + self.sizes[-1] + self.margin)
        return np.stack([ends - self.margin, ends], axis=1)

    def spans(self, table: pl.DataFrame | None) -> Integers:
        """Return intervals on the line ``(K, 2)`` of the rows that lie on it."""
        import polars as pl

        if table is None:
            return np.empty((0, 2), dtype=np.int64)
        table = table.filter(pl.col("chrom").is_in(self.names))
        return np.stack(
            [self.places(table["chrom"], table[name]) for name in ("start", "end")], axis=1
        )
