"""Cache of raw tables of sequences and numbers, encoded once and then memory-mapped.

The cache key of a table consists of the file's path and a stamp of its state (size, times, inode).
If the stamp is unchanged, the arrays are memory-mapped; otherwise the file is encoded again.

Three layers keep a damaged encoding away from a training. The files are on the disk before the
folder gets its name, so that a power cut leaves all of them or none. The header names the size and
the checksums of every array, and has a checksum itself; both are compared at every opening, which
finds a failing disk, a copy cut short and a write by another program. The file that was checked is
the one that is mapped, so that a folder that is replaced in between does no harm.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.atomic import whole_folder
from bench.console import SILENT, Console
from bench.data.sequences import N, Sequences
from bench.data.tables import pair_blocks
from bench.errors import BenchError
from bench.paths import cache_dir
from bench.sources.block_checksums import block_checksums

_VERSION = 2  # raised when the files change their meaning
_META = "meta.json"
_ARRAYS = {"lengths": np.int32, "numbers": np.float64, "hashes": np.uint64}


class _DamagedError(Exception):
    """A file of an encoding is missing or has changed; the text names the file."""


@dataclass(frozen=True, slots=True)
class Table:
    """An encoded file of sequences and numbers.

    Attributes:
        sequences: N encoded sequences, memory-mapped.
        numbers: Numbers ``(N,)`` float64.
        repeats: Number of rows whose sequence occurs in an earlier row.
    """

    sequences: Sequences
    numbers: NDArray[np.float64]
    repeats: int


def open_table(path: Path, console: Console = SILENT) -> Table:
    """Open the encoding of a raw table; encode the table first if needed.

    Several processes may call this at once: one encodes, the others wait. An encoding appears
    complete or not at all, so a killed process leaves no damaged encoding. An encoding that was
    damaged later is reported by one line and made again.

    Args:
        path: Path of the table.
        console: Console for the line about a damaged encoding.

    Raises:
        BenchError: The table is wrong (see :func:`bench.data.tables.pair_blocks`), or the cache
            cannot be written.
    """
    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    place = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=6).hexdigest()
    folder = cache_dir() / "encoded" / f"{path.name}-{place}"
    current = folder / _stamp(path)
    try:
        return _map(current)
    except _DamagedError as error:
        fault = f"{error}. " if os.path.lexists(current) else ""  # no fault: there is none yet
    return _encoded(path, folder, current, fault, console)


def _stamp(path: Path) -> str:
    """Return a hash of a file's state.

    The state includes the change time, which cannot be set back, so a replaced file is noticed.
    """
    stat = path.stat()
    state = (_VERSION, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    return hashlib.blake2b(repr(state).encode(), digest_size=6).hexdigest()


def _encoded(path: Path, folder: Path, current: Path, fault: str, console: Console) -> Table:
    """Encode a table, unless another process was faster, and open the encoding."""
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            with suppress(_DamagedError):
                return _map(current)  # another process was faster
            for old in folder.iterdir():  # encodings of earlier states, or left by a killed process
                if old.name != ".lock":  # a process that has mapped the arrays keeps them
                    _remove(old)
            with whole_folder(current, durable=True) as fresh:
                _write(path, fresh)
                if _stamp(path) != current.name:
                    raise BenchError(f"{path} has changed while it was read. Try again.")
            _remove_orphans(folder.parent)
            table = _map(current)
    except _DamagedError as error:
        raise BenchError(f"{error}, as soon as it was written: the disk fails.") from None
    except OSError as error:
        cannot = f"{fault}Cannot" if fault else "cannot"
        raise BenchError(
            f"{cannot} write the encoding of {path} to {folder}: {error.strerror or error}. "
            "Name another folder by BENCH_CACHE."
        ) from None
    console.warn(f"{fault}{path} was encoded again." if fault else None)
    return table


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _remove_orphans(encodings: Path) -> None:
    """Remove the encodings of deleted files, and those of earlier versions of this module.

    A header that cannot be read is left alone: the next opening of its table names it.
    """
    for meta in encodings.glob(f"*/*/{_META}"):
        try:
            found = json.loads(meta.read_bytes())
            path = found["encoding"]["path"]
        except (OSError, ValueError, RecursionError):
            continue
        except (KeyError, TypeError):
            path = None
        if not isinstance(path, str) or _is_gone(path):
            shutil.rmtree(meta.parents[1], ignore_errors=True)


def _is_gone(path: str) -> bool:
    """Return whether there is no such file; a file out of reach may still be there."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _write(path: Path, folder: Path) -> None:
    """Encode a table block by block, so that memory does not grow with the file."""
    files = {name: (folder / name).open("wb") for name in _ARRAYS}
    rows, width = 0, 0
    tokens = (folder / "tokens").open("w+b")
    try:
        for block, numbers in pair_blocks(path):
            if block.base.shape[1] > width:
                width = _widen(tokens, rows, width, -(-block.base.shape[1] // 8) * 8)
            padded = np.full((len(block), width), N, dtype=np.uint8)
            padded[:, : block.base.shape[1]] = block.base
            files["lengths"].write(block.lengths.data)
            files["numbers"].write(numbers.data)
            files["hashes"].write(block.hashes().data)
            tokens.write(padded.data)
            rows += len(block)
    finally:
        for file in [tokens, *files.values()]:
            file.close()
    hashes = np.sort(np.fromfile(folder / "hashes", dtype=np.uint64))
    repeats = int((hashes[1:] == hashes[:-1]).sum())  # wrong in one of a million data sets
    longest = int(np.fromfile(folder / "lengths", dtype=np.int32).max())
    encoding = {
        "path": str(path.resolve()),
        "rows": rows,
        "width": width,
        "longest": longest,
        "repeats": repeats,
        "files": {name: _facts(folder / name) for name in ("tokens", *_ARRAYS)},
    }
    header = {"crc32": _header_checksum(encoding), "encoding": encoding}
    (folder / _META).write_text(json.dumps(header))


def _facts(path: Path) -> dict[str, Any]:
    """Return the size and the checksums of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "crc32": block_checksums(file)}


def _header_checksum(encoding: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(encoding, sort_keys=True).encode())


def _widen(file: Any, rows: int, width: int, wider: int) -> int:
    """Rewrite the rows with a larger width, last block first; return the new width."""
    step = max(1, (1 << 25) // wider)
    for start in reversed(range(0, rows, step)):
        count = min(step, rows - start)
        file.seek(start * width)
        block = np.frombuffer(file.read(count * width), dtype=np.uint8).reshape(count, width)
        padded = np.full((count, wider), N, dtype=np.uint8)
        padded[:, :width] = block
        file.seek(start * wider)
        file.write(padded.data)
    file.seek(rows * wider)
    return wider


def _map(folder: Path) -> Table:
    """Check and map the arrays of an encoding.

    Raises:
        _DamagedError: There is no encoding, or one of its files is not as it was written.
    """
    encoding = _read_header(folder / _META)
    rows, files = encoding["rows"], encoding["files"]
    padded = _map_array(folder / "tokens", files, np.uint8, (rows, encoding["width"]))
    arrays: dict[str, NDArray[Any]] = {
        name: _map_array(folder / name, files, kind, (rows,)) for name, kind in _ARRAYS.items()
    }
    tokens = padded[:, : encoding["longest"]]
    sequences = Sequences(tokens, arrays["lengths"], None, arrays["hashes"])
    return Table(sequences, arrays["numbers"], encoding["repeats"])


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header = json.loads(path.read_bytes())
        encoding: dict[str, Any] = header["encoding"]
        if header["crc32"] == _header_checksum(encoding):
            return encoding
    except OSError as error:
        raise _DamagedError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise _DamagedError(f"{path}: damaged")


def _map_array(
    path: Path, files: Mapping[str, Any], kind: type[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    wanted = files[path.name]
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != wanted["bytes"]:
                found = f"{size:,} bytes instead of {wanted['bytes']:,}"
                raise _DamagedError(f"{path}: damaged, {found}")
            if block_checksums(file) != wanted["crc32"]:
                raise _DamagedError(f"{path}: damaged, its content has changed")
            return np.memmap(file, kind, "r", shape=shape)
    except OSError as error:
        raise _DamagedError(f"{path}: {error.strerror}") from None
