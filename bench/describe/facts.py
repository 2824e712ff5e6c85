"""Facts about a data set: rows, bases, targets, and the similarity of its splits.

A :class:`Description` is plain data, which :mod:`bench.describe.page` shows as tables and a page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import SPLITS, Dataset, Split
from bench.data.layout import Layout, lay_out
from bench.data.neighbours import WITHIN, nearest, repeats
from bench.data.sequences import LETTERS, N, Sequences
from bench.task import Task

BASES = LETTERS[:N]
PAIRS = (("test", "train"), ("test", "validation"), ("validation", "train"))
"""Pairs of splits: near neighbours of the first are searched in the second."""
GC_BINS = 40  # of 2.5%, twice the resolution of a sequence of 80 nt
_TARGET_BINS = 60
_ENOUGH = 30  # repeated sequences; with fewer, their std is not reliable


@dataclass(frozen=True, kw_only=True)
class Letters:
    """Bases between the flanks; all shares but that of N are shares of known bases."""

    bases: dict[str, float]
    gc_mean: float | None
    gc_deviation: float | None
    gc_histogram: list[int]
    """Rows by GC share, in equal bins from 0 to 1."""
    by_position: list[list[float]]
    """Shares of A, C, G and T at each position of a row of usual length."""
    rows_with_n: int
    share_of_n: float


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Distribution of the targets of a split."""

    minimum: float
    median: float
    mean: float
    maximum: float
    deviation: float
    edges: list[float]
    """Edges of equal bins from the minimum to the maximum; one more than there are bins."""
    rows: list[int]
    """Number of rows in each bin."""
    whole: list[int]
    """Number of rows in each bin whose target is a whole number."""
    share_whole: float


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """Sequences measured more than once, and the measurement noise derived from them."""

    sequences: int
    rows: int
    differing: int
    """Number of repeated sequences whose targets differ."""
    deviation: float | None
    """Std of the targets within a sequence; None without repeats."""
    ceiling: float | None
    """Largest Pearson r that this noise allows, sqrt(1 - noise variance / variance of all targets);
    None with fewer than 30 repeated sequences."""


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """Facts about one split; lengths include the flanks."""

    rows: int
    shortest: int
    median_length: float
    longest: int
    lengths: dict[str, int]
    """Number of rows by length; the length is text, because JSON keys are text."""
    letters: Letters
    targets: Targets
    replicates: Replicates


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Rows of one split that are similar to rows of another; see :mod:`bench.data.neighbours`."""

    of: str
    among: str
    rows: int
    by_distance: list[int]
    """Number of rows at 0, 1, … substitutions from their nearest row."""
    near: int
    incomplete: int
    """Number of rows without a near row for which the search is not complete."""


@dataclass(frozen=True, kw_only=True)
class Units:
    """Size of the scoring group of one subset."""

    kind: str
    """"rows" or "pairs"."""
    size: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """All facts about a data set."""

    name: str
    simulated: bool
    version: int
    fingerprint: str
    summary: str
    row: str
    target: str
    citation: str
    url: str
    license: str
    options: dict[str, Any]
    notes: dict[str, Any]
    flanks: list[int]
    splits: dict[str, SplitFacts]
    """Facts about the splits that have rows, by name."""
    overlaps: list[Overlap]
    within: int
    units: dict[str, dict[str, Units]]
    """Sizes of the scoring groups, by part of the test rows, then by subset."""
    lacking: dict[str, str]
    """Missing files of the unavailable parts of the test rows, by part."""
    missing: dict[str, str]
    """Missing files by subset."""


def describe(dataset: Dataset, task: Task) -> Description:
    """Return all facts about a data set; this takes a minute for millions of rows.

    Args:
        dataset: Data set to describe.
        task: Task that read the data set.
    """
    card, test = task.card, dataset.test
    splits = {name: split for name in SPLITS if len(split := getattr(dataset, name))}
    lacking = {part: task.missing_file(test, part) for part in task.row_sets}
    return Description(
        name=dataset.name,
        simulated=dataset.name.endswith("-simulated"),
        version=dataset.version,
        fingerprint=dataset.fingerprint,
        summary=card.summary,
        row=card.row,
        target=card.target,
        citation=card.source.citation,
        url=card.source.url,
        license=card.source.license,
        options=dict(dataset.options),
        notes=dict(dataset.notes),
        flanks=list(dataset.flanks),
        splits={name: _split(split, dataset) for name, split in splits.items()},
        overlaps=[
            _overlap(dataset, of, among) for of, among in PAIRS if {of, among} <= splits.keys()
        ],
        within=WITHIN,
        units={
            part: _units(task.scoring_groups(test, part))
            for part, file in lacking.items()
            if file is None
        },
        lacking={part: file for part, file in lacking.items() if file is not None},
        missing=dict(test.missing),
    )


def as_json(description: Description) -> str:
    """Return a description as JSON; missing values are null."""
    return json.dumps(asdict(description), indent=1, allow_nan=False, ensure_ascii=False)


def _split(split: Split, dataset: Dataset) -> SplitFacts:
    lengths = split.sequences.lengths
    numbers, rows = np.unique(lengths, return_counts=True)
    return SplitFacts(
        rows=len(split),
        shortest=int(lengths.min()),
        median_length=float(np.median(lengths)),
        longest=int(lengths.max()),
        lengths={str(n): m for n, m in zip(numbers.tolist(), rows.tolist(), strict=True)},
        letters=_letters(split.sequences, dataset),
        targets=_targets(split.target),
        replicates=_replicates(split),
    )


def _letters(sequences: Sequences, dataset: Dataset) -> Letters:
    lengths = np.maximum(sequences.lengths - sum(dataset.flanks), 0)
    width = int(lengths.max())
    at = np.zeros((width, N), dtype=np.int64)  # (positions, bases)
    known, strong = np.zeros((2, len(sequences)), dtype=np.int64)
    for part, chunk in sequences.chunks():
        tokens = lay_out(chunk, Layout(flanks="trim"), width, dataset.flanks)
        for base in range(N):
            found = tokens == base
            at[:, base] += np.count_nonzero(found, axis=0)
            of_row = np.count_nonzero(found, axis=1)
            known[part] += of_row
            strong[part] += of_row * (BASES[base] in "GC")
    gc = strong[known > 0] / known[known > 0]
    # Counts are binned as integers: a share such as 0.3 may be rounded to the wrong bin.
    bins = np.minimum(strong[known > 0] * GC_BINS // known[known > 0], GC_BINS - 1)
    usual = at[: max(dataset.usual_length - sum(dataset.flanks), 0)]
    return Letters(
        bases=dict(zip(BASES, (at.sum(axis=0) / max(at.sum(), 1)).tolist(), strict=True)),
        gc_mean=float(gc.mean()) if len(gc) else None,
        gc_deviation=float(gc.std()) if len(gc) else None,
        gc_histogram=np.bincount(bins, minlength=GC_BINS).tolist(),
        by_position=(usual / np.maximum(usual.sum(axis=1, keepdims=True), 1)).tolist(),
        rows_with_n=int((known < lengths).sum()),
        share_of_n=int((lengths - known).sum()) / max(int(lengths.sum()), 1),
    )


def _targets(target: NDArray[np.float64]) -> Targets:
    whole = target == np.rint(target)
    rows, edges = np.histogram(target, bins=_TARGET_BINS)
    of_whole, _ = np.histogram(target[whole], bins=edges)
    return Targets(
        minimum=float(target.min()),
        median=float(np.median(target)),
        mean=float(target.mean()),
        maximum=float(target.max()),
        deviation=float(target.std()),
        edges=edges.tolist(),
        rows=rows.tolist(),
        whole=of_whole.tolist(),
        share_whole=float(whole.mean()),
    )


def _replicates(split: Split) -> Replicates:
    found = repeats(split)
    variance = float(np.var(split.target))
    ceiling = None
    if found.sequences >= _ENOUGH and variance > 0:
        ceiling = float(np.sqrt(max(1 - found.std**2 / variance, 0.0)))
    return Replicates(
        sequences=found.sequences,
        rows=found.rows,
        differing=found.differing,
        deviation=found.std if found.sequences else None,
        ceiling=ceiling,
    )


def _overlap(dataset: Dataset, of: str, among: str) -> Overlap:
    rows: Split = getattr(dataset, of)
    others: Split = getattr(dataset, among)
    found = nearest(rows.sequences, others.sequences, dataset.flanks)
    by_distance = found.counts().tolist()
    return Overlap(
        of=of,
        among=among,
        rows=len(rows),
        by_distance=by_distance,
        near=sum(by_distance),
        incomplete=int(((found.distance < 0) & (found.complete < found.within)).sum()),
    )


def _units(units: Mapping[str, NDArray[np.int64]]) -> dict[str, Units]:
    return {
        name: Units(kind="rows" if rows.ndim == 1 else "pairs", size=len(rows))
        for name, rows in units.items()
    }
