"""Nearest training neighbours of test rows: how much of a score could be memory.

Leakage is measured by similarity of test to training sequences, as hashFrag does (Rafi et al.,
bioRxiv 2025, doi:10.1101/2025.01.22.634321), but by substitutions instead of alignment scores.

The distance of a test row from a training row is the number of its letters that the training row
does not repeat, at the best ungapped shift, on either strand; constant flanks are cut off first::

    test      ACGTTGCA         ACGTTGCA          ACGTTGCA
    training  ACGATGCA         TTACGTTGCAGG      GTTGCA
              1: a substitution   0: contained    2: two letters have no partner

N repeats nothing, not even N, unless whole rows are equal. An insertion or deletion is no
substitution, so a row that has one in its middle is far away.

Candidates come from pigeonhole seeds: a test row is cut into b blocks of k letters, and b - 1
substitutions leave one of them whole, so every training row that near repeats a block. All
training windows of k letters are looked up in a table of all blocks, then whole rows are compared.
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
"""Substitutions searched for: five in the 80 letters of a random promoter leave 94% as they were,
while unrelated ones differ in about 60."""

_LETTERS = (10, 13)  # of a block: fewer hit by chance, and the table of 4^13 has 67 MB
_ROWS = 1 << 13  # training rows at once: their windows fit into a processor's cache
_PAIRS = 1 << 18  # compared at once: bounds the memory
_MOST_PAIRS = 1 << 25  # that one block may bring: poly-A against poly-A is quadratic
_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Neighbours:
    """The nearest training row of every test row.

    Attributes:
        distance: ``(N,)`` letters of the test row that the training row lacks; -1 where no
            training row is near enough.
        row: ``(N,)`` that training row, the first of equally near ones; -1 where there is none.
        complete: ``(N,)`` the distance up to which nothing can have been missed. Less than asked
            for where a row has too few letters for as many blocks, or blocks so frequent (poly-A)
            that they were given up; -1 where only equal sequences are sure to be found.
        within: The distance asked for.
    """

    distance: Integers
    row: Integers
    complete: Integers
    within: int

    def counts(self) -> Integers:
        """Count test rows at distance 0, 1, …: ``(within + 1,)``."""
        return np.bincount(self.distance[self.distance >= 0], minlength=self.within + 1)


def nearest(
    test: Sequences, train: Sequences, flanks: tuple[int, int], *, within: int = WITHIN
) -> Neighbours:
    """Find the nearest training row of every test row.

    Args:
        test: N sequences, flanks included.
        train: The sequences to compare them with; they may lie on disk.
        flanks: Constant letters on the left and right of every sequence.
        within: The largest distance that counts.
    """
    queries = _queries(test, flanks)
    table = _Table(queries, within)
    copies = _Copies(queries)
    best = np.full(len(queries), _NONE)  # distance and row in one number, so the smallest wins
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
        sequences: Different sequences that occur more than once.
        rows: Rows that hold one of them.
        differing: How many of these sequences have targets that differ.
        deviation: Standard deviation of targets within a sequence, pooled; NaN without repeats.
    """

    sequences: int
    rows: int
    differing: int
    deviation: float


def repeats(split: Split) -> Repeats:
    """Count exact duplicates, flanks included, told by a 64-bit hash."""
    _, of, sizes = np.unique(split.sequences.hashes(), return_inverse=True, return_counts=True)
    again = sizes[of] > 1
    _, of, sizes = np.unique(of[again], return_inverse=True, return_counts=True)
    target = split.target[again]
    lowest, highest = np.full(len(sizes), np.inf), np.full(len(sizes), -np.inf)
    np.minimum.at(lowest, of, target)
    np.maximum.at(highest, of, target)
    centred = target - (np.bincount(of, weights=target, minlength=len(sizes)) / sizes)[of]
    freedom = len(target) - len(sizes)
    deviation = float(np.sqrt(np.sum(centred**2) / freedom)) if freedom else float("nan")
    return Repeats(len(sizes), len(target), int((lowest < highest).sum()), deviation)


