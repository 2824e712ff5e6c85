"""Checksums of large files, taken block by block in a few threads.

CRC-32 finds what accidents do to a file: single bits, lost or moved blocks, zeros after a power
cut. It does not find a forgery: whoever may write the files may write their checksums, too. With
zlib it is as fast as reading the memory (4 GB/s on one core; SHA-1, SHA-256 and BLAKE2 take twice
to four times as long), so that all files are checked whenever they are opened.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

_BLOCK = 1 << 20  # bytes
_THREADS = 4  # reading and zlib release Python's lock


def block_checksums(file: BinaryIO) -> list[int]:
    """Return the CRC-32 of every block of an open file.

    The file is read rather than mapped: a block that the disk cannot read is then an error, not a
    signal that ends the process.

    Raises:
        OSError: The file cannot be read.
    """
    place = file.fileno()

    def checksum(start: int) -> int:
        return zlib.crc32(os.pread(place, _BLOCK, start))

    starts = range(0, os.fstat(place).st_size, _BLOCK)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(checksum, starts))
