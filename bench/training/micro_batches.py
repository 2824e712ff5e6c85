"""Micro-batches: the equal parts of a batch, each of which goes through the network at once.

The noise of a micro-batch (dropout, masks) has a seed made of the run's seed, the step and the
number of the micro-batch. So the result of a step depends on the number of micro-batches but not on
the ranks that compute them, and a resumed run needs no saved state of a random generator.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from bench.errors import BenchError
from bench.training.distributed import Ranks


@dataclass(frozen=True, slots=True)
class MicroBatches:
    """The micro-batches of every batch that one rank computes.

    Attributes:
        batch: Rows of a batch.
        count: Number of micro-batches in a batch, over all ranks.
        mine: Numbers of this rank's micro-batches.
    """

    batch: int
    count: int
    mine: range

    @property
    def rows(self) -> int:
        """Rows of a micro-batch."""
        return self.batch // self.count

    @classmethod
    def of(cls, batch: int, ranks: Ranks, per_device: int | None = None) -> MicroBatches:
        """Split a batch into one micro-batch a rank, or into micro-batches of ``per_device`` rows.

        Raises:
            BenchError: The batch cannot be split evenly.
        """
        count = ranks.size if per_device is None else -(-batch // per_device)
        if batch % count or count % ranks.size or (per_device and batch // count != per_device):
            devices = f" over {ranks.size} devices" if ranks.size > 1 else ""
            parts = f" into micro-batches of {per_device} rows" if per_device else ""
            raise BenchError(
                f"a batch of {batch} rows cannot be split evenly{devices}{parts}.",
                hint=_divisors_near(batch, ranks.size, per_device),
            )
        mine = count // ranks.size
        return cls(batch, count, range(ranks.rank * mine, (ranks.rank + 1) * mine))

    @staticmethod
    def seed_noise(seed: int, step: int, number: int, device: torch.device) -> None:
        """Seed torch's generators, of CPU and device, for one micro-batch of a step."""
        digest = hashlib.blake2b(f"{seed} {step} {number}".encode(), digest_size=8).digest()
        noise = int.from_bytes(digest, "little") >> 1
        # torch.manual_seed seeds every kind of device that torch knows, which takes longer.
        torch.default_generator.manual_seed(noise)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(noise)


def _divisors_near(batch: int, size: int, per_device: int | None) -> dict[str, int]:
    """Return the nearest size of a micro-batch or of a batch that can be split, by its setting."""
    fitting = [rows for rows in range(1, batch + 1) if batch % (rows * size) == 0]
    if per_device is None or not fitting:
        return {"recipe.batch_size": max(batch // size, 1) * size}
    return {"batch_per_device": max((r for r in fitting if r <= per_device), default=fitting[0])}