class _Table:
    """Blocks of the queries by their letters, and what became of them."""

    def __init__(self, queries: Sequences, within: int) -> None:
        self.queries, self.within = queries, within
        usual = int(np.median(queries.lengths)) if len(queries) else 0
        self.k = k = int(np.clip(usual // (within + 1), *_LETTERS))
        self.blocks = queries.lengths // k
        windows = sliding_window_view(_padded(queries.tokens, 0, k), k, axis=1)[:, ::k]
        query, block = np.nonzero(np.arange(windows.shape[1]) < self.blocks[:, None])
        known = (windows[query, block] < N).all(axis=1)  # an N is one of the substitutions
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
        """Yield pairs that share a block: query, training row, letters it is shifted by."""
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
        """Return the distance up to which all neighbours of a query have been looked at."""
        given_up = np.repeat(self.spent > _MOST_PAIRS, self.counts)
        lost = np.bincount(self.query[given_up], minlength=len(self.queries))
        return np.maximum(self.blocks - lost - 1, -1)

    def _hits(self, train: Sequences) -> tuple[Integers, Integers, Integers]:
        """Find windows that are a block: training row, place in it, and which block."""
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
    """Finds equal sequences whatever their length and however repetitive: by a 64-bit hash."""

    def __init__(self, queries: Sequences) -> None:
        hashes, self.of = np.unique(queries.hashes(), return_inverse=True)
        self.empty = queries.lengths == 0
        self.hashes, self.first = hashes, np.full(len(hashes), _NONE)

    def look_up(self, train: Sequences, rows: Integers) -> None:
        """Note the first of these training rows that equals a query."""
        hashes = train.hashes()
        slot = np.searchsorted(self.hashes, hashes)
        equal = np.searchsorted(self.hashes, hashes, side="right") > slot
        np.minimum.at(self.first, slot[equal], rows[equal])

    def rows(self) -> Integers:
        """Return the first equal training row of each query, a large number for none."""
        return np.where(self.empty, _NONE, self.first[self.of])


def _queries(test: Sequences, flanks: tuple[int, int]) -> Sequences:
    """Cut the flanks off and append the other strand of every row: ``(2 N, L)``."""
    lengths = np.maximum(test.lengths - sum(flanks), 0)
    width = int(lengths.max(initial=0))
    right = lay_out(test, Layout(flanks="trim", pad="left"), width, flanks)
    left = lay_out(test, Layout(flanks="trim"), width, flanks)
    tokens = np.concatenate([left, reverse_complement(right)])
    return Sequences(tokens, np.concatenate([lengths, lengths]))


def _inserts(train: Sequences, flanks: tuple[int, int]) -> Iterator[tuple[Integers, Sequences]]:
    """Cut the flanks off and yield some rows at a time, of like length: row numbers and rows."""
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
    """Count letters of queries that training rows lack: ``(pairs,)``."""
    width = queries.tokens.shape[1]
    letters = np.where(train.tokens == N, MASK, train.tokens)  # so that N never equals N
    windows = sliding_window_view(_padded(letters, within, within + width), width, axis=1)
    equal = windows[row, shift + within] == queries.tokens[query]  # (pairs, L)
    return queries.lengths[query] - np.count_nonzero(equal, axis=1)


def _padded(tokens: Tokens, left: int, right: int) -> Tokens:
    """Write letters that equal nothing on both sides of every row."""
    return np.pad(tokens, ((0, 0), (left, right)), constant_values=MASK)


def _codes(tokens: Tokens, k: int) -> NDArray[np.uint32]:
    """Write every window of k letters as one number, two bits a letter; what N gives is wrong."""
    windows = max(len(tokens) - k + 1, 0)
    letters = (tokens & 3).astype(np.uint32)
    codes = np.zeros(windows, dtype=np.uint32)
    for i in range(k):
        codes <<= 2
        codes |= letters[i : i + windows]
    return codes
