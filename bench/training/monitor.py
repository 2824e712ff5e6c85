"""The monitor: it takes a snapshot of a training about once a second and may end the training.

Between two snapshots no step waits for the device and, with several ranks, ranks exchange only
gradients. Rank 0's clock decides, so that all ranks take a snapshot after the same step.
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
    """Options of a training that are neither model, data, recipe nor seed.

    Attributes:
        ranks: Processes that share the work.
        batch_per_device: Rows of a micro-batch; None for all rows of a rank at once.
        checkpoints: Checkpoints to save; None to save none, as on all ranks but 0.
        max_seconds: Time on steps after which the training ends at the next snapshot.
        compiled: Whether the loss is traced with ``torch.compile``.
        stop: Request to end the training early; the default requests nothing.
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
    """The progress of a training at one step, the same on all ranks.

    Attributes:
        loss: Mean loss since the last snapshot.
        sequences_per_second: Speed since the last snapshot, by rank 0's clock.
        late: Whether the time limit is reached.
        signal: Number of the signal that requests the end; 0 for none.
        save: Whether it is time for a checkpoint.
    """

    loss: float
    sequences_per_second: float
    late: bool
    signal: int
    save: bool

    @property
    def finite(self) -> bool:
        """Whether the loss is a finite number."""
        return math.isfinite(self.loss)


class Monitor:
    """The clock of a training: it decides about snapshots and checkpoints.

    Args:
        state: Current state of the training.
        controls: Limits of the training, its checkpoints and requests to end.

    Attributes:
        next_snapshot: Step of the next snapshot, unless an epoch ends before.
    """

    def __init__(self, state: TrainState, controls: Controls) -> None:
        self._state, self._controls = state, controls
        self._last_step = state.step
        self.next_snapshot = state.step + 1
        self._resumed = self._last_time = self._paused = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time spent on steps so far."""
        return self._state.seconds + time.perf_counter() - self._resumed

    def snapshot(self, batch: int) -> Snapshot:
        """Wait for the device and for all ranks, and return the progress of the training.

        Args:
            batch: Sequences a step.
        """
        state, controls = self._state, self._controls
        state.share_losses()
        loss = state.losses[self._last_step : state.step].mean().item()  # waits for the device
        steps, now = state.step - self._last_step, time.perf_counter()
        elapsed = max(now - self._last_time, 1e-9)
        decision = [controls.stop.asked, 0, 0, 0]
        if controls.ranks.leads:
            late = controls.max_seconds is not None and self.seconds > controls.max_seconds
            due = controls.checkpoints is not None and controls.checkpoints.due
            pause = max(1, min(2 * steps, int(_SECONDS / elapsed * steps)))
            decision[1:] = [int(late), int(due), pause]
        signal, ends, saves, ahead = controls.ranks.largest(decision)
        self._last_step, self._last_time = state.step, now
        self.next_snapshot = state.step + ahead
        return Snapshot(loss, steps * batch / elapsed, bool(ends), signal, bool(saves))

    def save(self, snapshot: Snapshot, *, epoch_ends: bool) -> None:
        """Save a checkpoint if it is time for one.

        Raises:
            StoppedError: A signal requested the end.
        """
        checkpoints, state = self._controls.checkpoints, self._state
        if checkpoints and (snapshot.save or snapshot.signal or (epoch_ends and checkpoints.cheap)):
            checkpoints.save(state.step, {**state.state(), "seconds": self.seconds})
        if snapshot.signal:
            # The launcher kills the other ranks as soon as one rank ends, so all ranks wait until
            # the checkpoint is saved.
            self._controls.ranks.wait()
            raise StoppedError(snapshot.signal, f"stopped after step {state.step:,}.")

    def pause(self) -> None:
        """Stop the clock before a validation."""
        self._state.seconds = self.seconds
        self._paused = time.perf_counter()

    def resume(self) -> None:
        """Start the clock again after a validation."""
        self._resumed = self._last_time = time.perf_counter()
        self._state.validation_seconds += self._resumed - self._paused
