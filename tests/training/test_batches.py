"""Batches are the same from the device and from disk, and their thread ends in time."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.dataset import Dataset, Split, TestSet
from bench.data.layout import Layout
from bench.data.sequences import Sequences, Tokens, encode
from bench.training.batches import Batches, prefetched
from bench.training.loader import Loader

CPU = torch.device("cpu")
LAYOUTS = [
    Layout(),
    Layout(flanks="trim", length=7, pad="both", crop="both", reverse_complement=True),
    Layout(length=12, pad="left", crop="left"),
]


def split(rows: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    tokens = random.integers(0, 5, (rows, 14), dtype=np.uint8)
    lengths = random.integers(5, 15, rows).astype(np.int32)
    tokens[np.arange(14) >= lengths[:, None]] = 4
    return Split(Sequences(tokens, lengths), random.normal(size=rows))


def dataset() -> Dataset:
    test = split(20, 3)
    return Dataset(
        name="toy",
        version=1,
        options={},
        usual_length=10,
        flanks=(2, 1),
        train=split(150, 1).take(np.arange(149, 9, -1)),
        validation=split(30, 2),
        test=TestSet(test.sequences, test.target, "toy"),
    )


def loaders(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> tuple[Loader, Loader]:
    kept = Loader(dataset(), layout, standardize=True, device=CPU)
    monkeypatch.setattr("bench.training.loader.room_for_rows", lambda device: 100)
    streamed = Loader(dataset(), layout, standardize=True, device=CPU)
    assert (kept.resident, streamed.resident) == (True, False)
    return kept, streamed


@pytest.mark.parametrize("layout", LAYOUTS)
def test_kept_and_streamed_batches_are_equal(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, streamed = loaders(layout, monkeypatch)
    ours, theirs = kept.training(), streamed.training()
    pairs = zip(ours.shuffled(32, seed=5), theirs.shuffled(32, seed=5), strict=True)
    for (a, x, _), (b, y, _) in islice(pairs, 11):  # beyond two passes of four
        assert torch.equal(a, b)
        assert torch.equal(x, y)
    for first, second in (
        (kept.test(), streamed.test()),
        (kept.validation(), streamed.validation()),
    ):
        both = list(zip(first.in_order(7), second.in_order(7), strict=True))
        assert sum(len(x) for (_, x, _), _ in both) == len(first)
        assert all(torch.equal(a, b) for (a, _, _), (b, _, _) in both)


def columns_of(rows: Split) -> Mapping[str, Any]:
    """Return inputs of every type and shape, made of the first base of a row."""
    first = rows.sequences.tokens[:, 0].astype(np.int64)
    return {
        "share": first / 10,
        "pair": np.stack([first, -first], axis=1).astype(">i2"),
        "late": first > 1,
        "first": first.astype(np.uint16),
    }


@pytest.mark.parametrize("resident", [True, False])
def test_the_columns_of_a_batch_are_those_of_its_rows(
    resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.training.loader.room_for_rows", lambda device: 10**6 if resident else 100
    )
    loader = Loader(dataset(), Layout(), standardize=True, device=CPU, input_columns=columns_of)
    assert loader.resident is resident
    steps = list(islice(loader.training().shuffled(32, seed=5), 9))
    ordered = [*loader.validation().in_order(7), *loader.test().in_order(7)]
    for tokens, _, columns in [*steps, *ordered]:
        first = tokens[:, 0].long()
        torch.testing.assert_close(columns["share"], first.float() / 10)
        assert torch.equal(columns["pair"].long(), torch.stack([first, -first], dim=1))
        assert torch.equal(columns["late"], first > 1)
        assert torch.equal(columns["first"], first)
    kinds = {name: column.dtype for name, column in steps[0].columns.items()}
    assert kinds == {
        "share": torch.float32,
        "pair": torch.int16,
        "late": torch.bool,
        "first": torch.int64,
    }


def test_kept_and_streamed_columns_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    both = []
    for room in (10**6, 100):
        monkeypatch.setattr("bench.training.loader.room_for_rows", lambda device, room=room: room)
        loader = Loader(
            dataset(), LAYOUTS[1], standardize=True, device=CPU, input_columns=columns_of
        )
        both.append(islice(loader.training().shuffled(32, seed=5), 9))
    for kept, streamed in zip(*both, strict=True):
        assert list(kept.columns) == list(streamed.columns) == ["share", "pair", "late", "first"]
        assert all(torch.equal(kept.columns[n], streamed.columns[n]) for n in kept.columns)


def test_room_is_taken_by_columns_too(monkeypatch: pytest.MonkeyPatch) -> None:
    room = 190 * 7 + 190 * (4 + 4 + 1 + 8)  # float32, a pair of int16, a bool, int64
    for free, resident in ((room, True), (room - 1, False)):
        monkeypatch.setattr("bench.training.loader.room_for_rows", lambda device, free=free: free)
        loader = Loader(
            dataset(), LAYOUTS[1], standardize=True, device=CPU, input_columns=columns_of
        )
        assert loader.resident is resident


def test_a_batch_is_a_slice_of_the_shuffled_rows() -> None:
    batches = Loader(dataset(), Layout(), standardize=False, device=CPU).training()
    target, tokens = batches.target, next(batches.in_order(140))[0]
    steps = list(islice(batches.shuffled(32, seed=1), 8))
    for number in (0, 1):
        order = batches.order(1, number)
        for place in range(4):
            rows = order[place * 32 : place * 32 + 32]
            found = steps[number * 4 + place]
            assert torch.equal(found[0], tokens[rows])
            assert torch.equal(found[1], target[rows])


TEXTS = ["ACGTN", "AACCC", "GGGGT", "TTATN", "CAGAG", "NNNNA"]


def whole(sequences: Sequences) -> Tokens:
    return np.array(sequences.tokens)


def toy(
    lay_out: Callable[[Sequences], Tokens] = whole, *, both: bool = False, resident: bool = True
) -> Batches:
    return Batches(
        encode(TEXTS),
        np.arange(len(TEXTS), dtype=np.float32),
        lay_out,
        reverse_complement=both,
        device=CPU,
        resident=resident,
    )


@pytest.mark.parametrize("resident", [True, False])
def test_the_other_strand_follows_the_first(resident: bool) -> None:
    tokens = torch.cat([x for x, _, _ in toy(both=True, resident=resident).in_order(4)])
    spelt = ["".join("ACGTN"[token] for token in row) for row in tokens]
    assert spelt == [text + text.translate(str.maketrans("ACGT", "TGCA"))[::-1] for text in TEXTS]


def test_a_hidden_letter_is_hidden_on_the_other_strand_too() -> None:
    batches = toy(lambda rows: np.full((len(rows), 2), 5, dtype=np.uint8), both=True)
    assert next(batches.in_order(1))[0].tolist() == [[5, 5, 5, 5]]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_a_size_that_divides_the_rows_leaves_none_out_of_a_pass(size: int, resident: bool) -> None:
    steps = toy(resident=resident).shuffled(size, seed=0)
    for _ in range(3):
        rows = [int(row) for _, target, _ in islice(steps, 6 // size) for row in target]
        assert sorted(rows) == list(range(6))


def test_seed_and_pass_each_decide_the_order() -> None:
    batches = Loader(dataset(), Layout(), standardize=False, device=CPU).training()
    orders = [batches.order(seed, number).tolist() for seed in (0, 1, 2) for number in (0, 1, 2)]
    assert all(sorted(order) == list(range(140)) for order in orders)
    assert len(set(map(tuple, orders))) == 9
    again = Loader(dataset(), Layout(), standardize=False, device=CPU).training()
    assert again.order(2, 1).tolist() == orders[7]


def test_rows_that_are_not_kept_are_laid_out_by_a_thread_a_few_batches_ahead() -> None:
    threads: list[str] = []

    def noted(sequences: Sequences) -> Tokens:
        threads.append(threading.current_thread().name)
        return whole(sequences)

    steps = toy(noted, resident=False).shuffled(2, seed=0)
    next(steps)
    time.sleep(0.3)
    assert set(threads) == {"batches"}
    assert 2 <= len(threads) <= 6
    steps.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("room", "resident"), [(140 * 7 + 30 * 7 + 20 * 7, True), (190 * 7 - 1, False)]
)
def test_rows_are_kept_while_the_positions_of_all_splits_fit(
    room: int, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.training.loader.room_for_rows", lambda device: room)
    loader = Loader(dataset(), LAYOUTS[1], standardize=True, device=CPU)
    assert loader.resident is resident
    for made in (loader.training(), loader.validation(), loader.test()):
        assert (made._tokens is not None) is resident


def test_the_thread_has_ended_when_the_stream_is_closed() -> None:
    """The thread may be making an item; the interpreter must wait for its end."""

    def items() -> Iterator[int]:
        while True:
            time.sleep(0.3)
            yield 1

    stream = prefetched(items(), 4)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert "batches" not in [thread.name for thread in threading.enumerate()]


def test_a_program_ends_although_a_stream_is_open() -> None:
    code = (
        "import itertools; from bench.training.batches import prefetched\n"
        "stream = prefetched(itertools.count(), 4); next(stream)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert done.stderr == b""


def test_items_come_in_order_whoever_makes_them() -> None:
    assert list(prefetched(iter(range(50)), 3)) == list(range(50))
    assert list(prefetched(iter([]), 3)) == []


def test_a_fault_in_the_making_is_raised_where_the_item_is_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    made = prefetched(items(), 4)
    assert next(made) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)


def test_the_thread_is_a_few_items_ahead_and_ends_when_nobody_asks() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            made.append(item)
            yield item

    before = threading.active_count()
    stream = prefetched(items(), 4)
    assert next(stream) == 0
    time.sleep(0.2)
    assert len(made) <= 6
    stream.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


CODE = """
import os, resource, sys
os.environ["POLARS_MAX_THREADS"] = "1"
from pathlib import Path
import polars, sklearn.linear_model, torch
from bench.cli.program import cli
from bench.training import loader
room = {"free": 1 << 40, "limited": 20 << 20, "too much": 1 << 40}[sys.argv[1]]
loader.room_for_rows = lambda device: room
if sys.argv[1] != "free":
    now = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (now + (430 << 20),) * 2)
torch.set_num_threads(1)
cli.main(sys.argv[2:], standalone_mode=False)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA is Linux'")
def test_a_set_larger_than_the_memory_trains_to_the_same_weights(tmp_path: Path) -> None:
    """4 million rows, 450 MB encoded, where a process may claim 430 MB more than it starts with."""
    from bench.registry import TASKS
    from bench.sources.locate import write_simulation

    write_simulation(TASKS.get("dream"), tmp_path / "data", rows=4_000_000, seed=0)
    weights, finished = [], []
    for kind in ("free", "limited", "too much"):
        command = [
            *("run", "--model", "kmer-ridge", "--task", "dream", "--set", "model.k=4"),
            *("--data", str(tmp_path / "data"), "--home", str(tmp_path / kind), "--no-tracking"),
        ]
        done = subprocess.run([sys.executable, "-c", CODE, kind, *command], check=False)
        finished.append(done.returncode == 0)
        weights += [path.read_bytes() for path in (tmp_path / kind).glob("*/model.safetensors")]
    assert finished == [True, True, False]  # resident rows do not fit
    assert len(weights) == 2
    assert weights[0] == weights[1]
