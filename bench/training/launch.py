"""The launcher of one process a device on this machine; it uses torchrun's own launcher."""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.errors import BenchError, RankError, argument
from bench.training.distributed import from_environment

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def launch(devices: int, device: str, arguments: Sequence[str]) -> bool:
    """Start this program once a device with the same arguments, and wait for all processes.

    Args:
        devices: Number of devices.
        device: Name of the device, as for :func:`bench.training.device.choose_device`.
        arguments: Arguments of the command line.

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
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "bench", *arguments)
    except ChildFailedError as error:
        raise _first_failure(error.failures) from None
    except SignalException as error:
        raise RankError(f"stopped. {_HINT}", 128 + error.sigval) from None
    return True


def record(error: BaseException, text: str) -> None:
    """Write a rank's error to the file that its launcher reads.

    Args:
        error: Exception that ends this process.
        text: Text of a :class:`BenchError`, as torchrun prints it.
    """
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    get_error_handler().record_exception(error)
    if isinstance(error, BenchError):
        file = Path(os.environ["TORCHELASTIC_ERROR_FILE"])
        recorded = json.loads(file.read_text())
        parts = {"text": error.text, "field": error.field, "hint": error.hint}
        recorded["message"]["message"] = f"{type(error).__name__}: {text}"
        recorded["message"]["extraInfo"]["error"] = parts
        file.write_text(json.dumps(recorded, default=str))


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


def _first_failure(failures: Mapping[int, ProcessFailure]) -> BaseException:
    """Return the error of the rank that most likely caused the other failures.

    A rank that was killed comes first, then the earliest failure in the order of
    :func:`_remoteness`.
    """
    by_rank = sorted(failures.items())
    for rank, failure in by_rank:
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            name = signal.Signals(-failure.exitcode).name
            return RankError(f"rank {rank} was killed by {name}. {_HINT}", 2)
    failed = [(rank, failure) for rank, failure in by_rank if failure.exitcode > 0]
    if not failed:
        return RankError(f"a rank was ended from outside. {_HINT}", 2)
    rank, failure = min(failed, key=lambda item: _remoteness(item[1]))
    if not isinstance(failure.message, dict):  # the rank recorded nothing
        return RankError(f"rank {rank} ended with status {failure.exitcode}. {_HINT}", 2)
    message, details = failure.message["message"], failure.message["extraInfo"]["py_callstack"]
    kind, _, text = message.partition(": ")
    if failure.exitcode == 1:  # not a mistake of the user: show the traceback
        return RuntimeError(f"rank {rank}: {message}\n{details}")
    parts = failure.message["extraInfo"].get("error", {"text": text or kind})
    error = RankError(parts["text"], failure.exitcode)
    error.field, error.hint = parts.get("field"), parts.get("hint")
    return error


def _remoteness(failure: ProcessFailure) -> tuple[bool, bool, int]:
    """Return a sort key of failures, least for the one that caused the others.

    A lost connection follows from the failure of another rank, so it comes last. A mistake of the
    user comes first.
    """
    lost = any(word in str(failure.message) for word in ("gloo/", "NCCL", "torch.distributed.Dist"))
    return lost, failure.exitcode == 1, failure.timestamp


_HINT = "The same command goes on from the last checkpoint."
