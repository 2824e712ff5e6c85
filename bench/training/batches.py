"""Rows as batches on the device, in an order that only the seed decides.

Where the rows fit, they are laid out once and kept on the device, and a batch is one gather. Where
they do not, they stay where they are, mostly in files mapped from disk, and a thread lays out the
next batches while the device works. Batches are the same either way.
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
_AHEAD = 4  # batches made before they are asked for


class Batches:
    """Tokens ``(N, positions)``, targets ``(N,)`` and further inputs, batch by batch.

    Args:
        sequences: The rows.
        target: ``(N,)`` float32, standardized where the recipe says so.
        lay_out: Writes some rows into one strand's positions.
        reverse_complement: Append the other strand to every batch.
        device: Where batches are made.
        resident: Whether all rows are kept on the device.
        columns: Further inputs by name, ``(N, ...)`` each, of types that torch has.
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
        """Yield all rows, first to last, ``size`` at a time, or only every so many batches."""
        starts = range(first * size, len(self), every * size)
        return self._made(slice(start, start + size) for start in starts)

    def shuffled(
        self, size: int, seed: int, *, start: int = 0, cut: int = 1, mine: range = range(1)
    ) -> Iterator[Batch]:
        """Yield batches for ever, pass after pass; rows that fill no batch wait for the next pass.

        Args:
            size: Rows a batch, at most as many as there are.
            seed: Decides the order.
            start: Batches to leave out at the beginning.
            cut: Equal parts of every batch; ``size`` is a multiple of it.
            mine: Which of those parts to yield, one by one.
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
        """Shuffle the rows for pass ``number``: a function of seed and pass alone.

        NumPy draws it on the host, so it is the same on every device and for any number of them.
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
        """Send an array to the device; nobody waits for it to arrive."""
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
    """Yield the same items, made by a thread that is up to ``ahead`` of them ahead.

    An exception in the making is raised where the item is asked for. The thread ends with the
    items, or when nobody asks any more.
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
        except BaseException as error:  # whoever asks for the item is to see it
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
        thread.join()  # torch must not be at work when the interpreter ends
