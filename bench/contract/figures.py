"""Figures of a model that have no right value: strands, sizes, speed, memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from bench.config import as_dict
from bench.contract.report import skip
from bench.contract.specimen import Specimen, planted, predicted, taken, total_loss, with_columns
from bench.data.sequences import decode, reverse_complement
from bench.metrics import pearson
from bench.model import count_parameters
from bench.training.device import peak_memory
from bench.training.flops import training_flops

_BATCH, _SECONDS = 32, 0.5


@pytest.mark.needs("shape")
def test_strand_consistency(
    specimen: Specimen, record_property: Callable[[str, object], None]
) -> None:
    """How much the prediction depends on the strand that is shown."""
    dataset = planted(specimen.model.columns)
    rows = dataset.validation
    turned = [
        decode(reverse_complement(row[:length])[None])[0]
        for row, length in zip(rows.sequences.tokens, rows.sequences.lengths, strict=True)
    ]
    other = with_columns(turned, rows.target, rows.columns)
    loader, model = specimen.loader_of(replace(dataset, validation=other)), specimen.ready()
    there = predicted(model, specimen.validation()).numpy()
    back = predicted(model, taken(loader.validation(), len(rows))).numpy()
    what = "fitted" if specimen.fitted else "untrained"
    record_property("measured", f"r {pearson(there, back):.3f} between both strands, {what}")


@pytest.mark.needs("builds")
def test_size(specimen: Specimen, record_property: Callable[[str, object], None]) -> None:
    """Parameters and operations, at the default settings and at the smoke preset."""
    told = []
    configs = {"default": specimen.model.Config(), "smoke": specimen.config}
    if as_dict(configs["default"]) == as_dict(configs["smoke"]):
        del configs["smoke"]
    for name, config in configs.items():
        layout = specimen.model.layout(config)
        dataset = planted(specimen.model.columns)
        positions = layout.positions(dataset.usual_length, dataset.flanks)
        with torch.device("meta"):
            parameters = count_parameters(specimen.model(config, positions))
        columns = specimen.loader.sample_columns()
        counted = specimen.full or config is specimen.config
        flops = training_flops(specimen.model, config, positions, columns) if counted else None
        operations = "" if flops is None else f", {flops / 1e6:,.1f} MFLOP a row in training"
        told.append(f"{name}: {parameters:,} parameters{operations}")
    record_property("measured", "; ".join(told))


@pytest.mark.needs("shape", "loss reads the target")
def test_speed_and_memory(
    specimen: Specimen, record_property: Callable[[str, object], None]
) -> None:
    """Training speed at the smoke preset on this machine, and the memory of the process."""
    if specimen.fitted:
        skip("fitted at once")
    model, batch = specimen.make(), specimen.batch(_BATCH)
    total_loss(model, batch).backward()  # type: ignore[no-untyped-call]
    started, rows = time.perf_counter(), 0
    while time.perf_counter() - started < _SECONDS:
        total_loss(model, batch).backward()  # type: ignore[no-untyped-call]
        rows += _BATCH
    speed = rows / (time.perf_counter() - started)
    peak = peak_memory(torch.device("cpu")) / 1e9
    record_property("measured", f"{speed:,.0f} rows/s in training, {peak:.1f} GB for the process")
