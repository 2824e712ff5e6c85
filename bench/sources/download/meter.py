"""Progress of a download: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from bench.sources.download import limits

if TYPE_CHECKING:
    from rich.progress import Progress

    from bench.console import Console


class Meter:
    """Progress of one file's download; a context manager that removes its bar at the end.

    Args:
        name: Name of the file.
        console: Console for the bar or the lines.
    """

    def __init__(self, name: str, console: Console) -> None:
        self._name, self._console = name, console
        self._bar: Progress | None = None
        self._start = 0
        self._total: int | None = None
        self._began = self._spoken = time.monotonic()

    def __enter__(self) -> Meter:
        if self._console.terminal:
            from rich import progress

            self._bar = self._console.bar(
                "{task.description}",
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
            )
            self._bar.add_task(self._name, total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line about the file."""
        line = f"  {self._name}: {text}"
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            self._console.say(line)

    def begin(self, start: int, total: int | None) -> None:
        """Set the first byte of a request, which the computation of the speed excludes."""
        self._start, self._total, self._began = start, total, time.monotonic()
        if self._bar is not None:
            self._bar.reset(self._bar.task_ids[0], total=total, completed=start)

    def at(self, have: int) -> None:
        """Show the number of bytes on disk."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=have)
        elif now - self._spoken >= limits.PLAIN_SECONDS:
            speed = (have - self._start) / max(now - self._began, 1e-9)
            self.say(_progress(have, self._total, speed))
            self._spoken = now


def _progress(have: int, total: int | None, speed: float) -> str:
    """Return a progress text such as ``120/805 MB, 12.3 MB/s, 0:00:56 left``."""
    of = "" if total is None else f"/{total / 1e6:,.0f}"
    left = timedelta(seconds=round((total - have) / speed)) if total and speed else "unknown time"
    return f"{have / 1e6:,.0f}{of} MB, {speed / 1e6:.1f} MB/s, {left} left"
