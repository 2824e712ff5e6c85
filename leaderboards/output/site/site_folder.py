"""Atomic replacement of a site's folder, which leaves folders with other content unchanged."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.atomic import whole_folder
from bench.errors import BenchError, argument

MARKER = ".bench-leaderboard"


@contextmanager
def replacing(directory: Path, files: Collection[str]) -> Iterator[Path]:
    """Yield an empty folder, which replaces ``directory`` at the end of the block.

    If the block fails, ``directory`` stays as it was.

    Args:
        directory: Place of the new folder: a new path, an empty folder, or the folder of an earlier
            call.
        files: Names of the files that a folder of an earlier call contains.

    Raises:
        BenchError: The place holds other files, or the folder cannot be written.
    """
    target = directory.resolve()  # of a symbolic link, the target is replaced and the link kept
    _check(directory, target, files)
    try:
        with whole_folder(target, replace=True) as fresh:
            yield fresh
            (fresh / MARKER).write_text("`bench leaderboard --html` replaces this folder\n")
    except OSError as error:
        reason = error.strerror or error
        raise BenchError(
            f"{argument('html')} {directory}: {reason}. Name another folder."
        ) from None


def _check(directory: Path, target: Path, files: Collection[str]) -> None:
    """Check that a replacement destroys no other files.

    Raises:
        BenchError: The place is a file, or a folder with other files.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise BenchError(f"{argument('html')} {directory}: is a file. Name a folder.")
    there = {path.name for path in target.iterdir()}
    if not there:
        return
    if MARKER not in there:
        raise BenchError(f"{argument('html')} {directory}: holds other files. Name a new folder.")
    if strange := sorted(there - {MARKER, *files}):
        raise BenchError(
            f"{argument('html')} {directory}: also holds '{strange[0]}', which would be "
            "lost. Move it, or name a new folder."
        )
