"""The one place that prints progress: standard error, for people.

A library function that takes long is handed a :class:`Console` and tells it how things go. It is
silent unless the caller gives another one, as the command line does.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


class Console:
    """Standard error, for people; results go to standard output.

    Args:
        quiet: Say nothing but warnings.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet, self._mute = quiet, False
        self.terminal = sys.stderr.isatty() and not quiet

    @classmethod
    def mute(cls) -> Console:
        """Return one that says nothing: the default, and a rank's, where rank 0 says the same."""
        console = cls(quiet=True)
        console._mute = True
        return console

    @property
    def silent(self) -> bool:
        """Whether nothing is printed, warnings included."""
        return self._mute

    def only_warnings(self) -> Console:
        """Return a quiet one, or one that says nothing where this one says nothing."""
        return self if self._mute else Console(quiet=True)

    def say(self, text: str) -> None:
        """Write a line."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str | None) -> None:
        """Write a line even when quiet; nothing for None."""
        if text and not self._mute:
            print(f"bench: {text}", file=sys.stderr, flush=True)

    def show(self, error: BaseException) -> None:
        """Write the traceback of an error even when quiet."""
        if not self._mute:
            traceback.print_exception(error)

    def bar(self, *columns: str | ProgressColumn) -> Progress:
        """Return a progress bar, for a terminal, that goes when it is done."""
        from rich.console import Console as RichConsole
        from rich.progress import Progress

        return Progress(*columns, console=RichConsole(stderr=True), transient=True)


SILENT = Console.mute()
