"""Checks of a task: its card, its rows, its simulation, and how it reads them."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.config import as_dict, describe, override
from bench.contract.report import fail, several, skip
from bench.contract.task_data import TaskData
from bench.data.dataset import SPLITS, Dataset, Split
from bench.data.neighbours import nearest
from bench.data.sequences import N, decode

_AUDITED = 2_000  # test rows
_SHARED = 0.01  # share of the test rows that may also be training rows
_TIMES = 12  # bytes of memory per byte of a file that a reader may take
_LEAST = 1 << 20  # bytes of files that say something about memory
_EQUAL = 0.9  # share of the rows that may have one target


def test_card(task_data: TaskData) -> None:
    """`bench tasks NAME` shows the card."""
    card = getattr(task_data.kind, "card", None)
    if card is None:
        fail("there is no card: card = TaskCard(summary=…, version=1, …)")
    if not (card.summary and card.row and card.target and card.version >= 1):
        fail("the card needs a summary, what a row is, what the target is, and a version from 1")


def test_options_round_trip(task_data: TaskData) -> None:
    """Options are stored as JSON and read again."""
    kind = task_data.kind.Options
    text = json.dumps(as_dict(kind()))
    if override(kind(), json.loads(text), section="task") != kind():
        fail(f"{kind.__name__} read from its JSON differs from what was written: {text}")
    if silent := [row["name"] for row in describe(kind) if not row["meaning"]]:
        fail(f"{several(silent)}: say what it means by setting(default, 'meaning')")


def test_reads(task_data: TaskData) -> None:
    """All three splits have rows, whose letters are known."""
    for name in SPLITS:
        split: Split = getattr(task_data.dataset, name)
        if not len(split):
            fail(f"there are no {name} rows")
        if not split.sequences.lengths.min():
            fail(f"a sequence of the {name} rows is empty")
        first = split.sequences.take(slice(0, 10_000))
        if (first.tokens[:, : int(first.lengths.min())] >= N).mean() > 0.5:
            fail(f"more than half of the letters of the {name} rows are N: are they encoded?")


@pytest.mark.needs("reads")
def test_fingerprint_stable(task_data: TaskData) -> None:
    """A second reading, also in another process, gives the same rows in the same order."""
    before = task_data.dataset.fingerprint
    if task_data.read(task_data.folder).fingerprint != before:
        fail("a second reading gives other rows: seed what is drawn, and keep the order of rows")
    if task_data.target.what is None:
        skip("the class has no file that another process could import")
    if task_data.read_elsewhere(task_data.folder).fingerprint != before:
        fail(
            "another process reads other rows: use no hash() of a text and no order of a set, "
            "which change from process to process"
        )


@pytest.mark.needs("reads", "fingerprint stable")
def test_test_rows_alone(task_data: TaskData) -> None:
    """Scoring reads only the test rows, which equal those of training."""
    alone, whole = task_data.task.read_test(task_data.folder), task_data.test
    if alone.fingerprint != whole.fingerprint:
        fail("read_test returns other rows than read: scores would be of other rows")
    if alone.subsets_fingerprint != whole.subsets_fingerprint or alone.name != whole.name:
        fail("read_test returns other subsets or another name than read")


@pytest.mark.needs("reads")
def test_splits_disjoint(task_data: TaskData) -> None:
    """A row that is trained on says nothing about new rows."""
    data = task_data.dataset
    known = {name: _keys(getattr(data, name)) for name in SPLITS}
    for name, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        share = float(np.isin(known[other], known[name]).mean())
        if share > _SHARED:
            fail(f"{share:.1%} of the {other} rows are {name} rows, too: split by sequence")


def _keys(split: Split) -> NDArray[np.uint64]:
    """Return a hash of the sequence and of the text columns of every row."""
    keys = split.sequences.hashes().astype(np.uint64)
    for column in split.columns.values():
        if column.dtype.kind in "US":
            _, of = np.unique(column, return_inverse=True)
            keys = keys * np.uint64(1_000_003) + of.astype(np.uint64)
    return keys


@pytest.mark.needs("reads")
def test_leak_audit(task_data: TaskData, record_property: Callable[[str, object], None]) -> None:
    """How many test rows have a near training row, by substitutions, on both strands."""
    data = task_data.dataset
    rows = np.random.default_rng(0).permutation(len(data.test))[:_AUDITED]
    found = nearest(data.test.sequences.take(rows), data.train.sequences, data.flanks)
    counts = found.counts()
    near = ", ".join(f"{n:,} with {d} substitutions" for d, n in enumerate(counts) if n) or "none"
    record_property("measured", f"near a training row, of {len(rows):,} test rows: {near}")


@pytest.mark.needs("reads")
def test_target_spread(task_data: TaskData) -> None:
    """Targets are finite numbers that differ, in all splits."""
    for name in SPLITS:
        target = getattr(task_data.dataset, name).target
        if not np.isfinite(target).all():
            fail(f"{name} targets are NaN or infinite: leave these rows out")
        values, counts = np.unique(target, return_counts=True)
        if len(values) < 3:
            fail(f"{name} targets have {len(values)} values only: this is no number to predict")
        share = counts.max() / len(target)
        if share > _EQUAL:
            fail(f"{share:.0%} of the {name} targets are {values[counts.argmax()]:g}")


@pytest.mark.needs("reads")
def test_flanks_constant(task_data: TaskData) -> None:
    """The declared flanks are the same in every training row, as models cut them off."""
    data = task_data.dataset
    left, right = data.flanks
    some = data.train.sequences.take(slice(0, 1_000))
    texts = [t[:n] for t, n in zip(decode(some.tokens), some.lengths, strict=True)]
    ends = {text[:left] for text in texts}, {text[len(text) - right :] for text in texts}
    if max(map(len, ends)) > 1:
        fail(f"flanks={data.flanks} are not the same in every row: models would cut off bases")


@pytest.mark.needs("reads", "fingerprint stable")
def test_simulation(task_data: TaskData) -> None:
    """`--simulate` writes files in the real layout; the seed alone decides what is in them."""
    if not task_data.target.simulates:
        skip("the task has no simulation")
    simulated = task_data.read(task_data.simulated())
    again = task_data.read(task_data.simulated(again=True))
    if simulated.fingerprint != again.fingerprint:
        fail("two simulations with the same seed differ: draw with default_rng(seed)")
    real = task_data.dataset
    for what, one, other in zip(
        ("flanks", "columns", "parts of the test rows"),
        _layout(task_data, simulated),
        _layout(task_data, real),
        strict=True,
    ):
        if one != other:
            fail(f"simulated rows have other {what} than the real ones: {one}, not {other}")


def _layout(task_data: TaskData, data: Dataset) -> tuple[object, ...]:
    columns = {n: c.dtype.kind for n, c in sorted(data.train.columns.items())}
    return data.flanks, columns, sorted(data.test.subsets)


@pytest.mark.slow
@pytest.mark.needs("reads")
def test_reading_is_streaming(
    task_data: TaskData, record_property: Callable[[str, object], None]
) -> None:
    """Memory does not grow with the files, so millions of rows can be read."""
    if task_data.target.what is None:
        skip("the class has no file that another process could import")
    if not task_data.target.simulates:
        skip("the task has no simulation, so there are no files of two sizes")
    folders = task_data.simulated(), task_data.simulated(large=True)
    sizes = [sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) for folder in folders]
    peaks = [task_data.read_elsewhere(folder).peak for folder in folders]
    more, memory = sizes[1] - sizes[0], peaks[1] - peaks[0]
    if more < _LEAST:
        skip(f"40 times the rows are only {more / 1e6:.1f} MB more of files")
    if memory > _TIMES * more:
        fail(
            f"{more / 1e6:.0f} MB more of files take {memory / 1e6:.0f} MB more of memory: read "
            "line by line (bench.data.text_lines) or into arrays, not into lists of texts"
        )
    record_property("measured", f"{memory / more:.1f} bytes of memory per byte of a file")
