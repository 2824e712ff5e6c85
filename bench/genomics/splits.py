"""Splits of windows: by chromosomes, by blocks of peaks, or at random.

Legend: K regions, M gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.data.dataset import SPLITS
from bench.errors import BenchError, argument
from bench.genomics.build_options import BuildOptions
from bench.genomics.coordinates import Line
from bench.genomics.intervals import Integers

_TRAIN, _VALIDATION, _TEST = range(3)  # as in SPLITS
_HELD_OUT = {"8": _TEST, "9": _TEST, "10": _VALIDATION}  # usual for models of human chromatin
_BLOCKS = 20  # blocks of peaks if there are too few chromosomes: 4 for test, 2 for validation


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions of the line and their splits.

    Attributes:
        starts: First places of the regions ``(K,)``, in order; each region reaches to the next.
        splits: Splits of the regions ``(K,)``.
        gaps: Empty intervals between regions of different splits ``(M, 2)``.
        told: Descriptions of the splits for users, by split.
    """

    starts: Integers
    splits: Integers
    gaps: Integers
    told: dict[str, str]


def divide(options: BuildOptions, line: Line, summits: Integers) -> Regions:
    """Divide the line into splits: by chromosomes if their names allow it, else by blocks."""
    none = np.empty((0, 2), dtype=np.int64)
    if options.split == "paper":
        told = {"train": "the rest", "validation": "5% of the rest at random"}
        return Regions(line.offsets[:1], np.zeros(1, int), none, {**told, "test": "20% at random"})
    named = np.array([_HELD_OUT.get(name.removeprefix("chr"), _TRAIN) for name in line.names])
    if (named != _TRAIN).all():
        named[:] = _TRAIN
    told = {
        SPLITS[split]: ", ".join(np.array(line.names)[named == split].tolist())
        for split in range(len(SPLITS))
    }
    absent = [split for split in (_VALIDATION, _TEST) if split not in named]
    if not absent:
        return Regions(line.offsets, named, none, told)
    free = np.sort(summits[named[line.chromosomes(summits)] == _TRAIN])
    roles = _block_roles(options, len(free), absent)
    for split in absent:
        told[SPLITS[split]] = f"blocks of peaks on {told['train']}"
    told["train"] += ", but for those blocks"
    chromosomes = line.chromosomes(free)
    same = chromosomes[1:] == chromosomes[:-1]
    changes = np.flatnonzero((roles[1:] != roles[:-1]) & same)
    cuts = (free[changes] + free[changes + 1]) // 2
    half = -(-options.gap // 2)
    first, at = np.unique(chromosomes, return_index=True)
    named[first] = roles[at]
    starts = np.concatenate([line.offsets, cuts])
    splits = np.concatenate([named, roles[changes + 1]])
    order = np.argsort(starts, kind="stable")
    gaps = np.stack([cuts - half, cuts + half], axis=1)
    return Regions(starts[order], splits[order], gaps, told)


def _block_roles(options: BuildOptions, peaks: int, absent: Sequence[int]) -> Integers:
    """Return the split of every peak, in the order of the genome: 20% test, 10% validation."""
    blocks = min(_BLOCKS, peaks)
    if blocks < 5:
        raise BenchError(
            f"{options.peaks}: {peaks} peaks are too few for a split into blocks, which needs "
            f"five. {argument('split', 'paper')} needs fewer."
        )
    block = np.arange(peaks) * blocks // peaks
    roles = np.full(peaks, _TRAIN)
    if _TEST in absent:
        roles[block % 5 == 4] = _TEST
    if _VALIDATION in absent:
        roles[block % 10 == 2] = _VALIDATION
    return roles


def random_splits(count: int, seed: int) -> Integers:
    """Return random splits like those of the paper: 20% test, then 5% of the rest validation."""
    order = np.random.default_rng([seed, 2]).permutation(count)
    test = round(0.2 * count)
    splits = np.full(count, _TRAIN)
    splits[order[:test]] = _TEST
    splits[order[test : test + round(0.05 * (count - test))]] = _VALIDATION
    return splits
