"""Coordinates with all chromosomes on one line, so that a place is one number.

The gaps between chromosomes are longer than any distance used here, so one search over the line
never finds neighbours on another chromosome.

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
        names: Names of the chromosomes.
        sizes: Lengths of the chromosomes ``(C,)`` (bp).
        offsets: First places of the chromosomes ``(C,)``.
        margin: Number of empty places before each chromosome and after the last.
    """

    names: list[str]
    sizes: Integers
    offsets: Integers
    margin: int

    @classmethod
    def of(cls, genome: Genome, used: pl.DataFrame, options: BuildOptions) -> Line:
        """Return the line of the chromosomes that have peaks, in the genome's order."""
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
        """Return the index of the chromosome of each place."""
        return np.searchsorted(self.offsets, places, side="right") - 1

    def outside(self) -> Integers:
        """Return the empty intervals before, between and after the chromosomes."""
        ends = np.append(self.offsets, self.offsets[-1] + self.sizes[-1] + self.margin)
        return np.stack([ends - self.margin, ends], axis=1)

    def spans(self, table: pl.DataFrame | None) -> Integers:
        """Return the intervals of a table's rows on the line, ``(K, 2)``.

        Rows on other chromosomes are skipped.
        """
        import polars as pl

        if table is None:
            return np.empty((0, 2), dtype=np.int64)
        table = table.filter(pl.col("chrom").is_in(self.names))
        return np.stack(
            [self.places(table["chrom"], table[name]) for name in ("start", "end")], axis=1
        )
