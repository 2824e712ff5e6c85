"""The settings of torch that all code of a process shares, which no model may change."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from bench.contract.report import fail, several

_CPU = torch.device("cpu")
_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch.set_default_dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch.set_default_device": (
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device == _CPU else device),
    ),
    "torch.set_grad_enabled": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch.set_num_threads": (torch.get_num_threads, torch.set_num_threads),
    "torch.set_float32_matmul_precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "torch.use_deterministic_algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch.autograd.set_detect_anomaly": (
        torch.is_anomaly_enabled,
        torch.autograd.set_detect_anomaly,
    ),
}
_STARTED: dict[str, Any] = {
    "torch.set_default_dtype": torch.float32,
    "torch.set_default_device": _CPU,
    "torch.set_grad_enabled": True,
}
"""Settings of a process that no import has changed."""


@contextmanager
def unchanged() -> Iterator[None]:
    """Fail if what is done inside, or the import of the model, changes a setting; set it back."""
    before = {name: _STARTED.get(name, read()) for name, (read, _) in _SETTINGS.items()}
    try:
        yield
    finally:
        changed = [name for name, (read, _) in _SETTINGS.items() if read() != before[name]]
        for name in changed:
            _SETTINGS[name][1](before[name])
    if changed:
        fail(
            f"the model changes a setting of the whole process ({several(changed)}), which every "
            "other model there gets, too: remove the call, or set it back by a context"
        )


def seeded_anew(make: Callable[[], object]) -> list[str]:
    """Return the calls by which a function sets the seeds of the whole process."""
    kinds: dict[str, tuple[Callable[[int], object], Callable[[], object]]] = {
        "torch.manual_seed": (torch.manual_seed, lambda: torch.get_rng_state().tolist()),
        "numpy.random.seed": (np.random.seed, lambda: repr(np.random.get_state())),
        "random.seed": (random.seed, random.getstate),
    }
    after: list[dict[str, object]] = []
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        for seed in (11, 12):
            for start, _ in kinds.values():
                start(seed)
            make()
            after.append({name: state() for name, (_, state) in kinds.items()})
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])
    return [name for name in kinds if after[0][name] == after[1][name]]
