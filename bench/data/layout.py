"""Layout of input sequences: trimming, padding, cropping and the reverse complement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.data.sequences import N, Sequences, Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Layout of a model's input sequences.

    With ``length=10``, ``pad="both"`` the insert ACGTA becomes NNACGTANNN.
    """

    flanks: Literal["keep", "trim", "trim_left"] = "keep"
    """Whether to keep the bases that are the same in every sequence of a task."""
    context_left: str = ""
    """Bases put before every sequence after trimming, such as the plasmid's."""
    context_right: str = ""
    """Bases put after every sequence after trimming."""
    length: int | None = None
    """Positions per strand; None for the task's usual length (with or without its flanks)."""
    pad: Literal["left", "right", "both"] = "right"
    """Side on which N fill a shorter sequence; for "both", an odd N goes to the right."""
    crop: Literal["left", "right", "both"] = "right"
    """Side on which bases of a longer sequence are cut off."""
    drop_longer: bool = False
    """Whether training excludes longer sequences; in prediction they are always cropped."""
    reverse_complement: bool = False
    """Whether to append the reverse complement, which doubles the number of positions."""

    def strand_length(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return the number of positions per strand for a task's usual length and flanks."""
        if self.length is not None:
            return self.length
        return usual_length - (sum(flanks) if self.flanks == "trim" else 0)

    def longest(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return the length of the longest sequence (nt, with flanks) that is not cropped."""
        cut = sum(flanks) if self.flanks == "trim" else 0
        return self.strand_length(usual_length, flanks) + cut

    def positions(self, usual_length: int, flanks: tuple[int, int]) -> int:
        """Return the number of input positions of a model with this layout."""
        strand = self.strand_length(usual_length, flanks)
        return strand * 2 if self.reverse_complement else strand


def lay_out(sequences: Sequences, layout: Layout, length: int, flanks: tuple[int, int]) -> Tokens:
    """Return the tokens of all sequences in a layout, ``(N, length)``.

    The reverse complement is not appended here: it is computed for each batch on the device.

    Args:
        sequences: Sequences, flanks included.
        layout: Rules for trimming, padding and cropping.
        length: Positions per strand, from :meth:`Layout.strand_length`.
        flanks: Number of constant bases on the left and on the right of every sequence.
    """
    left, right = flanks if layout.flanks == "trim" else (0, 0)
    laid_out = np.full((len(sequences), length), N, dtype=np.uint8)
    for part, chunk in sequences.chunks():
        tokens, out = chunk.tokens, laid_out[part]
        # Rows of equal length are moved together; a task has a few dozen lengths at most.
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
