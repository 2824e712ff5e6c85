"""What the command line does about signals: the library takes none."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from bench.training.signals import Stop


class SignalStop(Stop):
    """Notes SIGTERM, SIGINT and SIGHUP for the length of a block instead of obeying at once.

    A second Ctrl-C is obeyed at once. Outside the main thread nothing is noted: Python delivers
    signals there only.
    """

    def __enter__(self) -> Stop:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        # One object serves all runs of a command: what ended one run is not asked of the next.
        self.asked = 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = self.asked or number


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM, a cluster's Ctrl-C, as Ctrl-C for the length of a block."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
