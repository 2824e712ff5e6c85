"""Strands of training rows, against reverse complements of Python strings."""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.dataset import Split
from bench.data.sequences import Sequences, Tokens, encode
from bench.errors import BenchError
from bench.model import Batch, Model
from bench.recipe import Recipe
from bench.training.batches import Batches, Strands
from bench.training.distributed import ALONE
from bench.training.loader import further_inputs
from bench.training.loop import train
from bench.training.micro_batches import MicroBatches
from bench.training.schedule import Plan
from bench.training.step import TrainStep
from tests.training.test_loop import Watch

TEXTS = ["ACGTN", "AACCC", "GGGGT", "TTATN", "CAGAG", "NNNNA", "CCCCC"]
ALL: tuple[Strands, ...] = ("forward", "both", "random", "paired")


def turned(text: str) -> str:
    return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def whole(sequences: Sequences) -> Tokens:
    return np.array(sequences.tokens)


def toy(
    texts: list[str] = TEXTS, *, doubled: bool = False, resident: bool = True, **columns: Any
) -> Batches:
    """Return batches whose target is the number of the row."""
    columns = {"reverse_strand": np.zeros(len(texts), dtype=bool), **columns}
    return Batches(
        encode(texts),
        np.arange(len(texts), dtype=np.float32),
        whole,
        reverse_complement=doubled,
        device=torch.device("cpu"),
        resident=resident,
        columns=columns,
    )


def spelt(batch: Batch) -> list[str]:
    return ["".join("ACGTN"[token] for token in row) for row in batch.tokens]


Shown = list[tuple[int, bool, str]]


def shown(batch: Batch) -> Shown:
    """Return number, flag and letters of every row."""
    flags = batch.columns["reverse_strand"]
    assert flags.dtype == torch.bool
    return list(zip(map(int, batch.target), flags.tolist(), spelt(batch), strict=True))


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("strands", ALL)
def test_every_row_is_shown_as_its_flag_says(
    strands: Strands, resident: bool, doubled: bool
) -> None:
    batches = toy(doubled=doubled, resident=resident)
    seen = [row for b in islice(batches.shuffled(3, 5, strands=strands), 8) for row in shown(b)]
    for number, reverse, letters in seen:
        text = TEXTS[number]
        first, second = (turned(text), text) if reverse else (text, turned(text))
        assert letters == (first + second if doubled else first)
    kinds = {reverse for _, reverse, _ in seen}
    assert kinds == ({False} if strands == "forward" else {False, True})


def test_both_strands_are_rows_of_one_shuffled_pass() -> None:
    batches = toy().shuffled(7, 3, strands="both")
    wanted = Counter((n, flag) for n in range(7) for flag in (False, True))
    passes = []
    for _ in range(3):
        rows = [row[:2] for batch in islice(batches, 2) for row in shown(batch)]
        assert Counter(rows) == wanted
        passes.append(tuple(rows))
    assert len(set(passes)) == 3
    firsts = [{flag for _, flag in rows[:7]} for rows in passes]
    assert {False, True} in firsts  # strands are not one after the other


def test_a_random_strand_is_drawn_for_every_row_and_pass() -> None:
    rows = 400
    batches = toy(["ACGTT"] * rows)
    passes = []
    for number in range(4):
        (batch,) = islice(batches.shuffled(rows, 3, strands="random", start=number), 1)
        flags = {n: flag for n, flag, _ in shown(batch)}
        assert sorted(flags) == list(range(rows))
        assert abs(sum(flags.values()) - rows / 2) < 5 * np.sqrt(rows / 4)
        assert [int(n) for n in batch.target] == batches.order(3, number).tolist()
        passes.append([flags[n] for n in range(rows)])
    for one, other in [(0, 1), (1, 2), (0, 3)]:
        same = np.equal(passes[one], passes[other]).sum()
        assert abs(same - rows / 2) < 5 * np.sqrt(rows / 4)
    again, another = (
        [flag for _, flag, _ in shown(next(batches.shuffled(rows, seed, strands="random")))]
        for seed in (3, 4)
    )
    assert [passes[0][n] for n in batches.order(3, 0).tolist()] == again != another


@pytest.mark.parametrize("cut", [1, 2])
def test_the_rows_of_a_paired_micro_batch_come_forward_and_then_reversed(cut: int) -> None:
    forward, paired = (
        islice(toy().shuffled(4, 3, strands=strands, cut=cut), 3 * cut)
        for strands in ("forward", "paired")
    )
    for one, two in zip(forward, paired, strict=True):
        half = 4 // cut
        assert shown(two)[:half] == shown(one)
        assert shown(two)[half:] == [(n, True, turned(TEXTS[n])) for n, _, _ in shown(one)]


@pytest.mark.parametrize("strands", ALL)
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize(("size", "parts", "start"), [(1, 1, 3), (2, 1, 0), (2, 2, 5), (1, 4, 2)])
def test_rows_and_strands_do_not_depend_on_ranks_micro_batches_or_a_resume(
    strands: Strands, resident: bool, size: int, parts: int, start: int
) -> None:
    """The oracle is one rank that makes every batch whole, from the first on, on the device."""
    cut = size * parts
    oracle = toy(TEXTS * 3).shuffled(8, 9, strands=strands)
    wanted = [Counter(shown(batch)) for batch in islice(oracle, start, start + 7)]
    ranks = [
        toy(TEXTS * 3, resident=resident).shuffled(
            8,
            9,
            strands=strands,
            start=start,
            cut=cut,
            mine=range(rank * parts, (rank + 1) * parts),
        )
        for rank in range(size)
    ]
    for batch in wanted:
        got = Counter(row for rank in ranks for b in islice(rank, parts) for row in shown(b))
        assert got == batch


