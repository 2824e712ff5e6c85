"""Ends a training between two updates when somebody asks for it from outside."""

from __future__ import annotations

from types import TracebackType


class Stop:
    """A request to end a training, looked at about once a second; this one is never made.

    The training enters it as a context for as long as it can save its state. The command line
    hands in :class:`bench.cli.signals.SignalStop`, which listens to signals in that time.

    Attributes:
        asked: The signal's number; 0 while nobody asked.
    """

    def __init__(self) -> None:
        self.asked = 0

    def __enter__(self) -> Stop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing."""


NEVER = Stop()
