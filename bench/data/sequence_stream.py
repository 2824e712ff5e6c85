"""Sequences from a file or a pipe, record by record, and output files."""

from __future__ import annotations

import codecs
import gzip
import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, BinaryIO

from bench.atomic import whole_file
from bench.errors import BenchError, argument

Record = tuple[bytes, bytes]
"""Name and sequence."""

_END = b">"  # closes the last FASTA record
_LETTERS = 1 << 26  # letters in memory at once
_LONGEST = 1 << 30  # letters of a sequence; a gzip file of a few megabytes may hold more


@contextmanager
def open_sequences(name: str) -> Iterator[Iterable[bytes]]:
    """Open a file of sequences, or standard input for "-"; gzip is decompressed.

    Raises:
        BenchError: There is no such file.
    """
    if name != "-" and not Path(name).is_file():
        raise BenchError(f"{argument('sequences')} {name}: no such file.")
    with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as raw:
        file: Any = raw  # both are buffered readers, which can peek
        yield _lines(gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file)


def _lines(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    while line := file.readline(_LONGEST + 1):
        if len(line) > _LONGEST:
            raise _too_long()
        yield line


def _too_long() -> BenchError:
    return BenchError(f"{argument('sequences')}: a sequence has more than {_LONGEST:,} letters.")


def records(source: Iterable[bytes]) -> Iterator[Record]:
    """Yield the name and sequence of every record; a FASTA begins with ">"."""
    lines = (line.rstrip(b"\r\n") for line in source)
    head: list[bytes] = []
    for line in lines:
        head.append(line.removeprefix(codecs.BOM_UTF8))
        if head[-1]:
            break
    if head and head[-1].startswith(b">"):
        yield from _fasta(head[-1], lines)
        return
    for line in itertools.chain(head, lines):
        sequence = line.partition(b"\t")[0]
        yield sequence, sequence


def _fasta(first: bytes, lines: Iterator[bytes]) -> Iterator[Record]:
    name, parts, letters = first[1:], list[bytes](), 0
    for line in itertools.chain(lines, [_END]):
        if line.startswith(b">"):
            yield (name.split() or [b""])[0], b"".join(parts)
            name, parts, letters = line[1:], [], 0
        else:
            parts.append(line.strip())
            letters += len(parts[-1])
            if letters > _LONGEST:
                raise _too_long()


def chunks(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    """Yield lists of ``size`` records, or of fewer records if they are very long."""
    chunk: list[Record] = []
    letters = 0
    for record in records:
        chunk.append(record)
        letters += len(record[1])
        if len(chunk) == size or letters > _LETTERS:
            yield chunk
            chunk, letters = [], 0
    if chunk:
        yield chunk


@contextmanager
def open_whole(out: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """Open an output file that appears only when it is complete.

    A device or a pipe is written directly; an open file, such as standard output, is returned as
    it is.

    Raises:
        BenchError: The path is a folder.
    """
    if not isinstance(out, Path):
        yield out
        return
    target = out.resolve()
    if target.is_dir():
        raise BenchError(f"{argument('out')} {out} is a folder. Name a file in it.")
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    with whole_file(target, keep_mode=True) as file:
        yield file