def test_other_columns_stay_as_they_are_and_no_column_is_added() -> None:
    track = np.arange(35, dtype=np.float32).reshape(7, 5)  # a value for every position
    batches = toy(track=track)
    for batch in islice(batches.shuffled(7, 0, strands="both"), 2):
        for number, values in zip(batch.target, batch.columns["track"], strict=True):
            assert values.tolist() == track[int(number)].tolist()
    plain = Batches(
        encode(TEXTS),
        np.zeros(7, dtype=np.float32),
        whole,
        reverse_complement=False,
        device=torch.device("cpu"),
    )
    assert dict(next(plain.shuffled(7, 0, strands="both")).columns) == {}
    for batch in toy().in_order(3):
        assert not batch.columns["reverse_strand"].any()


class Flagged(Model):
    columns = ("dose", "reverse_strand")


def test_a_model_that_names_the_strand_is_given_it_beside_its_columns() -> None:
    rows = Split(encode(["ACG"] * 2), np.zeros(2), columns={"dose": np.array([1.0, 2.0])})
    assert list(Flagged.input_columns(None, rows)) == ["dose"]
    found = further_inputs(Flagged, None, rows)
    assert {name: values.tolist() for name, values in found.items()} == {
        "dose": [1.0, 2.0],
        "reverse_strand": [False, False],
    }
    assert further_inputs(Model, None, rows) == {}
    with pytest.raises(BenchError, match="reads the column 'dose' of every row"):
        further_inputs(Flagged, None, Split(rows.sequences, rows.target))


@pytest.mark.parametrize(
    ("strands", "steps"), [("forward", 6), ("both", 13), ("random", 6), ("paired", 6)]
)
def test_both_strands_double_the_steps_of_an_epoch(strands: Any, steps: int) -> None:
    recipe = Recipe(batch_size=10, epochs=3, passes=2, strands=strands)
    assert Plan.of(recipe, 65) == Plan(6 * steps, 2 * steps, 2 * steps)


def test_a_batch_may_be_as_large_as_both_strands_of_all_rows() -> None:
    assert Plan.of(Recipe(batch_size=128, epochs=1, strands="both"), 64).steps == 1
    with pytest.raises(BenchError, match=r"^128 training rows make no batch of 129"):
        Plan.of(Recipe(batch_size=129, strands="both"), 64)


class Weighted(Model):
    """A model with a weight for each base and position, and one for the flag."""

    columns = ("reverse_strand",)

    def __init__(self) -> None:
        super().__init__(None, 5)
        self.weights = nn.Parameter(torch.linspace(-1, 1, 30).reshape(5, 6))
        self.bias = nn.Parameter(torch.ones(()))

    def forward(self, tokens: Tensor, reverse_strand: Tensor) -> Tensor:
        each = self.weights[torch.arange(5), tokens.long()].sum(dim=1)
        return each + self.bias * reverse_strand


@pytest.mark.parametrize("per_device", [None, 2])
def test_the_loss_of_a_paired_batch_is_the_mean_over_both_strands(per_device: int | None) -> None:
    model, recipe = Weighted(), Recipe(batch_size=4, clip_norm=0, strands="paired")
    micro_batches = MicroBatches.of(4, ALONE, per_device)
    step = TrainStep(model, recipe, Plan.of(recipe, 7), micro_batches, ALONE, seed=0)
    weights, bias = model.weights.detach().double().numpy().copy(), model.bias.item()
    rows = toy().order(0, 0).tolist()[:4]
    loss, gradient = 0.0, 0.0
    for number in rows:
        for flag, text in enumerate((TEXTS[number], turned(TEXTS[number]))):
            error = sum(weights[i]["ACGTN".index(b)] for i, b in enumerate(text)) + bias * flag
            loss += (error - number) ** 2 / 8
            gradient += 2 * (error - number) * flag / 8
    batches = toy().shuffled(
        4, 0, strands="paired", cut=micro_batches.count, mine=micro_batches.mine
    )
    assert step(0, batches)[0].item() == pytest.approx(loss, rel=1e-5)
    assert model.bias.grad is not None
    assert model.bias.grad.item() == pytest.approx(gradient, rel=1e-5)


@pytest.mark.parametrize("strands", ALL)
def test_the_loop_trains_on_the_strands_of_the_recipe(
    strands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Shown] = []
    loss: Callable[[Model, Batch], Tensor] = Model.loss

    def noted(self: Model, batch: Batch) -> Tensor:
        seen.append(shown(batch))
        return loss(self, batch)

    monkeypatch.setattr(Weighted, "loss", noted)
    recipe = Recipe(batch_size=4, epochs=2, strands=strands)
    plan = Plan.of(recipe, len(TEXTS))
    train(Weighted(), toy(), toy(), recipe, plan, seed=11, progress=Watch())
    oracle = islice(toy().shuffled(4, 11, strands=strands), plan.steps)
    assert seen == [shown(batch) for batch in oracle]
    assert len(seen) == (6 if strands == "both" else 2)


def test_the_strands_are_those_of_the_recipe() -> None:
    assert get_args(Strands) == get_args(get_type_hints(Recipe)["strands"]) == ALL
