"""DNA as numbers: one base encoding, and the layouts models want of it.

Tokens are A 0, C 1, G 2, T 3 and N 4, one byte a letter. A set of sequences is a matrix
``(N, L)`` of tokens, every row written from the left and filled with N, and the lengths ``(N,)``;
nothing here loops over sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LETTERS = "ACGTN"
N = 4
MASK = 5
"""Token for a hidden letter; only models that fill masks use it."""

Tokens = NDArray[np.uint8]

_CHUNK = 1 << 17  # rows
_INVALID = 255
_TOKEN_OF_BYTE = np.full(256, _INVALID, dtype=np.uint8)
for _token, _letter in enumerate(LETTERS):
    _TOKEN_OF_BYTE[[ord(_letter), ord(_letter.lower())]] = _token
TRANSLATION = _TOKEN_OF_BYTE.tobytes()
"""For :meth:`bytes.translate`: letters to tokens; what is none of ACGTN or acgtn becomes 255."""
_BYTE_OF_TOKEN = np.frombuffer(LETTERS.encode(), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Sequences:
    """Encoded sequences of unequal length; some rows of a matrix that may lie on disk.

    Attributes:
        base: ``(M, L)``, each row from the left, N after its end.
        lengths: ``(N,)`` letters in each row, at most L.
        rows: ``(N,)`` which rows of ``base`` these are; None for all of them.
        base_hashes: ``(M,)`` hash of every row of ``base``, where known.
    """

    base: Tokens
    lengths: NDArray[np.int32]
    rows: NDArray[np.int64] | None = None
    base_hashes: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> Tokens:
        """The rows themselves, ``(N, L)``: a copy in memory if they are a choice of rows."""
        return self.base if self.rows is None else self.base[self.rows]

    def take(self, rows: NDArray[np.int64] | slice) -> Sequences:
        """Return some rows, in the order given, without copying letters."""
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        chosen = rows if self.rows is None else self.rows[rows]
        return Sequences(self.base, self.lengths[rows], chosen, self.base_hashes)

    def chunks(self) -> Iterator[tuple[slice, Sequences]]:
        """Yield all rows, some 100,000 at a time: what is done to a chunk fits into memory."""
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            if self.rows is not None:
                yield part, self.take(part)
            else:
                hashes = None if self.base_hashes is None else self.base_hashes[part]
                yield part, Sequences(self.base[part], self.lengths[part], None, hashes)

    def hashes(self) -> NDArray[np.uint64]:
        """Return a hash of each row's letters, ``(N,)``: equal for equal sequences."""
        if self.base_hashes is not None:
            return self.base_hashes if self.rows is None else self.base_hashes[self.rows]
        hashes = np.empty(len(self), dtype=np.uint64)
        for part, chunk in self.chunks():
            hashes[part] = _hash_rows(chunk.tokens, chunk.lengths)
        return hashes


def _hash_rows(tokens: Tokens, lengths: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Hash rows of tokens, eight letters at a time; what follows a row's end does not count."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a model wants its input.

    With ``length=10``, ``pad="both"`` the insert ACGTA becomes NNACGTANNN.
    """

    flanks: Literal["keep", "trim"] = "keep"
    """Whether letters that are the same in every sequence of a task stay."""
    length: int | None = None
    """Positions a strand; None for the task's usual length (with or without its flanks)."""
    pad: Literal["left", "right", "both"] = "right"
    """Where N fill a shorter sequence; "both" puts an odd one on the right."""
    crop: Literal["left", "right", "both"] = "right"
    """Where letters of a longer one are cut off."""
    drop_longer: bool = False
    """Leave longer ones out of training; those to be predicted are always cropped instead."""
    reverse_complement: bool = False
    """Append the other strand, read backwards: the model sees twice the positions."""

    def strand_length(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return positions a strand for a task with this usual length and these flanks."""
        if self.length is not None:
            return self.length
        return usual_length - (sum(flanks) if self.flanks == "trim" else 0)

    def longest(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return the letters, flanks included, that fit without cropping."""
        cut = sum(flanks) if self.flanks == "trim" else 0
        return self.strand_length(usual_length, flanks) + cut

    def positions(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return the positions a model with this layout sees."""
        strand = self.strand_length(usual_length, flanks)
        return strand * 2 if self.reverse_complement else strand


def encode_letters(letters: Tokens) -> Tokens:
    """Turn ASCII letters into tokens; 255 stands where a letter is none of ACGTN or acgtn."""
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
        width: Letters kept of each; all by default. Lengths are those of the whole texts.

    Returns:
        The sequences, and of each whether all letters kept are of ACGTN, ``(N,)``.
    """
    lengths = np.fromiter(map(len, texts), dtype=np.int32, count=len(texts))
    width = int(lengths.max(initial=0)) if width is None else width
    # A fixed-width array cuts and pads in C; what it pads with (0) is no letter, so N goes there.
    cell = max(width, 1)
    letters = np.array(texts, dtype=f"S{cell}").view(np.uint8).reshape(len(texts), cell)
    tokens = encode_letters(letters)
    beyond = np.arange(cell) >= lengths[:, None]
    tokens[beyond] = N
    good = (tokens != _INVALID).all(axis=1)
    return Sequences(tokens[:, :width], lengths), good


def decode(tokens: Tokens) -> list[str]:
    """Spell rows of tokens as text, N included."""
    letters = _BYTE_OF_TOKEN[tokens]
    return [row.tobytes().decode() for row in letters]


def reverse_complement(tokens: Tokens) -> Tokens:
    """Read the other strand: ``(..., L)`` tokens, AACGN becomes NCGTT."""
    return np.take(np.array([3, 2, 1, 0, 4, 5], dtype=np.uint8), tokens)[..., ::-1]


def lay_out(sequences: Sequences, layout: Layout, length: int, flanks: tuple[int, int]) -> Tokens:
    """Write every sequence into ``length`` positions as a layout asks: ``(N, length)``.

    The reverse complement is not appended here: it is made from a batch on the device.

    Args:
        sequences: Base encoding, flanks included.
        layout: What is trimmed, padded and cropped, and where.
        length: Positions a strand, from :meth:`Layout.strand_length`.
        flanks: Constant letters on the left and right of every sequence.
    """
    left, right = flanks if layout.flanks == "trim" else (0, 0)
    laid_out = np.full((len(sequences), length), N, dtype=np.uint8)
    for part, chunk in sequences.chunks():
        tokens, out = chunk.tokens, laid_out[part]
        # Rows of one length move alike, and a task has a few dozen lengths at most.
        for letters in np.unique(chunk.lengths):
            rows = np.flatnonzero(chunk.lengths == letters)
            start, stop = left, max(int(letters) - right, left)
            surplus = max(stop - start - length, 0)
            start += {"right": 0, "both": surplus // 2, "left": surplus}[layout.crop]
            stop = min(start + length, stop)
            free = length - (stop - start)
            at = {"right": 0, "both": free // 2, "left": free}[layout.pad]
            out[rows, at : at + stop - start] = tokens[rows, start:stop]
    return laid_out
