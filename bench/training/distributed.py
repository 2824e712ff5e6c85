"""The processes that train one model together: which one this is, and how they talk.

torchrun and Slurm start one process a device and tell each its rank by the environment. All ranks
hold the same weights; rank 0 alone writes files and talks to people and servers.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from bench.errors import BenchError

T = TypeVar("T")

_PATIENCE = datetime.timedelta(hours=2)  # rank 0 may simulate, download or encode meanwhile


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process among those of a run; by default the only one.

    Attributes:
        rank: This one's number, from 0.
        size: How many there are.
        local: This one's number on its machine.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Say whether this process writes and talks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor over all ranks, in place; return it."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def largest(self, values: list[int]) -> list[int]:
        """Return the largest of each value over all ranks."""
        if self.size == 1:
            return values
        found = torch.tensor(values)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return [int(value) for value in found]

    def wait(self) -> None:
        """Wait until every rank has come here."""
        if self.size > 1:
            dist.barrier()

    def broadcast(self, value: T) -> T:
        """Return rank 0's value on every rank."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def lead(self, action: Callable[[], T]) -> T:
        """Let rank 0 act; return what comes out, or raise what it raised, on every rank."""
        if self.size == 1:
            return action()
        outcome: tuple[T | None, Exception | None] = (None, None)
        if self.leads:
            try:
                outcome = (action(), None)
            except Exception as error:  # the others are to end, too
                outcome = (None, error)
        value, problem = self.broadcast(outcome)
        if problem is not None:
            raise problem
        return value  # type: ignore[return-value]

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Let rank 0 go through a block before the others: it fills the caches they find."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()


ALONE = Ranks()
_LATEST: list[object] = []  # the group of processes that was joined last


def from_environment(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Read this process's rank as torchrun sets it, or ``srun`` for a step of several tasks.

    ``sbatch`` also sets ranks for its script, which is one process: only steps count.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        local = environment.get("LOCAL_RANK", "0")
        return Ranks(int(environment["RANK"]), int(environment["WORLD_SIZE"]), int(local))
    if "SLURM_STEP_ID" in environment and "SLURM_STEP_NUM_TASKS" in environment:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
        return Ranks(*(int(environment[name]) for name in names))
    return Ranks()


@contextmanager
def joined(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Connect this process with the others of its run for the length of a block.

    Raises:
        BenchError: Under Slurm, nobody says where rank 0 is.
    """
    if ranks.size == 1 or dist.is_initialized():  # a search connects them for all of its runs
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        backend, init_method=_meeting(), rank=ranks.rank, world_size=ranks.size, timeout=_PATIENCE
    )
    # Freed with the last reference, a group waits for its thread, which may wait for Python's lock.
    # DistributedDataParallel holds that lock when it is freed, so it must not hold the last one.
    _LATEST[:] = [dist.group.WORLD]
    try:
        yield
    finally:
        dist.destroy_process_group()


def _meeting() -> str:
    """Say where ranks find each other: torchrun tells; under Slurm a port made of the job."""
    if "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ:
        return "env://"
    try:
        address, job = os.environ["SLURM_LAUNCH_NODE_IPADDR"], int(os.environ["SLURM_JOB_ID"])
    except KeyError as error:
        raise BenchError(
            f"ranks without a meeting point: {error.args[0]} is not set. "
            "Set MASTER_ADDR and MASTER_PORT, or start with torchrun."
        ) from None
    return f"tcp://{address}:{20_000 + job % 20_000}"
