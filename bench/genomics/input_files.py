"""Files of a data set: names, opening, hashes, and the output folder."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from bench.atomic import whole_folder
from bench.errors import BenchError, argument, first_line

WINDOWS, MANIFEST, MARK = "windows.parquet", "manifest.json", "simulated.json"
_GZIP = b"\x1f\x8b"


def check_file(path: Path) -> None:
    """Refuse a missing or empty file."""
    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    if not path.stat().st_size:
        raise BenchError(f"{path} is empty.")


@contextmanager
def open_packed(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; gzip is decompressed.

    Raises:
        BenchError: The file is missing or cut short; the second is noticed while it is read.
    """
    check_file(path)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            yield cast("BinaryIO", file)
    except (EOFError, zlib.error, OSError) as error:
        raise BenchError(f"{path}: {first_line(error)}. Fetch it again.") from None


def identify(path: Path) -> dict[str, Any]:
    """Return a file's name, size and SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return {"name": path.name, "size": file.tell(), "sha256": digest.hexdigest()}


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder for output, which becomes ``out`` if the block succeeds."""
    if out.exists():
        raise BenchError(f"{out} exists. Name a new folder by {argument('out')}.")
    try:
        with whole_folder(out) as fresh:
            yield fresh
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise BenchError(f"cannot write {out}: {reason}.") from None
