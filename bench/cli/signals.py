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
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt for the length of a block, but not inside an import.

    Libraries in C++ abort the process if their import is interrupted. So the error is raised after
    the import; a second Ctrl-C before that ends the process at once.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _AfterImports())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _AfterImports:
    """Handler of SIGINT that comes again later if it comes inside an import."""

    def __init__(self) -> None:
        self._waiting = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt outside of imports."""
        if not _imports(frame):
            raise KeyboardInterrupt
        if self._waiting:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._waiting = True
        timer = threading.Timer(_LATER, self._again, (number,))
        timer.daemon = True
        timer.start()

    def _again(self, number: int) -> None:
        self._waiting = False
        os.kill(os.getpid(), number)


_LATER = 0.1  # seconds between two looks whether an import has ended


def _imports(frame: FrameType | None) -> bool:
    """Return whether a frame is that of an import, or was called by one."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
        frame = frame.f_back
    return False


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
