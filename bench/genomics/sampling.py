"""Random sampling of windows at peaks and away from peaks.

Legend: N windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import BenchError
from bench.genomics.build_options import BuildOptions
from bench.genomics.coordinates import Line
from bench.genomics.fasta import Genome
from bench.genomics.intervals import Integers, merged, overlapping
from bench.genomics.splits import divide, random_splits

if TYPE_CHECKING:
    import polars as pl

_REASONS = (
    "beyond the chromosome's end",
    "N in the window",
    "in the blacklist",
    "between blocks of different splits",
    "drawn before",
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Sampled windows by their places on the line, in order.

    Attributes:
        line: Line of the chromosomes.
        starts: First places of the windows ``(N,)``.
        summits: Summits of the windows ``(N,)``; -1 for windows away from peaks.
        splits: Splits of the windows ``(N,)``, as indices of SPLITS.
        dropped: Number of dropped windows by reason.
        told: Descriptions of the splits; see :class:`Regions`.
    """

    line: Line
    starts: Integers
    summits: Integers
    splits: Integers
    dropped: dict[str, int]
    told: dict[str, str]


def draw(
    options: BuildOptions,
    genome: Genome,
    used: pl.DataFrame,
    excluded: pl.DataFrame | None,
) -> Drawn:
    """Draw windows at peaks and away from them, and split them."""
    line = Line.of(genome, used, options)
    summits = line.places(used["chrom"], used["summit"])
    unknown = [
        genome.chromosomes[name].unknown + offset
        for name, offset in zip(line.names, line.offsets, strict=True)
    ]
    barred = [line.outside(), merged(np.concatenate(unknown)), merged(line.spans(excluded))]
    regions = divide(options, line, _usable(options, summits, barred))
    barred.append(merged(regions.gaps))
    at_background = round(options.windows * options.background)
    near, at, dropped = _draw_near(options, summits, barred, options.windows - at_background)
    if not len(near):
        raise _nothing_left(options, dropped)
    share = options.background / (1 - options.background)
    wanted = min(at_background, round(len(near) * share))
    away = _draw_away(options, line, near, [*barred, line.spans(used)], wanted)
    starts = np.concatenate([near, away])
    at = np.concatenate([at, np.full(len(away), -1)])
    order = np.argsort(starts, kind="stable")
    starts, at = starts[order], at[order]
    splits = regions.splits[np.searchsorted(regions.starts, starts, side="right") - 1]
    if options.split == "paper":
        splits = random_splits(len(starts), options.seed)
    return Drawn(line, starts, at, splits, dropped, regions.told)


def _usable(options: BuildOptions, summits: Integers, barred: Sequence[Integers]) -> Integers:
    """Return the summits whose centered window is allowed, or all summits if there is none."""
    begins = summits - options.width // 2
    closed = merged(np.concatenate(barred))
    usable = ~overlapping(begins, begins + options.width, closed)
    return summits[usable] if usable.any() else summits


def _draw_near(
    options: BuildOptions, summits: Integers, barred: Sequence[Integers], wanted: int
) -> tuple[Integers, Integers, dict[str, int]]:
    """Draw windows around summits until enough are left or there are no more.

    Returns:
        Starts and summits of the windows, in the order drawn, and the number of dropped windows by
        reason. If there are enough windows, only those dropped before the last one count.
    """
    places = 2 * options.flank - options.width + 1  # around one summit
    total = len(summits) * places
    size = min(wanted, total)
    while True:
        picks = np.random.default_rng([options.seed, 0]).choice(total, size, replace=False)
        at = summits[picks // places]
        starts = at - options.flank + picks % places
        reason = _reasons(starts, starts + options.width, barred)
        kept = np.flatnonzero(reason < 0)[:wanted]
        if len(kept) == wanted or size == total:
            break
        size = min(2 * size, total)
    seen = kept[-1] + 1 if len(kept) == wanted else size
    counts = np.bincount(reason[:seen] + 1, minlength=len(_REASONS) + 1)[1:]
    return starts[kept], at[kept], dict(zip(_REASONS, counts.tolist(), strict=True))


def _reasons(starts: Integers, ends: Integers, barred: Sequence[Integers]) -> Integers:
    """Return the index in _REASONS of the first reason to drop each window, ``(N,)``; -1: none."""
    reason = np.full(len(starts), -1)
    again = np.ones(len(starts), dtype=bool)
    again[np.unique(starts, return_index=True)[1]] = False  # flanks of summits overlap
    reason[again] = len(barred)
    for index in reversed(range(len(barred))):
        reason[overlapping(starts, ends, barred[index])] = index
    return reason


def _draw_away(
    options: BuildOptions, line: Line, near: Integers, barred: Sequence[Integers], wanted: int
) -> Integers:
    """Draw windows away from peaks, with the same shares per chromosome as the windows at peaks.

    Args:
        options: Options of the data set.
        line: Line of the chromosomes.
        near: Starts of the windows at peaks.
        barred: Intervals that no window may touch; the last element has the peaks, to which
            windows also keep a distance.
        wanted: Number of windows.
    """
    if not wanted:
        return np.empty(0, dtype=np.int64)
    reach = np.array([-options.gap, options.gap])
    closed = np.concatenate([*barred[:-1], barred[-1] + reach])
    closed = merged(closed - np.array([options.width - 1, 0]))  # starts of windows that touch
    begins, lengths = closed[:-1, 1], closed[1:, 0] - closed[:-1, 1]
    chromosomes = line.chromosomes(begins)
    counts = np.bincount(line.chromosomes(near), minlength=len(line.names))
    random, drawn = np.random.default_rng([options.seed, 1]), []
    for index, quota in enumerate(_apportion(wanted, counts)):
        mine = np.flatnonzero(chromosomes == index)
        reached = np.cumsum(lengths[mine])
        total = int(reached[-1]) if len(mine) else 0
        picks = (
            random.choice(total, min(quota, total), replace=False) if total else np.empty(0, int)
        )
        run = np.searchsorted(reached, picks, side="right")
        drawn.append(begins[mine][run] + picks - (reached - lengths[mine])[run])
    return np.concatenate(drawn)


def _apportion(wanted: int, counts: Integers) -> list[int]:
    """Divide a whole number in proportion to counts, by the largest remainders."""
    exact = wanted * counts / counts.sum()
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: wanted - whole.sum()]] += 1
    return [int(count) for count in whole]


def _nothing_left(options: BuildOptions, dropped: Mapping[str, int]) -> BenchError:
    reason = max(dropped, key=dropped.__getitem__)
    return BenchError(
        f"no window is left: {dropped[reason]:,} of all {sum(dropped.values()):,} places around "
        f"the summits in {options.peaks} are dropped for the reason '{reason}'. Are peaks and "
        f"{options.genome} of one assembly?"
    )
