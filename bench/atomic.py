"""Folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside one that is to be, to be renamed to it; what is left is removed.

    Raises:
        BenchError: Nothing can be written there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
        fresh.chmod(0o755)  # mkdtemp's are private
    except OSError as error:
        raise BenchError(f"cannot write to {folder.parent}: {error.strerror}.") from None
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
