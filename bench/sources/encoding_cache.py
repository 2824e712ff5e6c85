"""Cache of raw tables of sequences and numbers, encoded once and then memory-mapped.

The cache key of a table consists of the file's path and a stamp of its state (size, times, inode).
If the stamp is unchanged, the arrays are memory-mapped; otherwise the file is encoded again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.atomic import whole_folder
from bench.data.sequences import N, Sequences
from bench.data.tables import pair_blocks
from bench.errors import BenchError
from bench.paths import cache_dir

_VERSION = 1  # raised when the arrays change their meaning
_META = "meta.json"
_ARRAYS = {"lengths": np.int32, "numbers": np.float64, "hashes": np.uint64}


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


def open_table(path: Path) -> Table:
    """Open the encoding of a raw table; encode the table first if needed.

    Several processes may call this at once: one encodes, the others wait. An encoding appears
    complete or not at all, so a killed process leaves no damaged encoding.

    Raises:
        BenchError: The table is wrong (see :func:`bench.data.tables.pair_blocks`), or the cache
            cannot be written.
    """
    if not path.is_file():
        raise BenchError(f"{path}: no such file.")
    place = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=6).hexdigest()
    folder = cache_dir() / "encoded" / f"{path.name}-{place}"
    current = folder / _stamp(path)
    if not (current / _META).is_file():
        _encode(path, folder, current)
    return _map(current)


def _stamp(path: Path) -> str:
    """Return a hash of a file's state.

    The state includes the change time, which cannot be set back, so a replaced file is noticed.
    """
    stat = path.stat()
    state = (_VERSION, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    return hashlib.blake2b(repr(state).encode(), digest_size=6).hexdigest()


def _encode(path: Path, folder: Path, current: Path) -> None:
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if (current / _META).is_file():  # another process was faster
                return
            for old in folder.iterdir():  # encodings of earlier states, or left by a killed process
                if old.is_dir():
                    shutil.rmtree(old)
            with whole_folder(current) as fresh:
                _write(path, fresh)
                if _stamp(path) != current.name:
                    raise BenchError(f"{path} has changed while it was read. Try again.")
            _remove_orphans(folder.parent)
    except OSError as error:
        raise BenchError(
            f"cannot write the encoding of {path} to {folder}: {error.strerror}. "
            "Name another folder by BENCH_CACHE."
        ) from None


def _remove_orphans(encodings: Path) -> None:
    """Remove the encodings of deleted files, and those of earlier versions of this module."""
    for meta in encodings.glob(f"*/*/{_META}"):
        path = json.loads(meta.read_text()).get("path")
        if path is None or not Path(path).exists():
            shutil.rmtree(meta.parents[1], ignore_errors=True)


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
    meta = {
        "path": str(path.resolve()),
        "rows": rows,
        "width": width,
        "longest": longest,
        "repeats": repeats,
    }
    (folder / _META).write_text(json.dumps(meta))


def _widen(file: Any, rows: int, width: int, wider: int) -> int:
    """Rewrite the rows with a larger width, last block first; return the new width."""
    step = 1 << 17
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
    meta = json.loads((folder / _META).read_text())
    rows = meta["rows"]
    padded = np.memmap(folder / "tokens", np.uint8, "r", shape=(rows, meta["width"]))
    arrays: dict[str, NDArray[Any]] = {
        name: np.memmap(folder / name, kind, "r", shape=(rows,)) for name, kind in _ARRAYS.items()
    }
    sequences = Sequences(padded[:, : meta["longest"]], arrays["lengths"], None, arrays["hashes"])
    return Table(sequences, arrays["numbers"], meta["repeats"])
