"""Puts a folder in another's place in one piece, and touches none that is not ours."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.atomic import whole_folder
from bench.errors import BenchError, argument

MARKER = ".bench-leaderboard"


@contextmanager
def replacing(directory: Path, files: Collection[str]) -> Iterator[Path]:
    """Give an empty folder for the length of a block, and put it in ``directory``'s place then.

    If the block fails, everything is as before.

    Args:
        directory: Where the folder is to be: nothing yet, an empty folder, or one that an earlier
            call put there.
        files: Names that such a folder holds.

    Raises:
        BenchError: Something else is there, or the folder cannot be written.
    """
    target = directory.resolve()  # what a link leads to, not the link, is replaced
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
    """Refuse what a replacement would destroy."""
    if not target.exists():
        return
    if not target.is_dir():
        raise BenchError(f"{argument('html')} {directory}: a file is called so. Name a folder.")
    there = {path.name for path in target.iterdir()}
    if not there:
        return
    if MARKER not in there:
        raise BenchError(f"{argument('html')} {directory}: holds other files. Name a new folder.")
    if strange := sorted(there - {MARKER, *files}):
        raise BenchError(
            f"{argument('html')} {directory}: holds '{strange[0]}' beside the page, and would be "
            "replaced whole. Move it, or name a new folder."
        )
