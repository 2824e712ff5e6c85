"""Processes with torch loaded already: commands, and ranks, started in a fraction of a second.

A server that has imported all that is heavy is forked for every one of them.
"""

import multiprocessing
import os
import pickle
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from bench.training.distributed import Ranks, joined
from tests.killing import write_table

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    ["tests.forked", "bench.runner.run", "bench.runner.profiling", "torch._dynamo"]
)
_PATIENCE = 120

PLUGIN = '''
"""A small noisy network; what it does to its process, and when, its environment says."""
import os, signal, time
import torch
from torch import nn
from bench.cards import ModelCard, Source
from bench.errors import BenchError
from bench.model import Model
from bench.data.layout import Layout
from bench.config import setting, settings
from bench.training import checkpoints

what, _, number = os.environ.get("ACT", "").partition(":")
here = os.environ.get("RANK", "0") == os.environ.get("ACT_RANK", "0")
left = int(number or 0)

def count():
    global left
    left -= 1
    if left != 0 or not here:
        return
    if what in ("kill", "write"):
        os.kill(os.getpid(), signal.SIGKILL)
    if what in ("SIGTERM", "SIGINT"):
        os.kill(os.getpid(), signal.Signals[what])
    if what == "twice":
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    if what == "bug":
        raise LookupError("a bug of the plugin")
    if what == "refuse":
        raise BenchError("the plugin refuses.")
    if what == "cuda-memory":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
    if what == "memory":
        torch.empty(1 << 60, dtype=torch.uint8)
    if what == "sleep":
        time.sleep(600)
    if what == "slow":
        left = 1
        time.sleep(0.2)

@settings
class MortalConfig:
    width: int = setting(8, "of the hidden layer", low=1)

class Mortal(Model[MortalConfig]):
    card = ModelCard(
        summary="small", source=Source(citation="none", url="https://example.org", license="MIT")
    )

    def __init__(self, config, positions):
        super().__init__(config, positions)
        self.letters = nn.Embedding(6, 4)
        self.hidden = nn.Linear(4 * positions, config.width)
        self.norm = nn.BatchNorm1d(config.width)
        self.noise = nn.Dropout(0.2)
        self.head = nn.Linear(config.width, 1)

    @classmethod
    def layout(cls, config):
        return Layout()

    def forward(self, tokens):
        x = self.hidden(self.letters(tokens.long()).flatten(1))
        return self.head(self.noise(torch.relu(self.norm(x)))).squeeze(1)

    def loss(self, batch):
        if what != "write":
            count()
        return super().loss(batch)

write = checkpoints._Hashing.write

def counted_write(self, data):
    if what == "write":
        count()
    return write(self, data)

checkpoints._Hashing.write = counted_write
'''
UPDATES = 60  # 240 training rows, four epochs of 15
RUN = (
    *("run", "--plugin", "mortal.py", "--model", "mortal", "--task", "table.tsv"),
    *("--set", "recipe.batch_size=16", "--set", "recipe.epochs=4"),
)
HERE = ("--device", "cpu", "--checkpoint-minutes", "0", "--no-tracking")


@dataclass(frozen=True)
class Done:
    """How a process ended, and what it wrote."""

    status: int
    output: str
    errors: str

    @property
    def told(self) -> list[str]:
        return [line for line in self.errors.splitlines() if line.startswith("bench:")]


class Started:
    """Commands that run."""

    def __init__(self, processes: list[BaseProcess], outputs: list[Path]) -> None:
        self.processes, self._outputs = processes, outputs

    def wait(self) -> list[Done]:
        done = []
        for process, out in zip(self.processes, self._outputs, strict=True):
            process.join(_PATIENCE)
            assert process.exitcode is not None, out.with_suffix(".err").read_text()
            texts = (out.read_text(), out.with_suffix(".err").read_text())
            done.append(Done(process.exitcode, *texts))
        return done


def prepare(folder: Path) -> None:
    """Write the plugin, and a table of 300 rows."""
    (folder / "mortal.py").write_text(PLUGIN)
    write_table(folder, letters=12, tested=271)


def start(
    folder: Path, arguments: Sequence[str], *, ranks: int = 1, act: str = "", rank: int = 0
) -> Started:
    """Start a command, or so many ranks of it; one of them does to itself what ``act`` says."""
    processes, outputs = [], []
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    for number in range(ranks):
        environment = {**os.environ, "ACT": act, "ACT_RANK": str(rank)}
        if ranks > 1:
            environment |= {**meeting, "RANK": str(number), "WORLD_SIZE": str(ranks)}
        outputs.append(folder / f"{len(list(folder.glob('*.out')))}.out")
        outputs[-1].touch()
        task = (list(arguments), environment, folder, outputs[-1])
        processes.append(_FORKED.Process(target=_command, args=task))
        processes[-1].start()
    return Started(list(processes), outputs)


def bench(
    folder: Path, arguments: Sequence[str], *, ranks: int = 1, act: str = "", rank: int = 0
) -> Done:
    """Run a command to its end; with several ranks, return what rank 0 came to."""
    return start(folder, arguments, ranks=ranks, act=act, rank=rank).wait()[0]


def on_ranks(size: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Return what ``function(ranks, *arguments)`` returns on every one of ``size`` ranks."""
    port, ends, processes = _free_port(), [], []
    for rank in range(size):
        ours, theirs = _FORKED.Pipe(duplex=False)
        task = (theirs, Ranks(rank, size, rank), port, function, arguments)
        processes.append(_FORKED.Process(target=_rank, args=task, daemon=True))
        processes[-1].start()
        theirs.close()
        ends.append(ours)
    results = [pickle.loads(end.recv_bytes()) if end.poll(_PATIENCE) else None for end in ends]
    for process in processes:
        process.join(_PATIENCE)
    return results


def _command(arguments: list[str], environment: dict[str, str], folder: Path, out: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in ((1, out), (2, out.with_suffix(".err"))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    torch.set_num_threads(1)
    sys.argv = ["bench", *arguments]
    from bench.cli import main

    main()


def _rank(
    end: Connection, ranks: Ranks, port: int, function: Callable[..., Any], arguments: Any
) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    with joined(ranks, torch.device("cpu")):
        end.send_bytes(pickle.dumps(function(ranks, *arguments)))  # whole: it ends after this


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
