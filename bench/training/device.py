"""The device of a training: its choice, its precision and its memory."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import torch

from bench.errors import BenchError, OutOfMemoryError, argument, lacks_memory


@contextmanager
def out_of_memory(rows: int | None, device: torch.device) -> Iterator[None]:
    """Replace an out-of-memory error inside the block by one that says what to change.

    Args:
        rows: Rows of a micro-batch; None for a model that is fitted at once.
        device: Device whose memory the block uses.

    Raises:
        OutOfMemoryError: The device has too little memory.
    """
    advice = "Take a smaller model."
    if rows is not None and rows > 1:
        smaller = argument("batch_per_device", rows // 2)
        advice = f"Try {smaller}: the same batch in smaller micro-batches."
    with enough_memory(f"with {rows or 'all'} sequences at once", advice, device):
        yield


@contextmanager
def enough_memory(doing: str, advice: str, device: torch.device) -> Iterator[None]:
    """Replace an out-of-memory error inside the block by one line.

    Args:
        doing: Text that says when the memory ran out.
        advice: Sentence that says what to change.
        device: Device whose memory the block uses.

    Raises:
        OutOfMemoryError: The device has too little memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's CPU allocator raises a RuntimeError
        if not lacks_memory(error):
            raise
        raise OutOfMemoryError(f"{device} is out of memory {doing}.", hint=advice) from None


def choose_device(name: str, local: int | None = None) -> torch.device:
    """Return the device called ``name``; "auto" is the first CUDA device, else the CPU.

    Args:
        name: Name of the device in torch, or "auto".
        local: Number of this rank on its machine, which is also the number of its CUDA device;
            None for a run on one device.

    Raises:
        BenchError: torch knows no device of this name, or this machine has none.
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


Precision = Literal["auto", "float32", "bf16"]
"""Values of a recipe's ``precision``."""


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Return a context that computes in a precision.

    The precision "auto" is bfloat16 on CUDA and float32 on a CPU, where bfloat16 is slower.
    """
    enabled = computes_in(device, precision) == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def computes_in(device: torch.device, precision: Precision) -> str:
    """Return the name of the numbers that a device computes in: "bfloat16" or "float32"."""
    coarse = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return "bfloat16" if coarse else "float32"


@contextmanager
def full_float32(precision: Precision) -> Iterator[None]:
    """Round nothing inside the block if the precision is float32.

    By default torch rounds inputs of float32 convolutions on CUDA to the 10 bits of TensorFloat-32.
    """
    before = torch.backends.cudnn.allow_tf32
    if precision == "float32":
        torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def peak_memory(device: torch.device) -> int:
    """Return the peak memory so far in bytes: of the CUDA device, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Linux counts kibibytes, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def room_for_rows(device: torch.device) -> int:
    """Return the bytes that encoded rows may take on a device: half of its free memory."""
    free = free_memory(device)
    return sys.maxsize if free is None else free // 2


def free_memory(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes, of the machine for a CPU; None on macOS.

    macOS swaps, so its free memory says little.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def describe_device(device: torch.device, precision: Precision) -> dict[str, str | int]:
    """Return the kind, name and precision of a device, as a manifest records them."""
    numbers = computes_in(device, precision)
    if device.type == "cuda":
        return {"kind": "cuda", "name": torch.cuda.get_device_name(device), "precision": numbers}
    return {
        "kind": device.type,
        "name": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "precision": numbers,
    }
