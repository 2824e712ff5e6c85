"""Signal handlers of the command line; the library itself installs none."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from bench.children import ENDS_WITH_INPUT, GRACE
from bench.training.signals import Stop


class SignalStop(Stop):
    """A request to stop that SIGTERM, SIGINT or SIGHUP makes for the length of a block.

    A second Ctrl-C interrupts at once. Outside the main thread no handler is installed, because
    Python delivers signals only to the main thread.
    """

    def __enter__(self) -> Stop:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # ignored, as under nohup
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
        # All runs of a command share this object: a request that ended one run is not for the next.
        self.asked = 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = self.asked or number


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM, which clusters send, as Ctrl-C for the length of a block."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_input() -> None:
    """End this process when its standard input ends, if its parent asked for it.

    The input is a pipe that ends with the parent, see :class:`bench.children.Children`. The end is
    asked for by SIGTERM first, so that a training saves its state.
    """
    if os.environ.pop(ENDS_WITH_INPUT, None) is not None:
        threading.Thread(target=_end_with_input, name="parent", daemon=True).start()


def _end_with_input() -> None:
    os.read(0, 1)  # nothing is ever written: this returns at the end of the input
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
