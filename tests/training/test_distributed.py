"""Two ranks, which are processes connected by Gloo, against one process."""

import math
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError, StoppedError
from bench.model import Model
from bench.recipe import Recipe
from bench.registry import MODELS
from bench.training import predict as prediction
from bench.training.distributed import ALONE, Ranks, from_environment, joined
from bench.training.loop import train
from bench.training.micro_batches import MicroBatches
from bench.training.monitor import Controls
from bench.training.schedule import Plan
from bench.training.step import TrainStep
from tests.forked import on_ranks
from tests.training.test_loop import Watch as Told
from tests.training.test_loop import gc_content

RECIPE = Recipe(batch_size=32, epochs=2, lr=0.01, warmup=0, l2=1e-3, clip_norm=0.5)
ROWS = 160  # five steps an epoch


class Noisy(Model):
    """A model with an embedding of bases, dropout and two layers."""

    def __init__(self, noise: float) -> None:
        super().__init__(None, 24)
        self.letters = nn.Embedding(6, 4)
        self.hidden = nn.Linear(96, 8)
        self.noise = nn.Dropout(noise)
        self.head = nn.Linear(8, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = torch.relu(self.hidden(self.letters(tokens.long()).flatten(1)))
        return self.head(self.noise(x)).squeeze(1)


def noisy() -> Model:
    return Noisy(0.3)


def madlab() -> Model:
    model = MODELS.get("madlab")
    return model(model.Config(hidden=12), 24)


def pooled() -> Model:
    """Return proformer without mask filling: unused weights stop two ranks at the second step."""
    model = MODELS.get("proformer")
    sizes = {"dim": 8, "blocks": 1, "attention_heads": 1, "k": 3, "length": 12}
    return model(model.Config(**sizes, head="pool", mask_ratio=0.0, dropout=0.0), 24)


def trained(ranks: Ranks, make: Any, per_device: int | None) -> Any:
    """Train from one seed; return losses, metrics, predictions and weights."""
    torch.manual_seed(ranks.rank)  # all ranks must get the weights of rank 0
    model, told, training = make(), Told(), gc_content(ROWS, seed=1)
    controls = Controls(ranks=ranks, batch_per_device=per_device)
    plan = Plan.of(RECIPE, ROWS)
    validation = gc_content(61, seed=2)
    done = train(
        *(model, training, validation, RECIPE, plan), seed=5, progress=told, controls=controls
    )
    weights = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    statistics = [b.double().flatten() for n, b in model.named_buffers() if "running" in n]
    return done.losses, told.epochs, weights, torch.cat([torch.zeros(1), *statistics])


@pytest.mark.parametrize(
    ("make", "per_device"),
    [(noisy, RECIPE.batch_size // 2), (madlab, None), (pooled, None)],
    ids=["noisy", "madlab", "pooled"],
)
def test_two_ranks_train_as_one(make: Any, per_device: int | None) -> None:
    """The oracle is one process with two micro-batches; with batch norm, with the whole batch."""
    first, second = on_ranks(2, trained, make, None)
    losses, epochs, _, statistics = trained(ALONE, make, per_device)
    np.testing.assert_allclose(first[0], losses, rtol=2e-4)
    np.testing.assert_array_equal(first[0], second[0])
    assert torch.equal(first[2], second[2])
    torch.testing.assert_close(first[3], statistics, rtol=1e-2, atol=2e-3)
    assert second[1] == {}  # only rank 0 reports
    assert list(first[1]) == list(epochs)
    for step, figures in epochs.items():
        assert first[1][step] == pytest.approx(figures, rel=3e-2, abs=1e-3)  # rounding grows


def gradients(ranks: Ranks, per_device: int | None) -> tuple[float, list[Tensor]]:
    """Make one step; return its loss and its gradients."""
    torch.manual_seed(0)
    model, batches, recipe = Noisy(0.0), gc_content(ROWS, seed=1), Recipe(batch_size=32, l2=1e-3)
    micro_batches = MicroBatches.of(32, ranks, per_device)
    plan = Plan.of(recipe, ROWS)
    unclipped = Recipe(batch_size=32, l2=1e-3, clip_norm=0)
    update = TrainStep(model, unclipped, plan, micro_batches, ranks, seed=0)
    loss, _ = update(0, batches.shuffled(32, 3, cut=micro_batches.count, mine=micro_batches.mine))
    grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return ranks.sum(loss).item() / ranks.size, grads


def whole_batch() -> tuple[float, list[Tensor]]:
    """Return the oracle: the loss by its definition, on all rows at once."""
    torch.manual_seed(0)
    model = Noisy(0.0)
    tokens, target, _ = next(gc_content(ROWS, seed=1).shuffled(32, 3))
    loss = ((model(tokens) - target) ** 2).mean()
    for weight in model.parameters():
        if weight.ndim > 1:
            loss = loss + 1e-3 * (weight**2).sum()
    loss.backward()
    return loss.item(), [weight.grad for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize(("size", "per_device"), [(1, None), (1, 8), (2, None), (2, 4)])
def test_gradients_are_those_of_the_whole_batch(size: int, per_device: int | None) -> None:
    loss, wanted = whole_batch()
    found = on_ranks(2, gradients, per_device) if size == 2 else [gradients(ALONE, per_device)]
    for ours, grads in found:
        assert ours == pytest.approx(loss, rel=1e-5)
        for grad, want in zip(grads, wanted, strict=True):
            torch.testing.assert_close(grad, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("size", "start"), [(1, 0), (2, 0), (4, 7), (2, 12)])
def test_the_rows_of_a_batch_do_not_depend_on_the_ranks(size: int, start: int) -> None:
    batches = gc_content(100, seed=0)
    parts = [
        batches.shuffled(16, 9, start=start, cut=size, mine=range(rank, rank + 1))
        for rank in range(size)
    ]
    for number in range(start, start + 14):
        in_pass, at = divmod(number, 6)  # six batches of 16 a pass of 100 rows
        rows = np.random.default_rng((9, in_pass)).permutation(100)[at * 16 : at * 16 + 16]
        got = torch.cat([next(part)[1] for part in parts])
        assert torch.equal(got, batches.target[torch.from_numpy(rows)])


def predictions(ranks: Ranks, counts: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    prediction._BATCH = 4
    torch.manual_seed(0)
    model = Noisy(0.0)
    return [prediction.predict(model, gc_content(rows, seed=3), ranks) for rows in counts]


def test_predictions_of_all_rows_come_in_order_to_all_ranks() -> None:
    """The cases are odd numbers of rows, fewer rows than ranks, and no rows."""
    counts = (0, 1, 2, 4, 5, 8, 9, 23)
    torch.manual_seed(0)
    model = Noisy(0.0).eval()
    for found in on_ranks(3, predictions, counts):
        for rows, ours in zip(counts, found, strict=True):
            tokens = gc_content(rows, seed=3)._tokens
            assert tokens is not None
            np.testing.assert_allclose(ours, model(tokens).detach(), rtol=1e-5, atol=1e-6)
            assert len(ours) == rows


def words(ranks: Ranks, folder: Path) -> Any:
    """Call every method of the ranks, and return the results."""
    with ranks.leader_first():
        if ranks.leads:
            time.sleep(0.3)
            (folder / "cache").touch()
        found = (folder / "cache").exists()
    told = []
    for error in (LookupError("a"), StoppedError(15, "b")):

        def fail(error: Exception = error) -> None:
            raise error

        try:
            ranks.lead(fail)
        except Exception as raised:
            told.append((type(raised).__name__, str(raised), getattr(raised, "exit_status", 0)))
    tensors = {"w": torch.full((2, 2), ranks.rank + 0.5), "of": [-math.inf, None, "text", (1,)]}
    return (
        found,
        told,
        ranks.lead(lambda: ranks.rank + 40),
        ranks.broadcast({"of": ranks.rank}),
        str(ranks.broadcast(tensors)),
        ranks.largest([ranks.rank, 5 - ranks.rank, 3]),
        ranks.sum(torch.tensor([1.0, ranks.rank])).tolist(),
    )


def test_what_one_rank_says_all_hear(tmp_path: Path) -> None:
    stopped, tensor = (
        ("StoppedError", "b", 143),
        "tensor([[0.5000, 0.5000],\n        [0.5000, 0.5000]])",
    )
    heard = str({"w": "T", "of": [-math.inf, None, "text", (1,)]}).replace("'T'", tensor)
    rest = (40, {"of": 0}, heard, [1, 5, 3], [2.0, 1.0])
    zero = (True, [("LookupError", "a", 0), stopped], *rest)
    one = (True, [("RankError", "another rank failed: LookupError: a", 1), stopped], *rest)
    assert on_ranks(2, words, tmp_path) == [zero, one]


class Harmful:
    """An object that runs code where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def harmed(ranks: Ranks, file: Path) -> str:
    """Send an object that no rank may take over; return what became of it."""
    try:
        ranks.broadcast(Harmful(file))
    except pickle.UnpicklingError:
        return "refused"
    return "taken"


def test_what_a_rank_receives_runs_no_code(tmp_path: Path) -> None:
    file = tmp_path / "harmed"
    pickle.loads(pickle.dumps(Harmful(file)))
    assert file.exists()  # it works
    file.unlink()
    assert on_ranks(2, harmed, file) == ["taken", "refused"]  # rank 0 keeps its own
    assert not file.exists()


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
STEP = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "2",
    "SLURM_JOB_ID": "9",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "6",
}
SCRIPT = {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "9"}


@pytest.mark.parametrize(
    ("environment", "ranks"),
    [
        ({}, (0, 1, 0)),
        (TORCHRUN, (3, 8, 1)),
        (STEP, (5, 6, 2)),
        (SCRIPT, (0, 1, 0)),
        ({**STEP, **TORCHRUN}, (3, 8, 1)),
        ({"RANK": "3"}, (0, 1, 0)),
    ],
    ids=["none", "torchrun", "step", "script", "torchrun in a step", "half"],
)
def test_the_rank_is_read_from_the_environment(
    environment: Mapping[str, str], ranks: tuple[int, int, int]
) -> None:
    assert from_environment(environment) == Ranks(*ranks)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({**TORCHRUN, "RANK": "x"}, "RANK=x is not a whole number"),
        ({**TORCHRUN, "RANK": "-1"}, "RANK=-1 is not a whole number"),
        ({**TORCHRUN, "RANK": ""}, "RANK= is not a whole number"),
        ({**TORCHRUN, "RANK": "²"}, "RANK=² is not a whole number"),
        ({**TORCHRUN, "RANK": "8"}, "RANK=8 and WORLD_SIZE=8 name no process"),
        ({**TORCHRUN, "RANK": "0", "WORLD_SIZE": "0"}, "RANK=0 and WORLD_SIZE=0 name no process"),
        ({**TORCHRUN, "LOCAL_RANK": "one"}, "LOCAL_RANK=one is not a whole number"),
        ({**STEP, "SLURM_PROCID": "p"}, "SLURM_PROCID=p is not a whole number"),
        ({**STEP, "SLURM_LOCALID": "1.5"}, "SLURM_LOCALID=1.5 is not a whole number"),
        ({**STEP, "SLURM_PROCID": "6"}, "SLURM_PROCID=6 and SLURM_STEP_NUM_TASKS=6 name no"),
    ],
)
def test_a_rank_that_cannot_be_is_refused(environment: Mapping[str, str], words: str) -> None:
    with pytest.raises(BenchError) as refused:
        from_environment(environment)
    assert str(refused.value).startswith(words)


def test_a_step_without_an_address_says_what_to_set() -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MASTER_ADDR", "MASTER_PORT", "SLURM_LAUNCH_NODE_IPADDR"):
            patch.delenv(name, raising=False)
        with (
            pytest.raises(
                BenchError, match=r"SLURM_LAUNCH_NODE_IPADDR is not set\. Set MASTER_ADDR"
            ),
            joined(Ranks(0, 2), torch.device("cpu")),
        ):
            pass
