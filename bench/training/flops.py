"""The cost of a network: counted operations a sequence, and memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from bench.model import Batch, FittedModel, Model
from bench.training.batches import Batches
from bench.training.device import Precision, autocast, computes_in, free_memory
from bench.training.step import Objective

_PROBES = (8, 32)
_ROWS = 2  # the count is exactly proportional to the number of rows


def training_flops(
    model: type[Model], config: Any, positions: int, columns: Mapping[str, Tensor] | None = None
) -> int | None:
    """Return the operations of a training step, forward and backward, per sequence.

    Matrix products, convolutions and attention are counted, and a multiplication with an addition
    counts as two operations. Elementwise operations are not counted, as is usual for shares of a
    peak rate. The model runs on fake tensors, which have shapes but no values, so counting is
    cheap.

    Args:
        model: Class of the model.
        config: Settings of the model.
        positions: Tokens a sequence.
        columns: Further inputs of any rows; only their shapes and data types matter.

    Returns:
        Operations; None for a model that is fitted at once, or that reads values of tensors.
    """
    if issubclass(model, FittedModel):
        return None
    counter = FlopCounterMode(display=False)
    try:
        with torch.device("meta"):
            network = model(config, positions).train()
        network.to_empty(device="cpu")  # this memory is never read or written
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        with FakeTensorMode(allow_non_fake_inputs=True), counter:
            tokens = torch.zeros(_ROWS, positions, dtype=torch.uint8)
            further = {
                name: torch.zeros(_ROWS, *values.shape[1:], dtype=values.dtype)
                for name, values in (columns or {}).items()
            }
            loss, _ = Objective(network, 0.0)(Batch(tokens, torch.zeros(_ROWS), further))
            torch.autograd.grad(loss, trained, allow_unused=True)
    except (RuntimeError, TypeError):  # NumPy raises a TypeError for a fake tensor
        return None
    return int(counter.get_total_flops()) // _ROWS


def matmul_rate(device: torch.device, precision: Precision) -> float:
    """Return the measured rate of a large matrix product on a device, in operations a second.

    The precision is that of training, see :func:`bench.training.device.autocast`.
    """
    kind = getattr(torch, computes_in(device, precision))
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
    return 2 * size**3 / min(timer.blocked_autorange(min_run_time=0.5).times)


def largest_micro_batch(
    model: Model, batches: Batches, device: torch.device, precision: Precision
) -> int | None:
    """Return an estimate of the largest micro-batch (rows) that fits into the device's memory.

    The estimate extrapolates the memory of two small micro-batches: memory grows linearly with the
    rows, on top of the constant memory of weights, gradients and the optimizer's moments.

    Returns:
        Rows, rounded down to a power of two; None where the free memory is unknown.
    """
    free = free_memory(device)
    if free is None:
        return None
    # A model that is shared by ranks has batch norms that wait for the other ranks, so the memory
    # is measured on a model of this rank alone.
    alone = type(model)(model.config, model.positions).to(device)
    alone.scale = model.scale
    objective = Objective(alone, 0.0)
    few, more = (
        _micro_batch_bytes(objective, batches, device, precision, rows) for rows in _PROBES
    )
    a_row = max((more - few) / (_PROBES[1] - _PROBES[0]), 1.0)
    constant = max(few - a_row * _PROBES[0], 0) + 4 * sum(p.nbytes for p in model.parameters())
    rows = int((free - constant) / a_row)
    return 2 ** int(math.log2(rows)) if rows > 0 else 0


def _micro_batch_bytes(
    objective: Objective, batches: Batches, device: torch.device, precision: Precision, rows: int
) -> int:
    """Return the peak memory of a micro-batch, between forward and backward pass, in bytes."""
    batch = next(batches.in_order(rows))
    objective.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with autocast(device, precision):
            loss, _ = objective(batch)
        loss.backward()
        return torch.cuda.max_memory_allocated(device) - before
    held: dict[int, int] = {}

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return saved

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved)
    with hooks, autocast(device, precision):
        objective(batch)
    return sum(held.values())
