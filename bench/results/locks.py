"""Locks between processes, also between machines that share a file system.

The system frees a lock when its holder ends, however it ends. The file of a lock tells who holds
it. (The package filelock empties the file whenever somebody else tries the lock.)
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

_PAUSE = 0.05  # seconds between two tries


class HeldError(Exception):
    """Another process holds a lock; the text says which process, on which machine, since when."""


@contextmanager
def locked(path: Path, *, patience: float = 0.0, remove: bool = False) -> Iterator[None]:
    """Hold a lock for the duration of a block.

    Args:
        path: File of the lock; its folder exists.
        patience: Time in seconds to wait for another holder.
        remove: Whether the file is removed at the end; otherwise an empty file remains.

    Raises:
        HeldError: Another process holds the lock.
        OSError: The file cannot be written, or its file system has no locks.
    """
    number = _acquire(path, time.monotonic() + patience)
    try:
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(number, 0)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            os.pwrite(number, f"process {os.getpid()} on {socket.gethostname()}, {now}".encode(), 0)
        yield
    finally:
        with suppress(OSError):
            if remove:
                path.unlink()
            else:
                os.ftruncate(number, 0)
        os.close(number)


def _acquire(path: Path, deadline: float) -> int:
    """Return the number of an open file that is locked."""
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_open(number, path):
                return number
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(number, 200, 0).decode(errors="replace")
                os.close(number)
                raise HeldError(_shown(holder)) from None
            time.sleep(_PAUSE)
        except BaseException:
            os.close(number)
            raise
        os.close(number)


def _is_open(number: int, path: Path) -> bool:
    """Return whether an open file is still the one at a path: its last holder may remove it."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False


def _shown(holder: str) -> str:
    """Return the text of a lock's file without line ends; another program may have written it."""
    text = "".join(letter if letter.isprintable() else " " for letter in holder)
    return text.strip() or "unknown"
