"""The request that ends a training between two steps."""

from __future__ import annotations

from types import TracebackType


class Stop:
    """A request to end a training; this base class never requests anything.

    The monitor reads the request about once a second. The training enters the request as a context
    manager for the time in which it can save its state. The command line uses
    :class:`bench.cli.signals.SignalStop`, which handles signals in that time.

    Attributes:
        asked: Number of the signal; 0 while there is no request.
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
