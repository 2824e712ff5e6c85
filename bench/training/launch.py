"""The launcher of one process a device (rank) on this machine.

The ranks find each other through a file in a folder that only the user can enter, and they talk
over the loopback interface: nothing listens for other machines. torchrun and Slurm's ``srun`` start
the ranks of several machines instead, see :mod:`bench.training.distributed`.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.atomic import write_text
from bench.children import MEETING, Children
from bench.errors import BenchError, RankError, argument
from bench.training.distributed import from_environment
from bench.training.signals import NEVER, Stop

_POLL = 0.1  # seconds between two looks at the ranks
_SETTLE = 1.0  # seconds in which the other ranks may fail by themselves, and say why


def launch(devices: int, device: str, arguments: Sequence[str], stop: Stop = NEVER) -> bool:
    """Start this program once a device with the same arguments, and wait for all processes.

    Args:
        devices: Number of devices.
        device: Name of the device, as for :func:`bench.training.device.choose_device`.
        arguments: Arguments of the command line.
        stop: Request to end the processes early; its signal is passed on to them.

    Returns:
        Whether processes were started. False for one device, and in a process that is itself a
        rank.

    Raises:
        BenchError: The machine has fewer devices.
        RankError: A rank failed; the message is that of the rank that caused the failure.
    """
    ranks = from_environment()
    if ranks.size > 1 and devices not in (1, ranks.size):
        raise BenchError(
            f"{argument('devices')} {devices}: {ranks.size} ranks run already. Leave it out."
        )
    if devices == 1 or ranks.size > 1:
        return False
    _check(devices, device)
    with stop, tempfile.TemporaryDirectory(prefix="bench-") as folder, Children() as children:
        for rank in range(devices):
            environment = _environment(rank, devices, folder)
            children.start(*arguments, environment=environment)
        statuses = _wait(children, stop)
        if not any(statuses):
            return True
        if stop.asked:
            raise RankError(f"stopped. {_HINT}", 128 + stop.asked)
        raise _first_failure(statuses, Path(folder))


def record(error: BaseException) -> None:
    """Write the error that ends this rank to the file that its launcher reads."""
    parts: dict[str, Any] = {
        "kind": type(error).__name__,
        "seconds": time.monotonic(),
    }  # one clock for all ranks
    if isinstance(error, BenchError):
        parts |= {"text": error.text, "field": error.field, "hint": error.hint}
    else:
        parts |= {"text": str(error), "traceback": "".join(traceback.format_exception(error))}
    file = Path(os.environ[MEETING]) / f"{os.environ['RANK']}.json"
    write_text(file, json.dumps(parts, default=str))


def _check(devices: int, device: str) -> None:
    cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    count = torch.cuda.device_count() if cuda else os.cpu_count() or 1
    if devices > count:
        what = "CUDA devices" if cuda else "cores"
        raise BenchError(f"{argument('devices')} {devices}: this machine has {count} {what}.")
    if ":" in device:
        raise BenchError(
            f"{argument('device')} {device} is one device. "
            f"Leave out its number, or {argument('devices')}."
        )


def _environment(rank: int, devices: int, folder: str) -> dict[str, str]:
    """Return the variables of a rank; those of the user decide where the ranks talk."""
    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    loopback = "" if all(name in os.environ for name in names) else _loopback()
    return {
        **dict.fromkeys(names, loopback),
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(devices),
        "LOCAL_WORLD_SIZE": str(devices),
        MEETING: folder,
    }


def _loopback() -> str:
    """Return the name of the loopback interface: lo on Linux, lo0 on macOS and BSD."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if not names:
        raise BenchError("this machine has no loopback interface, over which its ranks talk.")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        try:
            free.connect(("127.0.0.1", 9))  # sends nothing; it only looks for a way there
        except OSError as error:
            raise BenchError(
                f"the loopback interface {names[0]}, over which the ranks talk, is down "
                f"({error.strerror}). Try: ip link set {names[0]} up."
            ) from None
    return names[0]


def _wait(children: Children, stop: Stop) -> list[int]:
    """Return the exit statuses of all ranks; a request or the first failure ends those that run."""
    deadline = math.inf
    while not stop.asked:
        statuses = [process.poll() for process in children.processes]
        if None not in statuses or time.monotonic() > deadline:
            break
        if any(statuses):
            deadline = min(deadline, time.monotonic() + _SETTLE)
        time.sleep(_POLL)
    stayed = children.end(stop.asked or signal.SIGTERM)
    return [
        -signal.SIGTERM if process in stayed else process.returncode
        for process in children.processes
    ]


def _first_failure(statuses: Sequence[int], folder: Path) -> BaseException:
    """Return the error of the rank that most likely caused the other failures.

    A rank that was killed comes first, then the earliest failure in the order of
    :func:`_remoteness`.
    """
    for rank, status in enumerate(statuses):
        if status < 0 and status != -signal.SIGTERM:
            name = signal.Signals(-status).name
            return RankError(f"rank {rank} was killed by {name}. {_HINT}", 2)
    failed = {rank: _recorded(folder, rank) for rank, status in enumerate(statuses) if status > 0}
    if not failed:
        return RankError(f"a rank was ended from outside. {_HINT}", 2)
    rank = min(failed, key=lambda rank: _remoteness(statuses[rank], failed[rank]))
    status, told = statuses[rank], failed[rank]
    if not told:
        return RankError(f"rank {rank} ended with status {status}. {_HINT}", 2)
    if "traceback" in told:  # not a mistake of the user
        return RuntimeError(f"rank {rank}: {told['kind']}: {told['text']}\n{told['traceback']}")
    error = RankError(told["text"], status)
    error.field, error.hint = told["field"], told["hint"]
    return error


def _recorded(folder: Path, rank: int) -> dict[str, Any]:
    """Return what a rank recorded of its error; nothing if it could not."""
    file = folder / f"{rank}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _remoteness(status: int, told: Mapping[str, Any]) -> tuple[bool, bool, float]:
    """Return a sort key of failures, least for the one that caused the others.

    A lost connection and an error that another rank sent follow from the failure of that rank, so
    they come last. A mistake of the user comes first.
    """
    words = ("gloo/", "NCCL", "torch.distributed.Dist")
    sent = told.get("kind") == RankError.__name__
    lost = any(word in str(told) for word in words)
    return sent or lost, status == 1, told.get("seconds", 0.0)


_HINT = "The same command goes on from the last checkpoint."
