"""Which device trains, in what precision, and what it had to give."""

from __future__ import annotations

import os
import platform
import resource
import sys
from contextlib import AbstractContextManager

import torch

from bench.errors import BenchError


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; "auto" is the first CUDA device, else the CPU.

    Raises:
        BenchError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise BenchError(f"--device {name}: {first} Try auto, cpu, cuda or cuda:1.") from None
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
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return sys.maxsize  # macOS does not tell, and swaps
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


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
