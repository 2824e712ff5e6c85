"""Files and folders that appear complete or not at all.

The content is written under a temporary name in the same folder and renamed at the end. A reader
sees the old content or the new content, never a part of it. File modes follow the umask.
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
    """Open a new file for bytes, which replaces ``path`` if the block succeeds.

    Args:
        path: Path of the file; its folder exists.
        durable: True to wait until the bytes are on the disk before the file is renamed.
        keep_mode: True to give the new file the mode of the file that it replaces.

    Raises:
        OSError: The file cannot be written; ``path`` is unchanged.
    """
    fresh = _name_beside(path)
    try:
        with _named_in_errors(path):
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
def whole_folder(folder: Path, *, replace: bool = False, durable: bool = False) -> Iterator[Path]:
    """Yield an empty folder, which becomes ``folder`` if the block succeeds.

    Args:
        folder: Path of the folder; its parents are created.
        replace: True to replace an existing folder; otherwise an existing folder that is not empty
            is an error.
        durable: True to wait until all files are on the disk before the folder is renamed, and
            until its name is.

    Raises:
        OSError: The folder cannot be written; ``folder`` is unchanged.
    """
    with scratch_folder(folder.parent) as fresh, _named_in_errors(folder):
        yield fresh
        if durable:
            for path in [*fresh.rglob("*"), fresh]:
                _sync(path)
        _rename(fresh, folder, replace=replace)
        if durable:
            _sync(folder.parent)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder in ``parent``; the folder is removed at the end of the block.

    Raises:
        OSError: The folder cannot be created.
    """
    parent.mkdir(parents=True, exist_ok=True)
    fresh = _name_beside(parent / "making")
    fresh.mkdir()
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file; NaN becomes null."""
    write_text(path, json.dumps(finite(value), indent=1) + "\n")


def finite(value: Any) -> Any:
    """Return a JSON value with null for every float that is NaN or infinite."""
    if value is None or isinstance(value, str | int):  # most values: a check for Mapping is slow
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


@contextmanager
def _named_in_errors(path: Path) -> Iterator[None]:
    """Put a path into errors that name none, such as those of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _rename(fresh: Path, folder: Path, *, replace: bool) -> None:
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


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _name_beside(path: Path) -> Path:
    """Return a temporary name in the same folder, different for every writer of ``path``.

    The name is random: processes on several machines may share a file server, and two of them may
    have the same process number.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
