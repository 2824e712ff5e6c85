"""Standard streams that the caller has closed, that are full, or that lack letters."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from bench.errors import BenchError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_CLOSED_PIPE = 141  # exit status of a program that SIGPIPE ends: 128 + 13


class OutputError(BenchError):
    """The results cannot be written to standard output."""


class ReaderGoneError(OutputError):
    """The reader of standard output has closed the pipe, as `head` does; nobody wants a message."""

    exit_status = _CLOSED_PIPE


def prepare_streams() -> None:
    """Make the standard streams of this process safe to use, whatever the caller handed over.

    * A closed stream stays without use, but its descriptor is occupied. The next file would get the
      number otherwise, and messages of libraries in C would be written into that file.
    * Letters that the encoding of a stream lacks are written as their numbers.
    * An error of standard output is an :class:`OutputError`, which names it.
    * Lines that standard error does not take are lost: a full disk or a terminal that is gone must
      not end a training.
    """
    # Reading from a write-only descriptor fails, and so does writing to a read-only one.
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        _occupy(number, flags)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is sys.__stdout__:  # not where a test or a notebook has put its own
        sys.stdout = _text(_Output(1, "wb", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Progress(2, "wb", closefd=False), sys.stderr)


def _occupy(number: int, flags: int) -> None:
    """Open the null device under the number of a descriptor, if that is closed."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, flags)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)  # as standard streams are


def _text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    """Return a stream of text with the encoding of the one that it replaces."""
    lines = isinstance(before, io.TextIOWrapper) and (before.line_buffering or before.write_through)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=lines,
    )


class _Output(io.FileIO):
    """Standard output."""

    _failed = False

    def write(self, data: Buffer, /) -> int:
        """Write bytes; after an error they are thrown away: the interpreter tries again at its end.

        Raises:
            OutputError: They cannot be written.
        """
        if self._failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._failed = True
            kind = ReaderGoneError if isinstance(error, BrokenPipeError) else OutputError
            raise kind(f"standard output: {error.strerror}") from None


class _Progress(io.FileIO):
    """Standard error, whose errors are ignored."""

    def write(self, data: Buffer, /) -> int:
        """Write bytes; those that cannot be written are lost."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes
