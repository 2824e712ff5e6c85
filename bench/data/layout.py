"""The layout a model wants of sequences: how they are trimmed, padded, cropped and doubled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.data.sequences import N, Sequences, Tokens


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
