"""Files of other people, read without trust in what lies at their path.

A shared folder may hold a pipe, a device or a link in the place of a file. Opening a pipe waits for
a writer that never comes, a device has no end, and a link leads to any file of the reader.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bench.errors import BenchError

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def read_plain(path: Path, most: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: Path of the file; its last part must not be a symbolic link.
        most: Largest size of the file in bytes.

    Raises:
        BenchError: The file cannot be opened, is not a regular file, or is larger.
    """
    try:
        if path.is_symlink():
            raise BenchError(f"{path} is a symbolic link, which is not followed.")
        number = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise BenchError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    try:
        return _content(number, path, most)
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}.") from None
    finally:
        os.close(number)


def _content(number: int, path: Path, most: int) -> bytes:
    """Return the content of an open file; its path may lead elsewhere meanwhile."""
    about = os.fstat(number)
    if not stat.S_ISREG(about.st_mode):
        raise BenchError(f"{path} is not a regular file.")
    if about.st_size > most:
        raise BenchError(f"{path} has {about.st_size:,} bytes, and at most {most:,} are read.")
    with os.fdopen(number, "rb", closefd=False) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise BenchError(f"{path} grew beyond {most:,} bytes while it was read.")
    return content
