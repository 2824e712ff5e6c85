"""The processes (ranks) that train one model together, and the exchange of values between them.

:mod:`bench.training.launch`, torchrun and Slurm start one process a device and set its rank in
environment variables. All ranks hold the same weights. Only rank 0 writes files, prints, and talks
to servers.

What ranks send each other is numbers, texts, tensors, and tuples, lists and dictionaries of them.
Nothing else is made of bytes that a socket delivers, so they cannot run code.
"""

from __future__ import annotations

import datetime
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from bench.children import MEETING
from bench.errors import BenchError, as_parts, from_parts

T = TypeVar("T")

_TIMEOUT = datetime.timedelta(hours=2)  # rank 0 may simulate, download or encode for that long


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process and the number of processes of its run; by default there is one.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
        local: Number of this process on its machine, from 0.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process is rank 0, which writes files and prints."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sum a tensor over all ranks in place, and return it."""
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
        """Wait until every rank has called this method."""
        if self.size > 1:
            dist.barrier()

    def broadcast(self, value: T) -> T:
        """Return rank 0's value on every rank.

        Args:
            value: None, number, text or tensor, or tuple, list or dictionary of such values.
        """
        if self.size == 1:
            return value
        file = io.BytesIO()
        if self.leads:
            torch.save(value, file)
        size = torch.tensor([file.tell()])
        dist.broadcast(size, 0)
        content = torch.frombuffer(bytearray(file.getvalue() or int(size)), dtype=torch.uint8)
        dist.broadcast(content, 0)
        if self.leads:
            return value
        sent = io.BytesIO(content.numpy().tobytes())
        found: T = torch.load(sent, map_location="cpu", weights_only=True)
        return found

    def lead(self, action: Callable[[], T]) -> T:
        """Call ``action`` on rank 0 only; every rank returns its value or raises its exception.

        The other ranks raise what :func:`bench.errors.from_parts` makes of the exception.
        """
        if self.size == 1:
            return action()
        if not self.leads:
            value, problem = self.broadcast((None, None))
            if problem is not None:
                raise from_parts(problem)
            return value  # type: ignore[return-value]
        try:
            done = action()
        except Exception as error:
            self.broadcast((None, as_parts(error)))
            raise
        self.broadcast((done, None))
        return done

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Run a block on rank 0 before the other ranks, which then find its caches filled."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()


ALONE = Ranks()
_LATEST: list[object] = []  # the process group of the last call of `joined`


def from_environment(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Return this process's rank from the variables of torchrun or of Slurm's ``srun``.

    ``sbatch`` sets Slurm's rank variables for its script, too, although the script is one process.
    So they count only inside a Slurm step.

    Raises:
        BenchError: The variables contradict each other or are no numbers.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    elif "SLURM_STEP_ID" in environment and "SLURM_STEP_NUM_TASKS" in environment:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    else:
        return Ranks()
    rank, size, local = (_number(name, environment) for name in names)
    if rank >= size:
        raise BenchError(
            f"{names[0]}={rank} and {names[1]}={size} name no process: the first is below the "
            f"second. {_STARTED}"
        )
    return Ranks(rank, size, local)


def _number(name: str, environment: Mapping[str, str]) -> int:
    text = environment.get(name, "0")
    if not (text.isascii() and text.isdecimal()):
        raise BenchError(f"{name}={text} is not a whole number. {_STARTED}")
    return int(text)


_STARTED = "torchrun and Slurm set these variables; unset them to run one process."


def connected() -> bool:
    """Return whether this process has been connected with other ranks."""
    return bool(_LATEST)


@contextmanager
def joined(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Connect this process with the other ranks of its run for the duration of a block.

    Raises:
        BenchError: No environment variable gives the address of rank 0.
    """
    if ranks.size == 1 or dist.is_initialized():  # a search connects its ranks once for all runs
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    found: dict[str, Any] = {"rank": ranks.rank, "world_size": ranks.size, "timeout": _TIMEOUT}
    if MEETING in os.environ:  # started by our own launcher
        file = str(Path(os.environ[MEETING]) / "store")
        store = dist.FileStore(file, ranks.size)  # type: ignore[attr-defined]
        store.set_timeout(_TIMEOUT)
        dist.init_process_group(backend, store=store, **found)
    else:
        dist.init_process_group(backend, init_method=_address(), **found)
    # A process group that is freed waits for its thread, and that thread may wait for Python's
    # lock. DistributedDataParallel holds the lock while it is freed, so it must not own the last
    # reference to the group. This list keeps one.
    _LATEST[:] = [dist.group.WORLD]
    try:
        yield
    finally:
        dist.destroy_process_group()


def _address() -> str:
    """Return the address of rank 0: from torchrun, or under Slurm with a port from the job id."""
    if "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ:
        return "env://"
    try:
        address, job = os.environ["SLURM_LAUNCH_NODE_IPADDR"], int(os.environ["SLURM_JOB_ID"])
    except KeyError as error:
        raise BenchError(
            f"the ranks cannot find rank 0: {error.args[0]} is not set. "
            "Set MASTER_ADDR and MASTER_PORT, or start with torchrun."
        ) from None
    return f"tcp://{address}:{20_000 + job % 20_000}"
