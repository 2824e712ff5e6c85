"""Checks that peaks, blacklist, signal and genome belong to the same assembly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, argument
from bench.genomics.bigwig import Signal
from bench.genomics.build_options import BuildOptions
from bench.genomics.fasta import Genome
from bench.genomics.intervals import read_bed

if TYPE_CHECKING:
    import polars as pl


def read_places(options: BuildOptions, path: Path, what: str, signal: Signal) -> pl.DataFrame:
    """Read peaks or a blacklist; chromosome names are changed by ``options.chromosomes``."""
    import polars as pl

    table = read_bed(path, what)
    if options.chromosomes != "as-is":
        bare = pl.col("chrom").str.strip_prefix("chr")
        table = table.with_columns(chrom="chr" + bare if options.chromosomes == "add-chr" else bare)
    sizes = dict(signal.sizes)
    others = {_other_name(name): name for name in sizes}
    for row, chrom in table.unique("chrom", keep="first").select("row", "chrom").sort("row").rows():
        if chrom not in sizes and chrom in others:
            change = "add-chr" if others[chrom].startswith("chr") else "drop-chr"
            raise BenchError(
                f"{path}, row {row}: chromosome '{chrom}' is called '{others[chrom]}' in "
                f"{signal.path}. Add {argument('chromosomes', change)}."
            )
    size = pl.col("chrom").replace_strict(sizes, default=None, return_dtype=pl.Int64)
    beyond = table.with_columns(size=size).filter(pl.col("end") > pl.col("size"))
    if len(beyond):
        row, chrom, end, size_there = beyond.select("row", "chrom", "end", "size").row(0)
        raise BenchError(
            f"{path}, row {row}: ends at {end:,}, but {chrom} of {signal.path} has {size_there:,} "
            "bases. Are both of one assembly?"
        )
    middle = (pl.col("start") + pl.col("end")) // 2
    given = pl.when(pl.col("offset") >= 0).then(pl.col("start") + pl.col("offset"))
    return table.with_columns(summit=given.otherwise(middle))


def _other_name(chrom: str) -> str:
    return chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"


def check_assembly(signal: Signal, genome: Genome) -> None:
    """Refuse a genome with other chromosome sizes or other names than the signal."""
    both = [name for name in genome.sizes if name in signal.sizes]
    for name in both:
        if genome.sizes[name] != signal.sizes[name]:
            raise BenchError(
                f"{genome.path} is of another assembly than {signal.path}: {name} has "
                f"{genome.sizes[name]:,} bases in the first, "
                f"{signal.sizes[name]:,} in the second."
            )
    if not both:
        first, other = next(iter(genome.sizes)), next(iter(signal.sizes), "none")
        raise BenchError(
            f"no chromosome is both in {genome.path} (such as '{first}') and in {signal.path} "
            f"(such as '{other}'). Take files of one assembly; "
            "`sed 's/^>/>chr/'` renames those of a FASTA."
        )


def take_usable(
    peaks: pl.DataFrame, signal: Signal, genome: Genome
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the peaks on chromosomes of both signal and genome, and counts of the others."""
    in_signal = peaks["chrom"].is_in(list(signal.sizes))
    in_genome = peaks["chrom"].is_in(list(genome.sizes))
    used = peaks.filter(in_signal & in_genome)
    if not len(used):
        raise BenchError(
            f"no peak lies on a chromosome that is both in {signal.path} and in {genome.path}; "
            f"the first is on '{peaks['chrom'][0]}'."
        )
    return used, {
        "read": len(peaks),
        "used": len(used),
        "chromosome absent in the signal": int((~in_signal).sum()),
        "chromosome absent in the genome": int((in_signal & ~in_genome).sum()),
    }
