"""Files and folders that appear complete or not at all, and files that are safe to open.

The content is written under a temporary name in the same folder and renamed at the end. A reader
sees the old content or the new content, never a part of it. File modes follow the umask. An error
names the file that could not be written: that of a full disk has no name of its own.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from bench.errors import BenchError


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
    with whole_path(path) as fresh:
        with fresh.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if keep_mode and path.exists():
            shutil.copymode(path, fresh)


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a new file, which replaces ``path`` if the block succeeds.

    Raises:
        OSError: The file cannot be written; ``path`` is unchanged.
    """
    fresh = _name_beside(path)
    try:
        with _named_in_errors(path, fresh):
            yield fresh
            fresh.replace(path)
    finally:
        with suppress(OSError):  # renamed, or in a folder that is gone
            fresh.unlink()


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
    with scratch_folder(folder.parent) as fresh, _named_in_errors(folder, fresh):
        yield fresh
        if durable:
            for path in [*fresh.rglob("*"), fresh]:
                sync(path)
        _rename(fresh, folder, replace=replace)
        if durable:
            sync(folder.parent)


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


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: The disk does not take it.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if not (path.is_dir() and error.errno == errno.EINVAL):  # file servers without this call
            raise
    finally:
        os.close(number)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading bytes; a named pipe is refused, where ``open`` would wait.

    Raises:
        OSError: The path does not exist, cannot be read, or is no regular file.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return open(number, "rb")


def read_plain(path: Path, most: int) -> bytes:
    """Return the content of a regular file of other people; a link in its place is not followed.

    Args:
        path: Path of the file.
        most: Largest size of the file in bytes.

    Raises:
        BenchError: The file cannot be opened, is not a regular file, or is larger.
    """
    try:
        if path.is_symlink():
            raise BenchError(f"{path} is a symbolic link, which is not followed.")
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            content = b"" if size > most else file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise BenchError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None
    if max(size, len(content)) > most:
        raise BenchError(f"{path} has {size:,} bytes, and at most {most:,} are read.")
    return content


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a file of UTF-8 text; see :func:`whole_file`."""
    with whole_file(path, durable=durable) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write a JSON file; NaN becomes null; see :func:`whole_file`."""
    write_text(path, json.dumps(finite(value), indent=1) + "\n", durable=durable)


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
def _named_in_errors(path: Path, fresh: Path) -> Iterator[None]:
    """Put a path into errors that name none, as of a full disk, or that name its temporary path."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(fresh)):
            error.filename, error.filename2 = str(path), None
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


def _name_beside(path: Path) -> Path:
    """Return a temporary name in the same folder, different for every writer of ``path``.

    The name is random: processes on several machines may share a file server, and two of them may
    have the same process number.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
