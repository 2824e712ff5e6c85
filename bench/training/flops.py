"""What a network costs: operations a sequence, counted and not guessed, and memory."""

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
from bench.training.device import autocast, free_memory

_PROBES = (8, 32)
_ROWS = 2  # counts are exactly proportional to the rows


def training_flops(
    model: type[Model], config: Any, positions: int, columns: Mapping[str, Tensor] | None = None
) -> int | None:
    """Count the operations of a training step, forward and backward, per sequence.

    Matrix products, convolutions and attention are counted, a multiplication and an addition as
    two; what works on elements is not, as is usual for the share of a peak rate. The model runs on
    fake tensors, shapes without values, so it costs nothing.

    Args:
        model: The class.
        config: Its settings.
        positions: Tokens a sequence.
        columns: The further inputs of any rows; only shapes and types count.

    Returns:
        Operations; None for a model that is fitted in one go, or that reads values of tensors.
    """
    if issubclass(model, FittedModel):
        return None
    counter = FlopCounterMode(display=False)
    try:
        with torch.device("meta"):
            network = model(config, positions).train()
        network.to_empty(device="cpu")  # memory that nobody touches
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        with FakeTensorMode(allow_non_fake_inputs=True), counter:
            tokens = torch.zeros(_ROWS, positions, dtype=torch.uint8)
            further = {
                name: torch.zeros(_ROWS, *values.shape[1:], dtype=values.dtype)
                for name, values in (columns or {}).items()
            }
            loss = network.loss(Batch(tokens, torch.zeros(_ROWS), further))
            torch.autograd.grad(loss, trained, allow_unused=True)
    except (RuntimeError, TypeError):  # the latter from NumPy
        return None
    return int(counter.get_total_flops()) // _ROWS


def matmul_rate(device: torch.device) -> float:
    """Measure the device's rate in a large matrix product, operations a second.

    In the precision that training has there, see :func:`bench.training.device.autocast`.
    """
    cuda = device.type == "cuda"
    size, kind = (8192, torch.bfloat16) if cuda else (1024, torch.float32)
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
    return 2 * size**3 / min(timer.blocked_autorange(min_run_time=0.5).times)


def largest_micro_batch(model: Model, batches: Batches, device: torch.device) -> int | None:
    """Estimate the rows that go through the network at once in the device's memory.

    From the memory that two small micro-batches need: it grows in proportion to the rows, above
    what weights, gradients and moments take.

    Returns:
        Rows, rounded down to a power of two; None where free memory is not known.
    """
    free = free_memory(device)
    if free is None:
        return None
    # The norms of a model that ranks share would wait for all of them.
    alone = type(model)(model.config, model.positions).to(device)
    alone.scale = model.scale
    few, more = (_micro_batch_bytes(alone, batches, device, rows) for rows in _PROBES)
    a_row = max((more - few) / (_PROBES[1] - _PROBES[0]), 1.0)
    constant = max(few - a_row * _PROBES[0], 0) + 4 * sum(p.nbytes for p in model.parameters())
    rows = int((free - constant) / a_row)
    return 2 ** int(math.log2(rows)) if rows > 0 else 0


def _micro_batch_bytes(model: Model, batches: Batches, device: torch.device, rows: int) -> int:
    """Return the bytes held between forward and backward pass of a micro-batch, at the peak."""
    batch = next(batches.in_order(rows))
    model.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with autocast(device):
            loss = model.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return torch.cuda.max_memory_allocated(device) - before
    held: dict[int, int] = {}

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        model.loss(batch)
    return sum(held.values())
