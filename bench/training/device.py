"""Which device trains, in what precision, and what it had to give."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from bench.errors import BenchError, OutOfMemoryError, argument


@contextmanager
def out_of_memory(rows: int | None, device: torch.device) -> Iterator[None]:
    """Turn a lack of memory inside the block into what to do about it.

    Args:
        rows: Rows that go through the network at once, if there is a network.
        device: Whose memory.

    Raises:
        OutOfMemoryError: There was too little.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # a CPU's allocator raises the latter
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(
            words in str(error) for words in ("not enough memory", "can't allocate memory")
        ):
            raise
        advice = "Take a smaller model."
        if rows is not None and rows > 1:
            smaller = argument("batch_per_device", rows // 2)
            advice = f"Try {smaller}: the same batch in smaller slices."
        raise OutOfMemoryError(
            f"{device} is out of memory with {rows or 'all'} sequences at once.", hint=advice
        ) from None


def choose_device(name: str, local: int | None = None) -> torch.device:
    """Return the device called ``name``; "auto" is the first CUDA device, else the CPU.

    Args:
        name: As torch calls it, or "auto".
        local: Number of this rank on its machine, where there are several: it takes the CUDA
            device of that number.

    Raises:
        BenchError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local is not None:
        name = f"cuda:{local}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise BenchError(
            f"{argument('device')} {name}: {first} Try auto, cpu, cuda or cuda:1."
        ) from None
    return device


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Compute in bfloat16 where that is fast: on CUDA. On a CPU it is many times slower."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held so far: the device's, or the process's on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Linux counts kibibytes, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def room_for_rows(device: torch.device) -> int:
    """Return the bytes that encoded rows may take on a device: half of what is free there."""
    free = free_memory(device)
    return sys.maxsize if free is None else free // 2


def free_memory(device: torch.device) -> int | None:
    """Return a device's free bytes, the machine's for a CPU; None on macOS, which swaps."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def describe_device(device: torch.device) -> dict[str, str | int]:
    """Name the hardware for a result's record."""
    if device.type == "cuda":
        return {"kind": "cuda", "name": torch.cuda.get_device_name(device), "precision": "bfloat16"}
    return {
        "kind": device.type,
        "name": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "precision": "float32",
    }
