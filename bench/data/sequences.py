"""Encoding of DNA sequences as numbers, in memory and on disk.

Tokens are A 0, C 1, G 2, T 3 and N 4, one byte per base. A set of sequences is a matrix ``(N, L)``
of tokens, with every row starting at the left and filled with N, and the lengths ``(N,)``. The
functions work on whole arrays and have no loops over sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LETTERS = "ACGTN"
N = 4
MASK = 5
"""Token of a masked base; only models that train on masked bases use it."""

Tokens = NDArray[np.uint8]

_CHUNK = 1 << 17  # rows
_INVALID = 255
_TOKEN_OF_BYTE = np.full(256, _INVALID, dtype=np.uint8)
for _token, _letter in enumerate(LETTERS):
    _TOKEN_OF_BYTE[[ord(_letter), ord(_letter.lower())]] = _token
TRANSLATION = _TOKEN_OF_BYTE.tobytes()
"""Table for :meth:`bytes.translate`: letters to tokens; letters outside ACGTN, acgtn become 255."""
_BYTE_OF_TOKEN = np.frombuffer(LETTERS.encode(), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Sequences:
    """Encoded sequences of unequal length: rows of a matrix that may be on disk.

    Attributes:
        base: Tokens ``(M, L)``, each row starting at the left, with N after its end.
        lengths: Lengths of the rows ``(N,)`` (nt), at most L.
        rows: Row numbers in ``base`` ``(N,)``; None for all rows.
        base_hashes: Hashes of the rows of ``base`` ``(M,)``; None if not computed yet.
    """

    base: Tokens
    lengths: NDArray[np.int32]
    rows: NDArray[np.int64] | None = None
    base_hashes: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> Tokens:
        """Tokens of the rows, ``(N, L)``; a copy if they are a selection of ``base``."""
        return self.base if self.rows is None else self.base[self.rows]

    def take(self, rows: NDArray[np.int64] | slice) -> Sequences:
        """Return some rows, in the order given, without a copy of the tokens."""
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        chosen = rows if self.rows is None else self.rows[rows]
        return Sequences(self.base, self.lengths[rows], chosen, self.base_hashes)

    def chunks(self) -> Iterator[tuple[slice, Sequences]]:
        """Yield all rows in chunks of about 100,000 rows, which limit the memory of callers."""
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            if self.rows is not None:
                yield part, self.take(part)
            else:
                hashes = None if self.base_hashes is None else self.base_hashes[part]
                yield part, Sequences(self.base[part], self.lengths[part], None, hashes)

    def hashes(self) -> NDArray[np.uint64]:
        """Return a hash of each sequence, ``(N,)``; equal sequences have equal hashes."""
        if self.base_hashes is not None:
            return self.base_hashes if self.rows is None else self.base_hashes[self.rows]
        hashes = np.empty(len(self), dtype=np.uint64)
        for part, chunk in self.chunks():
            hashes[part] = _hash_rows(chunk.tokens, chunk.lengths)
        return hashes


def _hash_rows(tokens: Tokens, lengths: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Return hashes of rows of tokens, eight at a time; tokens after a row's end do not count."""
    words = -(-tokens.shape[1] // 8)
    padded = np.full((len(tokens), words * 8), N, dtype=np.uint8)
    padded[:, : tokens.shape[1]] = tokens
    total = _mix(lengths.astype(np.uint64))
    for place, word in enumerate(padded.view(np.uint64).T):
        mixed = _mix(word + np.uint64((place + 1) * 0x9E3779B97F4A7C15 % 2**64))
        mixed[lengths <= place * 8] = 0
        total += mixed
    return total


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers: the finalizer of SplitMix64 (Steele et al., 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def encode_letters(letters: Tokens) -> Tokens:
    """Return the tokens of ASCII letters; letters outside ACGTN and acgtn become 255."""
    return np.take(_TOKEN_OF_BYTE, letters)


def encode(texts: list[str]) -> Sequences:
    """Encode a short list of sequences, such as those in a test or a prompt.

    Raises:
        ValueError: A letter outside ACGTN.
    """
    sequences, good = encode_lines([text.encode() for text in texts])
    if not good.all():
        raise ValueError(f"a letter outside {LETTERS} in {texts}")
    return sequences


def encode_lines(
    texts: list[bytes], width: int | None = None
) -> tuple[Sequences, NDArray[np.bool_]]:
    """Encode sequences given as bytes, such as the lines of a file.

    Args:
        texts: N sequences, upper or lower case.
        width: Number of letters to keep of each sequence; all by default. The returned lengths are
            those of the whole texts.

    Returns:
        Sequences, and for each sequence whether all kept letters are valid, ``(N,)``.
    """
    lengths = np.fromiter(map(len, texts), dtype=np.int32, count=len(texts))
    width = int(lengths.max(initial=0)) if width is None else width
    # A fixed-width array cuts and pads in C. It pads with 0, which is replaced by N below.
    cell = max(width, 1)
    letters = np.array(texts, dtype=f"S{cell}").view(np.uint8).reshape(len(texts), cell)
    tokens = encode_letters(letters)
    beyond = np.arange(cell) >= lengths[:, None]
    tokens[beyond] = N
    good = (tokens != _INVALID).all(axis=1)
    return Sequences(tokens[:, :width], lengths), good


def decode(tokens: Tokens) -> list[str]:
    """Return rows of tokens as text, N included."""
    letters = _BYTE_OF_TOKEN[tokens]
    return [row.tobytes().decode() for row in letters]


def reverse_complement(tokens: Tokens) -> Tokens:
    """Return the reverse complement of tokens ``(..., L)``: AACGN becomes NCGTT."""
    return np.take(np.array([3, 2, 1, 0, 4, 5], dtype=np.uint8), tokens)[..., ::-1]
