"""Nearest training neighbours of test rows, which show how much a model could have memorized.

Leakage is measured by the similarity of test to training sequences, as in hashFrag (Rafi et al.,
bioRxiv 2025, doi:10.1101/2025.01.22.634321), but with substitutions instead of alignment scores.

The distance of a test row from a training row is the number of bases of the test row that do not
match the training row, at the best ungapped shift, on either strand. Constant flanks are cut off
first::

    test      ACGTTGCA         ACGTTGCA          ACGTTGCA
    training  ACGATGCA         TTACGTTGCAGG      GTTGCA
              1: a substitution   0: contained    2: two bases have no partner

N matches nothing, not even N, unless the whole rows are equal. Insertions and deletions are not
modelled, so a row with one of them in its middle is far away.

Candidates come from pigeonhole seeds: a test row is cut into b blocks of k bases. With at most
b - 1 substitutions, at least one block stays unchanged, so every training row within that distance
contains one of the blocks. All training windows of k bases are looked up in a table of all blocks;
then the whole rows are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bench.data.dataset import Split
from bench.data.layout import Layout, lay_out
from bench.data.sequences import MASK, N, Sequences, Tokens, reverse_complement

Integers = NDArray[np.int64]

WITHIN = 5
"""Largest distance that is searched: five substitutions leave 94% of the 80 random bases of a
promoter unchanged, while unrelated promoters differ in about 60 bases."""

_BLOCK_SIZES = (10, 13)  # bases: smaller blocks match by chance; the table of 4^13 takes 67 MB
_ROWS = 1 << 13  # training rows per chunk: their windows fit into a processor's cache
_PAIRS = 1 << 18  # pairs that are compared at once: bounds the memory
_MOST_PAIRS = 1 << 25  # limit of pairs per block: poly-A against poly-A is quadratic
_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Neighbours:
    """The nearest training row of every test row.

    Attributes:
        distance: Distance to the nearest training row ``(N,)``; -1 if no row is near enough.
        row: Index of that training row ``(N,)``, the first of equally near rows; -1 for none.
        complete: Distance up to which the search is complete ``(N,)``. It is below ``within`` for
            a row with too few bases for all blocks, or with blocks so frequent (poly-A) that the
            search skipped them; -1 if only equal sequences are certain to be found.
        within: Largest distance that was searched.
    """

    distance: Integers
    row: Integers
    complete: Integers
    within: int

    def counts(self) -> Integers:
        """Return the number of test rows at distance 0, 1, …, ``(within + 1,)``."""
        return np.bincount(self.distance[self.distance >= 0], minlength=self.within + 1)


def nearest(
    test: Sequences, train: Sequences, flanks: tuple[int, int], *, within: int = WITHIN
) -> Neighbours:
    """Find the nearest training row of every test row.

    Args:
        test: N sequences, flanks included.
        train: Sequences to compare with; they may be on disk.
        flanks: Number of constant bases on the left and on the right of every sequence.
        within: Largest distance to search.
    """
    queries = _queries(test, flanks)
    table = _Table(queries, within)
    copies = _Copies(queries)
    best = np.full(len(queries), _NONE)  # distance and row in one number: the minimum wins
    for rows, inserts in _inserts(train, flanks):
        copies.look_up(inserts, rows)
        for query, row, shift in table.look_up(inserts):
            distance = _compare(queries, query, inserts, row, shift, within)
            near = distance <= within
            key = distance[near] * len(train) + rows[row[near]]
            np.minimum.at(best, query[near], key)
    best = np.minimum(best, copies.rows())  # at distance 0 the number is the row
    best = best.reshape(2, len(test)).min(axis=0)  # (strands, N) -> (N,)
    found = best < _NONE
    distance, row = np.divmod(np.where(found, best, 0), max(len(train), 1))
    complete = np.minimum(table.complete().reshape(2, len(test)).min(axis=0), within)
    return Neighbours(np.where(found, distance, -1), np.where(found, row, -1), complete, within)


@dataclass(frozen=True)
class Repeats:
    """Sequences that occur more than once among the rows of a split.

    Attributes:
        sequences: Number of different sequences that occur more than once.
        rows: Number of rows with one of these sequences.
        differing: Number of these sequences whose targets differ.
        std: Pooled std of the targets within a sequence; NaN without repeats.
    """

    sequences: int
    rows: int
    differing: int
    std: float


def repeats(split: Split) -> Repeats:
    """Return the counts of exact duplicates, flanks included, found by a 64-bit hash."""
    _, of, sizes = np.unique(split.sequences.hashes(), return_inverse=True, return_counts=True)
    again = sizes[of] > 1
    _, of, sizes = np.unique(of[again], return_inverse=True, return_counts=True)
    target = split.target[again]
    lowest, highest = np.full(len(sizes), np.inf), np.full(len(sizes), -np.inf)
    np.minimum.at(lowest, of, target)
    np.maximum.at(highest, of, target)
    centred = target - (np.bincount(of, weights=target, minlength=len(sizes)) / sizes)[of]
    freedom = len(target) - len(sizes)
    std = float(np.sqrt(np.sum(centred**2) / freedom)) if freedom else float("nan")
    return Repeats(len(sizes), len(target), int((lowest < highest).sum()), std)


class _Table:
    """Lookup table of the blocks of all queries."""

    def __init__(self, queries: Sequences, within: int) -> None:
        self.queries, self.within = queries, within
        usual = int(np.median(queries.lengths)) if len(queries) else 0
        self.k = k = int(np.clip(usual // (within + 1), *_BLOCK_SIZES))
        self.blocks = queries.lengths // k
        windows = sliding_window_view(_padded(queries.tokens, 0, k), k, axis=1)[:, ::k]
        query, block = np.nonzero(np.arange(windows.shape[1]) < self.blocks[:, None])
        known = (windows[query, block] < N).all(axis=1)  # a block with N matches nothing
        query, block = query[known], block[known]
        codes = windows[query, block] @ (4 ** np.arange(k)[::-1]).astype(np.uint32)
        order = np.argsort(codes, kind="stable")
        self.codes, self.starts, self.counts = np.unique(
            codes[order], return_index=True, return_counts=True
        )
        self.query, self.offset = query[order], block[order] * k
        self.spent = np.zeros(len(self.codes), dtype=np.int64)
        self.present = np.zeros(4**k, dtype=bool)
        self.present[self.codes] = True

    def look_up(self, train: Sequences) -> Iterator[tuple[Integers, Integers, Integers]]:
        """Yield pairs that share a block: query, training row and shift (nt)."""
        row, place, slot = self._hits(train)
        pairs = self.counts[slot]
        ends = np.cumsum(pairs)
        total = int(pairs.sum())
        cuts = np.unique(np.searchsorted(ends, np.arange(0, total, _PAIRS)))
        for start, stop in pairwise([*cuts, len(pairs)]):
            hit = np.repeat(np.arange(start, stop), pairs[start:stop])
            first = ends[hit] - pairs[hit]
            nth = np.arange(len(hit)) + first[0] - first
            entry = self.starts[slot[hit]] + nth
            query, shift = self.query[entry], place[hit] - self.offset[entry]
            over = self.queries.lengths[query] + shift - train.lengths[row[hit]]
            near = (shift >= -self.within) & (over <= self.within)
            yield query[near], row[hit[near]], shift[near]

    def complete(self) -> Integers:
        """Return the distance up to which all neighbours of a query were compared."""
        skipped = np.repeat(self.spent > _MOST_PAIRS, self.counts)
        lost = np.bincount(self.query[skipped], minlength=len(self.queries))
        return np.maximum(self.blocks - lost - 1, -1)

    def _hits(self, train: Sequences) -> tuple[Integers, Integers, Integers]:
        """Find windows that equal a block: training row, place in the row, index of the block."""
        codes = _codes(train.tokens.ravel(), self.k)
        at = np.flatnonzero(self.present[codes])
        row, place = np.divmod(at, max(train.tokens.shape[1], 1))
        inside = place + self.k <= train.lengths[row]
        row, place = row[inside], place[inside]
        slot = np.searchsorted(self.codes, codes[at[inside]])
        np.add.at(self.spent, slot, self.counts[slot])
        kept = self.spent[slot] <= _MOST_PAIRS
        self.present[self.codes[slot[~kept]]] = False
        return row[kept], place[kept], slot[kept]


class _Copies:
    """Search for equal sequences by a 64-bit hash, also for short and repetitive sequences."""

    def __init__(self, queries: Sequences) -> None:
        hashes, self.of = np.unique(queries.hashes(), return_inverse=True)
        self.empty = queries.lengths == 0
        self.hashes, self.first = hashes, np.full(len(hashes), _NONE)

    def look_up(self, train: Sequences, rows: Integers) -> None:
        """Record the first of these training rows that equals a query."""
        hashes = train.hashes()
        slot = np.searchsorted(self.hashes, hashes)
        equal = np.searchsorted(self.hashes, hashes, side="right") > slot
        np.minimum.at(self.first, slot[equal], rows[equal])

    def rows(self) -> Integers:
        """Return the first equal training row of each query, or a large number for none."""
        return np.where(self.empty, _NONE, self.first[self.of])


def _queries(test: Sequences, flanks: tuple[int, int]) -> Sequences:
    """Return the rows without flanks, then their reverse complements, ``(2 N, L)``."""
    lengths = np.maximum(test.lengths - sum(flanks), 0)
    width = int(lengths.max(initial=0))
    right = lay_out(test, Layout(flanks="trim", pad="left"), width, flanks)
    left = lay_out(test, Layout(flanks="trim"), width, flanks)
    tokens = np.concatenate([left, reverse_complement(right)])
    return Sequences(tokens, np.concatenate([lengths, lengths]))


def _inserts(train: Sequences, flanks: tuple[int, int]) -> Iterator[tuple[Integers, Sequences]]:
    """Yield row numbers and rows without flanks, in chunks of rows of similar length."""
    for part, chunk in train.chunks():
        order = np.argsort(chunk.lengths, kind="stable")
        for start in range(0, len(chunk), _ROWS):
            rows = order[start : start + _ROWS]
            lengths = np.maximum(chunk.lengths[rows] - sum(flanks), 0)
            width = int(lengths.max())
            tokens = lay_out(chunk.take(rows), Layout(flanks="trim"), width, flanks)
            yield rows + part.start, Sequences(tokens, lengths)


def _compare(
    queries: Sequences,
    query: Integers,
    train: Sequences,
    row: Integers,
    shift: Integers,
    within: int,
) -> Integers:
    """Return the number of bases of each query that do not match the training row, ``(pairs,)``."""
    width = queries.tokens.shape[1]
    letters = np.where(train.tokens == N, MASK, train.tokens)  # so that N never equals N
    windows = sliding_window_view(_padded(letters, within, within + width), width, axis=1)
    equal = windows[row, shift + within] == queries.tokens[query]  # (pairs, L)
    return queries.lengths[query] - np.count_nonzero(equal, axis=1)


def _padded(tokens: Tokens, left: int, right: int) -> Tokens:
    """Return rows padded on both sides with tokens that match nothing."""
    return np.pad(tokens, ((0, 0), (left, right)), constant_values=MASK)


def _codes(tokens: Tokens, k: int) -> NDArray[np.uint32]:
    """Return every window of k bases as a number, two bits per base; wrong for windows with N."""
    windows = max(len(tokens) - k + 1, 0)
    letters = (tokens & 3).astype(np.uint32)
    codes = np.zeros(windows, dtype=np.uint32)
    for i in range(k):
        codes <<= 2
        codes |= letters[i : i + windows]
    return codes
