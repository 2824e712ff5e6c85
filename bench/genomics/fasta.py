"""Genomes: the sequences of a FASTA file.

A genome is kept in memory with four bases per byte: the human genome takes 0.8 GB. Unknown bases
(N, and the rare R, Y, … of hg38) are stored as intervals. No index file is needed, so the disk may
be read-only.

Legend: N windows, K runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bench.data.sequences import TRANSLATION, N, Tokens
from bench.errors import BenchError
from bench.genomics.input_files import open_packed
from bench.genomics.intervals import Integers, merged, overlapping

_BLOCK = 1 << 20  # bytes read at once; more leave the processor's cache and take twice as long
_SPACE = b"\r\n\t "
_AMBIGUOUS = b"RYSWKMBDHVryswkmbdhv"  # IUPAC: one of two or three bases, so unknown
_LETTERS = bytes(N if byte in _AMBIGUOUS else token for byte, token in enumerate(TRANSLATION))


@dataclass(frozen=True, slots=True)
class Chromosome:
    """Sequence of one chromosome.

    Attributes:
        length: Number of bases.
        packed: Tokens of two bits, four per byte, the first one in the lowest bits; 0 for unknown
            bases.
        unknown: Start and end of every run of unknown bases ``(K, 2)``, in order.
    """

    length: int
    packed: Tokens
    unknown: Integers

    def tokens(self, starts: Integers, width: int) -> Tokens:
        """Return the tokens of the windows that start at ``starts``, ``(N, width)``.

        Windows must lie within the chromosome. Unknown bases have the token of N.
        """
        inside = (starts >= 0) & (starts + width <= self.length)
        assert inside.all(), (starts[~inside], width, self.length)
        columns = np.arange((width + 3) // 4 + 1)
        cells = self.packed.take((starts[:, None] >> 2) + columns, mode="clip")
        letters = (cells[:, :, None] >> np.array([0, 2, 4, 6], dtype=np.uint8)) & np.uint8(3)
        letters = letters.reshape(len(starts), -1)
        tokens = np.empty((len(starts), width), dtype=np.uint8)
        for shift in range(4):
            rows = np.flatnonzero(starts & 3 == shift)
            tokens[rows] = letters[rows, shift : shift + width]
        self._hide(tokens, starts, width)
        return tokens

    def _hide(self, tokens: Tokens, starts: Integers, width: int) -> None:
        rows = np.flatnonzero(overlapping(starts, starts + width, self.unknown))
        if not len(rows):
            return
        positions = starts[rows, None] + np.arange(width)
        run = np.searchsorted(self.unknown[:, 0], positions, side="right") - 1
        hidden = (run >= 0) & (positions < self.unknown[run, 1])
        tokens[rows] = np.where(hidden, np.uint8(N), tokens[rows])


@dataclass(frozen=True, slots=True)
class Genome:
    """A FASTA file.

    Attributes:
        path: Path of the file.
        sizes: Length of every chromosome (bp), in the file's order.
        chromosomes: Sequences of the chromosomes to keep.
    """

    path: Path
    sizes: Mapping[str, int]
    chromosomes: Mapping[str, Chromosome]


def read_genome(path: Path, keep: Collection[str] | None = None) -> Genome:
    """Read a FASTA file, plain or gzipped (bgzip included), in one pass.

    Args:
        path: Path of the file; lower-case letters are accepted.
        keep: Chromosomes whose sequences are kept; all by default. Sizes are of all chromosomes.

    Raises:
        BenchError: The file is missing, cut short, not a FASTA, or names a chromosome twice.
    """
    sizes: dict[str, int] = {}
    kept: dict[str, Chromosome] = {}
    name, packer = "", _Packer(keep=False)

    def finish() -> None:
        sizes[name] = packer.length
        if packer.keep:
            kept[name] = packer.chromosome()

    with open_packed(path) as file:
        for new, letters in _fasta(file, path):
            if new is not None:
                if name:
                    finish()
                if new in sizes or not new:
                    what = f"'{new}' occurs twice" if new else "a '>' without a name"
                    raise BenchError(f"{path}: {what}. Rename or remove one.")
                name, packer = new, _Packer(keep=keep is None or new in keep)
            elif not packer.add(letters):
                raise BenchError(
                    f"{path}: {name} has a character that is not a DNA base. Is the file a FASTA?"
                )
    if not name:
        raise BenchError(f"{path} is empty: a FASTA begins with '>'.")
    finish()
    return Genome(path, sizes, kept)


def _fasta(file: BinaryIO, path: Path) -> Iterator[tuple[str | None, bytes]]:
    """Yield every name as ``(name, b"")``, then its letters as ``(None, letters)``, in pieces."""
    started, rest = False, b"\n"  # so that also a '>' in the first line follows a line end
    while chunk := file.read(_BLOCK):
        if b">" not in chunk and len(rest) < 2:  # true for most chunks; a search for "\n>" is slow
            first, others = chunk, []
        else:
            first, *others = (rest + chunk).split(b"\n>")
        if not started and first.strip():
            raise BenchError(f"{path} does not begin with '>', as a FASTA does.")
        if first and started:
            yield None, first
        ends_line, rest = first.endswith(b"\n"), b""
        for other in others:
            header, newline, letters = other.partition(b"\n")
            if not newline:  # the block ends within a name
                rest = b"\n>" + header
                break
            started, ends_line = True, not letters or letters.endswith(b"\n")
            yield _name(header), b""
            yield None, letters
        if not rest and ends_line:
            rest = b"\n"
    if len(rest) > 1:
        yield _name(rest[2:]), b""


def _name(header: bytes) -> str:
    return (header.split() or [b""])[0].decode(errors="replace")


class _Packer:
    """Collector of the letters of a chromosome, given piece by piece."""

    def __init__(self, *, keep: bool) -> None:
        self.keep, self.length = keep, 0
        self._packed: list[Tokens] = []
        self._runs: list[Integers] = []
        self._rest = b""  # fewer than four letters

    def add(self, letters: bytes) -> bool:
        """Add letters, spaces and line ends; return False if another character is among them."""
        tokens = letters.translate(_LETTERS, _SPACE)
        if 255 in tokens:
            return False
        if self.keep:
            if N in tokens:
                self._runs.append(_runs_of(tokens) + self.length)
            self._pack(self._rest + tokens)
        self.length += len(tokens)
        return True

    def chromosome(self) -> Chromosome:
        """Return the collected chromosome."""
        self._pack(self._rest + bytes(-len(self._rest) % 4))
        runs = np.concatenate([np.empty((0, 2), dtype=np.int64), *self._runs])
        packed = np.concatenate([*self._packed, np.zeros(1, dtype=np.uint8)])  # never empty
        return Chromosome(self.length, packed, merged(runs))

    def _pack(self, tokens: bytes) -> None:
        whole = len(tokens) // 4 * 4
        self._rest = tokens[whole:]
        # Four tokens are one little-endian number: 0x03020100 is ACGT, and its byte is 0b11100100.
        x = np.frombuffer(tokens, dtype="<u4", count=whole // 4) & np.uint32(0x03030303)
        x |= x >> np.uint32(6)
        x |= x >> np.uint32(12)
        self._packed.append(x.astype(np.uint8))


def _runs_of(tokens: bytes) -> Integers:
    """Return the start and end of every run of N, ``(K, 2)``."""
    unknown = np.zeros(len(tokens) + 2, dtype=bool)
    np.equal(np.frombuffer(tokens, dtype=np.uint8), N, out=unknown[1:-1])
    return np.flatnonzero(unknown[1:] != unknown[:-1]).reshape(-1, 2)
