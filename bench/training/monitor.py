"""Takes a snapshot of a training about once a second, and decides whether it is to end.

Everything between two snapshots goes on without waiting for the device or, with several ranks, for
more than the gradients. Rank 0's clock decides: all ranks take one after the same update.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from bench.errors import StoppedError
from bench.training.checkpoints import Checkpoints
from bench.training.distributed import Ranks
from bench.training.signals import NEVER, Stop
from bench.training.state import TrainState

_SECONDS = 1.0  # between two snapshots


@dataclass(frozen=True, slots=True)
class Controls:
    """What changes how a training goes, and not what comes out.

    Attributes:
        ranks: The processes that share the work.
        batch_per_device: Rows that go through the network at once; None for all of a rank's.
        checkpoints: Where states are kept; None to keep none, as on all ranks but 0.
        max_seconds: Stop at the next snapshot once so much time is spent on updates.
        compiled: Trace the loss with ``torch.compile``.
        stop: Request to end the training early; by default none ever comes.
    """

    ranks: Ranks = field(default_factory=Ranks)
    batch_per_device: int | None = None
    checkpoints: Checkpoints | None = None
    max_seconds: float | None = None
    compiled: bool = False
    stop: Stop = NEVER


PLAIN = Controls()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a training has come to, the same on all ranks.

    Attributes:
        loss: Mean loss since the last snapshot.
        sequences_per_second: Since the last snapshot, on rank 0's clock.
        late: The time is up.
        signal: The signal that asks for the end; 0 for none.
        save: It is time for a checkpoint.
    """

    loss: float
    sequences_per_second: float
    late: bool
    signal: int
    save: bool

    @property
    def finite(self) -> bool:
        """Say whether the loss is a number."""
        return math.isfinite(self.loss)


class Monitor:
    """The clock of a training.

    Args:
        state: Current state.
        controls: Its limits, and what may ask for its end.

    Attributes:
        next_snapshot: Updates to make before the next snapshot, unless an epoch ends before.
    """

    def __init__(self, state: TrainState, controls: Controls) -> None:
        self._state, self._controls = state, controls
        self._looked = state.step
        self.next_snapshot = state.step + 1
        self._resumed = self._looked_at = self._paused = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time spent on updates so far."""
        return self._state.seconds + time.perf_counter() - self._resumed

    def snapshot(self, batch: int) -> Snapshot:
        """Wait for the device and for all ranks, and say where the training stands.

        Args:
            batch: Sequences an update.
        """
        state, controls = self._state, self._controls
        state.share_losses()
        loss = state.losses[self._looked : state.step].mean().item()  # waits for the device
        updates, now = state.step - self._looked, time.perf_counter()
        elapsed = max(now - self._looked_at, 1e-9)
        word = [controls.stop.asked, 0, 0, 0]
        if controls.ranks.leads:
            late = controls.max_seconds is not None and self.seconds > controls.max_seconds
            due = controls.checkpoints is not None and controls.checkpoints.due
            ahead = max(1, min(2 * updates, int(_SECONDS / elapsed * updates)))
            word[1:] = [int(late), int(due), ahead]
        word = controls.ranks.largest(word)
        self._looked, self._looked_at = state.step, now
        self.next_snapshot = state.step + word[3]
        return Snapshot(loss, updates * batch / elapsed, bool(word[1]), word[0], bool(word[2]))

    def save(self, snapshot: Snapshot, *, epoch_ends: bool) -> None:
        """Keep a checkpoint where it is time for one.

        Raises:
            StoppedError: A signal asked for the end.
        """
        checkpoints, state = self._controls.checkpoints, self._state
        if checkpoints and (snapshot.save or snapshot.signal or (epoch_ends and checkpoints.cheap)):
            checkpoints.save(state.step, {**state.state(), "seconds": self.seconds})
        if snapshot.signal:
            self._controls.ranks.wait()  # whoever ends first has the others killed
            raise StoppedError(snapshot.signal, f"stopped after update {state.step:,}.")

    def pause(self) -> None:
        """Stop the clock for a validation."""
        self._state.seconds = self.seconds
        self._paused = time.perf_counter()

    def resume(self) -> None:
        """Start the clock again."""
        self._resumed = self._looked_at = time.perf_counter()
        self._state.validation_seconds += self._resumed - self._paused
