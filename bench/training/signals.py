"""Ends a training between two updates when the terminal or the cluster asks for it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Stop:
    """Notes SIGTERM, SIGINT and SIGHUP for the length of a block instead of obeying at once.

    A second Ctrl-C is obeyed at once. Outside the main thread nothing is noted: Python delivers
    signals there only.

    Attributes:
        asked: The signal's number; 0 while nobody asked.
    """

    def __init__(self) -> None:
        self.asked = 0

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

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = self.asked or number
