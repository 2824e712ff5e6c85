"""Sequences from a file or a pipe, record by record, and files that appear only when complete."""

from __future__ import annotations

import codecs
import gzip
import itertools
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from bench.errors import BenchError

Record = tuple[bytes, bytes]
"""Name and sequence."""

_END = b">"  # closes the last FASTA record


@contextmanager
def open_sequences(name: str) -> Iterator[Iterable[bytes]]:
    """Open a file of sequences, or standard input for "-"; gzip is unpacked on the way.

    Raises:
        BenchError: There is no such file.
    """
    if name != "-" and not Path(name).is_file():
        raise BenchError(f"--sequences {name}: no such file.")
    with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as raw:
        file: Any = raw  # both are buffered readers, which can look ahead
        try:
            yield gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BenchError(f"--sequences {name}: cut short or damaged: {error}") from None


def records(source: Iterable[bytes]) -> Iterator[Record]:
    """Yield name and sequence of every record; the first byte tells FASTA from lines."""
    lines = (line.rstrip(b"\r\n") for line in source)
    first = next(lines, None)
    if first is None:
        return
    first = first.removeprefix(codecs.BOM_UTF8)
    if first.startswith(b">"):
        yield from _fasta(first, lines)
        return
    for line in itertools.chain([first], lines):
        sequence = line.partition(b"\t")[0]
        yield sequence, sequence


def _fasta(first: bytes, lines: Iterator[bytes]) -> Iterator[Record]:
    name, parts = first[1:], list[bytes]()
    for line in itertools.chain(lines, [_END]):
        if line.startswith(b">"):
            yield (name.split() or [b""])[0], b"".join(parts)
            name, parts = line[1:], []
        else:
            parts.append(line.strip())


def chunks(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    """Gather records, ``size`` at a time."""
    while chunk := list(itertools.islice(records, size)):
        yield chunk


@contextmanager
def open_whole(out: Path | None) -> Iterator[IO[bytes]]:
    """Open a file that appears only once it is complete, or standard output."""
    if out is None:
        yield sys.stdout.buffer
        return
    fresh = out.with_name(f".{out.name}.new")
    try:
        file = fresh.open("wb")
    except OSError as error:
        raise BenchError(f"--out {out}: {error.strerror}.") from None
    try:
        with file:
            yield file
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)
