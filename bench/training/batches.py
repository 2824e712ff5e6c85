"""Batches of rows on the device, in an order that only the seed decides.

If the rows fit into the device's memory, they are laid out once and kept there, and making a batch
is one gather. Otherwise the rows stay in host memory, mostly in files mapped from disk, and a
thread lays out the next batches while the device works. The batches are the same in both cases.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.sequences import Sequences, Tokens
from bench.model import Batch

T = TypeVar("T")

_COMPLEMENT = (3, 2, 1, 0, 4, 5)
_AHEAD = 4  # batches that are made before the training loop takes them


class Batches:
    """Tokens ``(N, positions)``, targets ``(N,)`` and further inputs, batch by batch.

    Args:
        sequences: The rows.
        target: ``(N,)`` float32, standardized where the recipe says so.
        lay_out: Function that returns the tokens of some rows, padded or cropped to one strand.
        reverse_complement: Whether the other strand is appended to every row.
        device: Device that batches are put on.
        resident: Whether all rows are kept on the device.
        columns: Further inputs by name, ``(N, ...)`` each, of data types that torch has.
    """

    def __init__(
        self,
        sequences: Sequences,
        target: NDArray[np.float32],
        lay_out: Callable[[Sequences], Tokens],
        *,
        reverse_complement: bool,
        device: torch.device,
        resident: bool = True,
        columns: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._sequences, self._lay_out, self.device = sequences, lay_out, device
        self.target = torch.from_numpy(target).to(device)
        self._complement = None
        if reverse_complement:
            self._complement = torch.tensor(_COMPLEMENT, dtype=torch.uint8, device=device)
        self._columns = dict(columns or {})
        self._tokens = torch.from_numpy(lay_out(sequences)).to(device) if resident else None
        self._resident_columns = {
            name: torch.from_numpy(np.array(values)).to(device)
            for name, values in self._columns.items()
            if resident
        }

    def __len__(self) -> int:
        return len(self._sequences)

    def in_order(self, size: int, *, first: int = 0, every: int = 1) -> Iterator[Batch]:
        """Yield all rows in order, ``size`` rows a batch.

        Args:
            size: Rows a batch; the last batch may have fewer.
            first: Number of the first batch to yield.
            every: Step from one yielded batch to the next; the batches between are skipped.
        """
        starts = range(first * size, len(self), every * size)
        return self._made(slice(start, start + size) for start in starts)

    def shuffled(
        self, size: int, seed: int, *, start: int = 0, cut: int = 1, mine: range = range(1)
    ) -> Iterator[Batch]:
        """Yield shuffled batches without end, one pass over the rows after another.

        Rows that do not fill a batch at the end of a pass are skipped in that pass.

        Args:
            size: Rows a batch, at most the number of rows.
            seed: Seed of the order.
            start: Number of batches to skip at the beginning.
            cut: Number of equal micro-batches in a batch; ``size`` is a multiple of it.
            mine: Numbers of the micro-batches to yield, one by one.
        """
        a_pass, part = len(self) // size, size // cut
        return self._made(
            order[place + number * part : place + (number + 1) * part]
            for count in itertools.count(start // a_pass)
            for order in (self.order(seed, count),)
            for place in range(max(start - count * a_pass, 0) * size, a_pass * size, size)
            for number in mine
        )

    def order(self, seed: int, number: int) -> Tensor:
        """Return the order of the rows in pass ``number``, which depends on seed and pass only.

        NumPy draws the order on the host, so it is the same on every device and for any number of
        devices.
        """
        order = torch.from_numpy(np.random.default_rng((seed, number)).permutation(len(self)))
        return order if self._tokens is None else order.to(self.device)

    def _made(self, choices: Iterator[Tensor] | Iterator[slice]) -> Iterator[Batch]:
        made = (self._take(rows) for rows in choices)
        return made if self._tokens is not None else prefetched(made, _AHEAD)

    def _take(self, rows: Tensor | slice) -> Batch:
        if self._tokens is not None:
            columns = {name: values[rows] for name, values in self._resident_columns.items()}
            return Batch(self._both_strands(self._tokens[rows]), self.target[rows], columns)
        chosen = rows if isinstance(rows, slice) else rows.numpy()
        tokens = self._sent(self._lay_out(self._sequences.take(chosen)))
        columns = {name: self._sent(np.array(v[chosen])) for name, v in self._columns.items()}
        if not isinstance(rows, slice):
            rows = rows.to(self.device)
        return Batch(self._both_strands(tokens), self.target[rows], columns)

    def _sent(self, array: NDArray[Any]) -> Tensor:
        """Send an array to the device, without waiting for the copy to end."""
        tensor = torch.from_numpy(array)
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _both_strands(self, tokens: Tensor) -> Tensor:
        if self._complement is None:
            return tokens
        other = self._complement[tokens.long()].flip(1)
        return torch.cat([tokens, other], dim=1)


def prefetched(items: Iterator[T], ahead: int) -> Iterator[T]:
    """Yield the same items; a thread makes up to ``ahead`` of them in advance.

    An exception in the thread is raised when the consumer takes the next item. The thread ends
    after the last item, or when the consumer closes the iterator.
    """
    made: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(ahead)
    closed = threading.Event()

    def put(entry: tuple[bool, T | BaseException | None]) -> None:
        while not closed.is_set():
            try:
                made.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put((True, item))
                if closed.is_set():
                    return
            put((False, None))
        except BaseException as error:  # it is raised again in the consumer's thread
            put((False, error))

    thread = threading.Thread(target=make, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            more, item = made.get()
            if more:
                yield item  # type: ignore[misc]
            elif item is None:
                return
            else:
                raise item  # type: ignore[misc]
    finally:
        closed.set()
        thread.join()  # no thread may be inside torch when the interpreter ends
