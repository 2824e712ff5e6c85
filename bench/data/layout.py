"""Layout of input sequences: trimming, padding, cropping and the reverse complement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.data.sequences import LETTERS, N, Sequences, Tokens, encode
from bench.errors import BenchError


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Layout of a model's input sequences.

    With ``length=10``, ``pad="both"`` the insert ACGTA becomes NNACGTANNN; with
    ``context_left="GGTT"`` as well, NGGTTACGTA.
    """

    flanks: Literal["keep", "trim", "trim_left"] = "keep"
    """Whether to keep the bases that are the same in every sequence of a task.

    "trim_left" cuts those on the left only.
    """
    context_left: str = ""
    """Bases put before every sequence after trimming, such as the plasmid's."""
    context_right: str = ""
    """Bases put after every sequence after trimming."""
    length: int | None = None
    """Positions per strand; None for the task's usual length, trimmed and with its context."""
    pad: Literal["left", "right", "both"] = "right"
    """Side on which N fill a shorter sequence; for "both", an odd N goes to the right."""
    crop: Literal["left", "right", "both"] = "right"
    """Side on which bases of a longer sequence are cut off, context first."""
    drop_longer: bool = False
    """Whether training excludes longer sequences; in prediction they are always cropped."""
    reverse_complement: bool = False
    """Whether to append the reverse complement, which doubles the number of positions."""

    def __post_init__(self) -> None:
        for context in (self.context_left, self.context_right):
            if odd := sorted(set(context.upper()) - set(LETTERS)):
                raise BenchError(f"a layout's context is of the letters {LETTERS}; got {odd[0]!r}.")

    def cut(self, flanks: tuple[int, int]) -> tuple[int, int]:
        """Return the numbers of bases that are cut off on the left and on the right."""
        return {"keep": (0, 0), "trim": flanks, "trim_left": (flanks[0], 0)}[self.flanks]

    def strand_length(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return the number of positions per strand for a task's usual length and flanks."""
        if self.length is not None:
            return self.length
        context = len(self.context_left) + len(self.context_right)
        return usual_length - sum(self.cut(flanks)) + context

    def longest(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return the length of the longest sequence (nt, with flanks) that loses only context."""
        left, right = len(self.context_left), len(self.context_right)
        # A crop of "both" sides takes an odd base from the right.
        spare = {"left": left, "right": right, "both": min(2 * left + 1, 2 * right)}[self.crop]
        room = self.strand_length(usual_length, flanks) - left - right + spare
        return max(room, 0) + sum(self.cut(flanks))

    def positions(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return the number of input positions of a model with this layout."""
        strand = self.strand_length(usual_length, flanks)
        return strand * 2 if self.reverse_complement else strand


def lay_out(
    sequences: Sequences, layout: Layout, length: int, flanks: tuple[int, int], *, shift: int = 0
) -> Tokens:
    """Return the tokens of all sequences in a layout, ``(N, length)``.

    The reverse complement is not appended here: it is computed for each batch on the device.

    Args:
        sequences: Sequences, flanks included.
        layout: Rules for trimming, context, padding and cropping.
        length: Positions per strand, from :meth:`Layout.strand_length`.
        flanks: Number of constant bases on the left and on the right of every sequence.
        shift: Positions by which the window of ``length`` moves to the right over every sequence
            and its context; N lie beyond. Shifted by 1, NACGTN becomes ACGTNN.
    """
    left, right = layout.cut(flanks)
    before, after = (encode([c]).tokens for c in (layout.context_left, layout.context_right))
    laid_out = np.full((len(sequences), length), N, dtype=np.uint8)
    for part, chunk in sequences.chunks():
        tokens, out = chunk.tokens, laid_out[part]
        # Rows of equal length are moved together; a task has a few dozen lengths at most.
        for letters in np.unique(chunk.lengths):
            rows = np.flatnonzero(chunk.lengths == letters)
            trimmed = tokens[rows, left : max(int(letters) - right, left)]
            parts = (before, trimmed, after)  # (1 or rows, bases) each
            at = _first_column(layout, sum(bases.shape[1] for bases in parts), length) - shift
            for bases in parts:
                first, last = max(at, 0), min(at + bases.shape[1], length)
                if first < last:
                    out[rows, first:last] = bases[:, first - at : last - at]
                at += bases.shape[1]
    return laid_out


def _first_column(layout: Layout, bases: int, length: int) -> int:
    """Return the column of the first of some bases; below 0 where bases are cropped on the left."""
    if bases > length:
        surplus = bases - length
        return -{"right": 0, "both": surplus // 2, "left": surplus}[layout.crop]
    free = length - bases
    return {"right": 0, "both": free // 2, "left": free}[layout.pad]
