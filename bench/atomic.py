"""Files and folders that appear whole or not at all.

What is written goes to a name of its own in the same folder, and gets its final name in one step
at the end: a reader sees the old content or the new, never half. Modes follow the umask.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(
    path: Path, *, durable: bool = False, keep_mode: bool = False
) -> Iterator[IO[bytes]]:
    """Open a new file for bytes, which takes the place of ``path`` if the block succeeds.

    Args:
        path: The file; its folder exists.
        durable: Wait until the bytes are on the disk before the file gets its name.
        keep_mode: Give the new file the mode of the one that it replaces.

    Raises:
        OSError: The file cannot be written; ``path`` is as it was.
    """
    fresh = _name_beside(path)
    try:
        with fresh.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if keep_mode and path.exists():
            shutil.copymode(path, fresh)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder, which becomes ``folder`` if the block succeeds.

    Args:
        folder: The folder; the folders above it are made.
        replace: Take the place of the folder that is there; without it, one that holds
            something is an error.

    Raises:
        OSError: Nothing can be written there; ``folder`` is as it was.
    """
    with scratch_folder(folder.parent) as fresh:
        yield fresh
        if not (replace and folder.exists()):
            fresh.rename(folder)
            return
        old = _name_beside(folder)
        folder.rename(old)
        try:
            fresh.rename(folder)
        except OSError:
            old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Give an empty folder in ``parent``, removed with what is left in it at the end of the block.

    Raises:
        OSError: It cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    fresh = _name_beside(parent / "making")
    fresh.mkdir()
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole file of UTF-8 text."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a whole file of JSON; NaN becomes null."""
    write_text(path, json.dumps(finite(value), indent=1) + "\n")


def finite(value: Any) -> Any:
    """Return a JSON value with null for every float that is NaN or infinite."""
    if value is None or isinstance(value, str | int):  # most are: asking for a Mapping is slow
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _name_beside(path: Path) -> Path:
    """Return a name in the same folder that no other writer of ``path`` chooses at the same time.

    Processes on several machines may write to one file server, so a process number would not do.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
