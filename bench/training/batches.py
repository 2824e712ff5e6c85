"""Batches of rows on the device, in an order that only the seed decides.

If the rows fit into the device's memory, they are laid out once and kept there, and making a batch
is one gather. Otherwise the rows stay in host memory, mostly in files mapped from disk, and a
thread lays out the next batches while the device works. The batches are the same in both cases.
Views from a shifted window are always laid out by the thread.

A row may be shown as its reverse complement: that of its laid-out tokens of one strand, before the
layout's own reverse complement is appended. Further inputs with a value for every position are not
reversed: a model that reads them turns them itself, by the column ``reverse_strand``.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.sequences import Sequences, Tokens
from bench.model import REVERSE_STRAND, Batch
from bench.training.views import PLAIN, PredictionRule, View

T = TypeVar("T")

_COMPLEMENT = (3, 2, 1, 0, 4, 5)
_AHEAD = 4  # batches that are made before the training loop takes them
_FORWARD = View()

Strands = Literal["forward", "both", "random", "paired"]
"""Strands of training rows; see :class:`bench.recipe.Recipe`."""


class Batches:
    """Tokens ``(N, positions)``, targets ``(N,)`` and further inputs, batch by batch.

    Args:
        sequences: The rows.
        target: ``(N,)`` float32, standardized where the recipe says so.
        lay_out: Function that returns the tokens of some rows, padded or cropped to one strand; for
            shifted views it is called with ``shift``.
        reverse_complement: Whether the other strand is appended to every row.
        device: Device that batches are put on.
        resident: Whether all rows are kept on the device.
        columns: Further inputs by name, ``(N, ...)`` each, of data types that torch has. A column
            ``reverse_strand`` is replaced by whether a row is shown as its reverse complement.
        rule: Rule of the predictions of these rows.

    Attributes:
        device: Device that batches are put on.
        target: Targets on the device, ``(N,)``.
        rule: Rule of the predictions of these rows.
    """

    def __init__(
        self,
        sequences: Sequences,
        target: NDArray[np.float32],
        lay_out: Callable[..., Tokens],
        *,
        reverse_complement: bool,
        device: torch.device,
        resident: bool = True,
        columns: Mapping[str, NDArray[Any]] | None = None,
        rule: PredictionRule = PLAIN,
    ) -> None:
        self._sequences, self._lay_out, self.device = sequences, lay_out, device
        self.rule = rule
        self.target = torch.from_numpy(target).to(device)
        self._doubled = reverse_complement
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

    def in_order(
        self, size: int, *, first: int = 0, every: int = 1, view: View = _FORWARD
    ) -> Iterator[Batch]:
        """Yield all rows in order, ``size`` rows a batch.

        Args:
            size: Rows a batch; the last batch may have fewer.
            first: Number of the first batch to yield.
            every: Step from one yielded batch to the next; the batches between are skipped.
            view: View of the rows.
        """
        starts = range(first * size, len(self), every * size)
        made = (
            self._take(slice(start, start + size), view.reverse, view.shift) for start in starts
        )
        return made if self._tokens is not None and not view.shift else prefetched(made, _AHEAD)

    def shuffled(
        self,
        size: int,
        seed: int,
        *,
        strands: Strands = "forward",
        start: int = 0,
        cut: int = 1,
        mine: range = range(1),
    ) -> Iterator[Batch]:
        """Yield shuffled batches without end, one pass over the rows after another.

        Rows that do not fill a batch at the end of a pass are skipped in that pass.

        Args:
            size: Rows a batch, at most the number of rows.
            seed: Seed of the order.
            strands: Strands of the rows. With "both", a pass has every row twice, forward and
                reversed, shuffled together. With "random", every pass draws for each row whether
                it is reversed. With "paired", the rows of a micro-batch come twice: all forward,
                then all reversed.
            start: Number of batches to skip at the beginning.
            cut: Number of equal micro-batches in a batch; ``size`` is a multiple of it.
            mine: Numbers of the micro-batches to yield, one by one.
        """
        rows = len(self) * 2 if strands == "both" else len(self)
        a_pass, part = rows // size, size // cut
        made = (
            self._on_strands(order[place + number * part : place + (number + 1) * part], strands)
            for count in itertools.count(start // a_pass)
            for order in (self._numbers(seed, count, strands),)
            for place in range(max(start - count * a_pass, 0) * size, a_pass * size, size)
            for number in mine
        )
        return made if self._tokens is not None else prefetched(made, _AHEAD)

    def order(self, seed: int, number: int) -> Tensor:
        """Return the order of the rows in pass ``number``, which depends on seed and pass only.

        NumPy draws the order on the host, so it is the same on every device and for any number of
        devices.
        """
        return self._near(np.random.default_rng((seed, number)).permutation(len(self)))

    def _numbers(self, seed: int, number: int, strands: Strands) -> Tensor:
        """Return the order of the rows in a pass; number N + i stands for row i reversed."""
        rows = len(self)
        if strands == "both":
            return self._near(np.random.default_rng((seed, number)).permutation(2 * rows))
        order = self.order(seed, number)
        if strands != "random":
            return order
        reverse = np.random.default_rng((seed, number, 1)).integers(0, 2, rows)
        return order + rows * self._near(reverse)

    def _on_strands(self, numbers: Tensor, strands: Strands) -> Batch:
        if strands == "forward":
            return self._take(numbers)
        rows = len(self)
        if strands == "paired":
            numbers = torch.cat([numbers, numbers + rows])
        return self._take(numbers % rows, numbers >= rows)

    def _take(self, rows: Tensor | slice, reverse: Tensor | bool = False, shift: int = 0) -> Batch:
        """Return a batch of some rows; ``reverse`` says which of them are reversed."""
        if self._tokens is not None and not shift:
            tokens = self._tokens[rows]
            columns = {name: values[rows] for name, values in self._resident_columns.items()}
        else:
            chosen = rows if isinstance(rows, slice) else rows.numpy()
            sequences = self._sequences.take(chosen)
            moved = {"shift": shift} if shift else {}
            tokens = self._sent(self._lay_out(sequences, **moved))
            columns = {name: self._sent(np.array(v[chosen])) for name, v in self._columns.items()}
            if not isinstance(rows, slice):
                rows = rows.to(self.device)
        if reverse is not False:
            reverse = torch.as_tensor(reverse, device=self.device).expand(len(tokens))
            if REVERSE_STRAND in columns:
                columns[REVERSE_STRAND] = reverse
        return Batch(self._shown(tokens, reverse), self.target[rows], columns)

    def _near(self, numbers: NDArray[np.int64]) -> Tensor:
        """Return numbers as a tensor: on the device if the rows are there, else on the host."""
        tensor = torch.from_numpy(numbers)
        return tensor if self._tokens is None else tensor.to(self.device)

    def _sent(self, array: NDArray[Any]) -> Tensor:
        """Send an array to the device, without waiting for the copy to end."""
        tensor = torch.from_numpy(array)
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _shown(self, tokens: Tensor, reverse: Tensor | Literal[False]) -> Tensor:
        """Return the tokens of some rows on their strands, with the layout's other strand."""
        if reverse is False and not self._doubled:
            return tokens
        other = self._complement[tokens.long()].flip(1)
        if reverse is not False:
            turned = reverse[:, None]
            tokens, other = torch.where(turned, other, tokens), torch.where(turned, tokens, other)
        return torch.cat([tokens, other], dim=1) if self._doubled else tokens


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
