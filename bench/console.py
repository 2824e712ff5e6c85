"""The one place that prints progress: standard error, for people."""

from __future__ import annotations

import sys


class Screen:
    """Standard error, for people; results go to standard output.

    Args:
        quiet: Say nothing but warnings.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet, self._mute = quiet, False
        self.terminal = sys.stderr.isatty() and not quiet

    @classmethod
    def mute(cls) -> Screen:
        """Return one that says nothing: a rank's, where rank 0 says the same."""
        screen = cls(quiet=True)
        screen._mute = True
        return screen

    @property
    def silent(self) -> bool:
        """Say whether nothing is printed, warnings included."""
        return self._mute

    def say(self, text: str) -> None:
        """Write a line."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str | None) -> None:
        """Write a line even when quiet; nothing for None."""
        if text and not self._mute:
            print(f"bench: {text}", file=sys.stderr, flush=True)
