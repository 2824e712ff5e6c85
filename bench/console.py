"""The only module that prints progress: lines and bars on standard error.

Library functions that take long have an argument ``console``. Its default is silent; the command
line passes a console that prints.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from bench.inert import for_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


class Console:
    """Messages on standard error; results go to standard output.

    Args:
        quiet: True to print only warnings.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet, self._mute = quiet, False
        self.terminal = _is_terminal() and not quiet

    @classmethod
    def mute(cls) -> Console:
        """Return a console that prints nothing: the default, and that of every rank but rank 0."""
        console = cls(quiet=True)
        console._mute = True
        return console

    @property
    def silent(self) -> bool:
        """Whether nothing is printed, warnings included."""
        return self._mute

    def only_warnings(self) -> Console:
        """Return a console that prints only warnings; a silent console stays silent."""
        return self if self._mute else Console(quiet=True)

    def say(self, text: str) -> None:
        """Print a line, unless the console is quiet."""
        if not self.quiet:
            _print(text)

    def warn(self, text: str | None) -> None:
        """Print a warning, even if the console is quiet; None prints nothing."""
        if text and not self._mute:
            _print(f"bench: {text}")

    def show(self, error: BaseException) -> None:
        """Print the traceback of an error, even if the console is quiet."""
        if not self._mute:
            _print("".join(traceback.format_exception(error)).rstrip())

    def bar(self, *columns: str | ProgressColumn) -> Progress:
        """Return a progress bar for a terminal, which is erased at the end."""
        from rich.console import Console as RichConsole
        from rich.progress import Progress

        return Progress(*columns, console=RichConsole(stderr=True), transient=True)


def _is_terminal() -> bool:
    # Python sets a stream to None if its descriptor is closed, as after `2>&-`.
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()


def _print(text: str) -> None:
    """Print to standard error, without escape sequences, which the text of others may hold.

    What cannot be printed is lost, for it must not end a training.
    """
    text = "\n".join(map(for_terminal, text.split("\n")))
    if sys.stderr is not None:  # print() would take None for standard output
        with suppress(OSError, ValueError):  # full, a terminal that is gone; closed
            print(text, file=sys.stderr, flush=True)


SILENT = Console.mute()
