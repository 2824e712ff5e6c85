"""A few training steps on two processes that share every batch, compared with one process.

The processes are forked from a server that has loaded torch already, which is many times faster
than two new programs.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import tempfile
import traceback
import warnings
from contextlib import redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from bench.children import MEETING
from bench.contract.specimen import Specimen
from bench.contract.targets import find
from bench.errors import BenchError
from bench.model import Model
from bench.training.distributed import ALONE, Ranks, joined
from bench.training.micro_batches import MicroBatches
from bench.training.schedule import Plan
from bench.training.step import TrainStep

_FORKED = multiprocessing.get_context("forkserver")
_BATCH, _STEPS = 32, 3
_PATIENCE = 120  # seconds


def prepare() -> None:
    """Start the server of processes, which loads torch while the first checks run."""
    _FORKED.set_forkserver_preload([__name__, "bench.training.loop"])
    from multiprocessing import forkserver

    forkserver.ensure_running()


def without_dropout(model: Model) -> Model:
    """Switch off the dropout of torch's modules, and return the model."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
    return model


def losses(specimen: Specimen, ranks: Ranks = ALONE, micro_batches: int = 1) -> list[float]:
    """Return the mean losses of a few training steps.

    Args:
        specimen: Model.
        ranks: Processes that share every batch.
        micro_batches: Parts of a batch, over all ranks.
    """
    model = without_dropout(specimen.make())
    recipe = specimen.recipe(batch_size=_BATCH, passes=1)
    parts = MicroBatches.of(_BATCH, ranks, _BATCH // micro_batches)
    step = TrainStep(model, recipe, Plan.of(recipe, 16 * _BATCH), parts, ranks, seed=0)
    batches = specimen.loader.training().shuffled(_BATCH, 0, cut=parts.count, mine=parts.mine)
    found = torch.stack([step(number, batches)[0].detach() for number in range(_STEPS)])
    return [float(loss) for loss in ranks.sum(found) / ranks.size]


def digest(model: Model) -> str:
    """Return a hash of the weights of a model."""
    found = hashlib.sha256()
    for tensor in model.state_dict().values():
        found.update(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return found.hexdigest()


def on_two(specimen: Specimen) -> tuple[list[float], str]:
    """Return the losses of two ranks, and a hash of their initial weights.

    Raises:
        BenchError: A rank failed; the message is its error.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        started = [_start(specimen, rank, folder) for rank in (0, 1)]
        told: list[Any] = [
            end.recv() if end.poll(_PATIENCE) else "a rank gave no answer" for _, end in started
        ]
        for process, _ in started:
            process.join(1)
            process.kill()
    for answer in told:
        if isinstance(answer, str):
            raise BenchError(answer)
    found, weights = told[0]
    return found, weights


def _start(
    specimen: Specimen, rank: int, folder: str
) -> tuple[multiprocessing.context.ForkServerProcess, Connection]:
    ours, theirs = _FORKED.Pipe(duplex=False)
    target = specimen.target
    task = (theirs, target.what, target.name, rank, folder, torch.get_num_threads())
    process = _FORKED.Process(target=_rank, args=task, daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _rank(end: Connection, what: str, name: str, rank: int, folder: str, threads: int) -> None:
    """Send the losses of one rank, or the text of its error."""
    os.environ.update({MEETING: folder, "GLOO_SOCKET_IFNAME": "lo"})
    torch.set_num_threads(max(threads // 2, 1))
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            found = [t for t in find(what) if t.kind == "model"]
            ranks = Ranks(rank, 2, rank)
            with joined(ranks, torch.device("cpu")):
                specimen = Specimen(found[0])
                weights = digest(specimen.make())
                end.send((losses(specimen, ranks, 2), weights))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        first = str(error).splitlines()[0] if str(error) else ""
        end.send(f"on two ranks: {type(error).__name__}: {first[:300]} ({place})")
