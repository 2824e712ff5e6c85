"""Lines of text files and of gzip files, read in bounded memory.

A gzip file of one megabyte may hold a gigabyte without a line end, so a line has a largest length.
"""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from bench.errors import BenchError

_BLOCK = 1 << 22  # bytes read at once
LONGEST = 1 << 26
"""Largest number of bytes in a line: 64 MiB, a quarter of the longest human chromosome."""


def open_bytes(path: Path) -> BinaryIO:
    """Open a file to read bytes; gzip is recognized by the first two bytes, as polars does."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(path)) if zipped else path.open("rb")


def lines(path: Path) -> Iterator[bytes]:
    """Yield a file's lines without their line ends; gzip is decompressed.

    Raises:
        BenchError: A line is too long.
    """
    number = 0
    with open_bytes(path) as file:
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise _too_long(path, number)
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def blocks(path: Path) -> Iterator[bytes]:
    """Yield blocks of whole lines of a file; blank lines at its end are skipped.

    Raises:
        BenchError: A line is too long, or so many blank lines follow one another.
    """
    number = 0
    with open_bytes(path) as file:
        rest = file.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
        while chunk := file.read(max(_BLOCK, len(rest))):  # twice the size: a long line is linear
            text = rest + chunk
            cut = len(text[: text.rfind(b"\n") + 1].rstrip(b"\r\n"))
            if cut:
                cut = text.index(b"\n", cut) + 1
                yield text[:cut]
                number += text.count(b"\n", 0, cut)
            rest = text[cut:]
            if len(rest) > LONGEST:
                if rest.startswith((b"\n", b"\r")):
                    raise BenchError(f"{path}, row {number + 1} is empty. Remove the line.")
                raise _too_long(path, number + 1)
    if rest.strip(b"\r\n"):
        yield rest.rstrip(b"\r\n") + b"\n"


def _too_long(path: Path, row: int) -> BenchError:
    return BenchError(f"{path}, row {row} has more than {LONGEST >> 20} MiB. Is it a table?")


def shorten(text: str, letters: int = 40) -> str:
    """Return the start of a text for a one-line message, with control characters escaped."""
    start = text[: letters + 1].encode("unicode_escape").decode()
    return start if len(start) <= letters else f"{start[: letters - 3]}..."
