"""Context in layouts and shifted windows, typed by hand, from golden files and base by base."""

from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.layout import Layout, lay_out
from bench.data.sequences import decode, encode
from bench.errors import BenchError
from tests.conftest import golden_files

Side = Literal["left", "right", "both"]
Flanks = Literal["keep", "trim", "trim_left"]
SIDES: tuple[Side, ...] = ("left", "right", "both")
ALL_FLANKS: tuple[Flanks, ...] = ("keep", "trim", "trim_left")
COMBINATIONS = list(product(SIDES, SIDES, ALL_FLANKS))
dna = st.text("ACGT", max_size=9)


@pytest.mark.parametrize(
    ("layout", "length", "shift", "expected"),
    [
        # GG and C are the flanks of GGACGTAC.
        (Layout(flanks="trim_left"), 8, 0, "ACGTACNN"),
        (Layout(flanks="trim_left", crop="left"), 3, 0, "TAC"),
        (Layout(flanks="trim", context_left="TT", context_right="A"), 9, 0, "TTACGTAAN"),
        (Layout(flanks="trim", context_left="TT", pad="left"), 9, 0, "NNTTACGTA"),
        (Layout(flanks="trim", context_left="TT", pad="both"), 9, 0, "NTTACGTAN"),
        (Layout(flanks="trim", context_left="CCTT", crop="left"), 6, 0, "TACGTA"),
        (Layout(flanks="trim", context_left="CCTT", crop="left"), 4, 0, "CGTA"),
        (Layout(flanks="trim", context_left="CCTT", crop="right"), 3, 0, "CCT"),
        (Layout(flanks="trim", context_left="ccnt", crop="both"), 8, 0, "CCNTACGT"),
        (Layout(flanks="trim"), 6, 1, "CGTANN"),
        (Layout(flanks="trim"), 6, -2, "NNACGT"),
        (Layout(flanks="trim", context_left="CCTT", crop="left"), 6, -2, "CTTACG"),
        (Layout(flanks="trim", context_left="CCTT", crop="left"), 6, 2, "CGTANN"),
        (Layout(flanks="trim", context_right="GG"), 5, 1, "CGTAG"),
        (Layout(flanks="keep"), 6, 1, "GACGTA"),
        (Layout(flanks="keep"), 6, 99, "NNNNNN"),
        (Layout(flanks="keep"), 6, -99, "NNNNNN"),
    ],
)
def test_context_and_shifts_are_those_written_out(
    layout: Layout, length: int, shift: int, expected: str
) -> None:
    rows = lay_out(encode(["GGACGTAC"]), layout, length, (2, 1), shift=shift)
    assert decode(rows) == [expected]


def one_by_one(text: str, layout: Layout, length: int, flanks: tuple[int, int], shift: int) -> str:
    """Return a row from the numbers of its bases, cut off and added one by one, then moved."""
    if layout.flanks != "keep":
        right = flanks[1] if layout.flanks == "trim" else 0
        text = text[flanks[0] : max(len(text) - right, 0)]
    text = layout.context_left + text + layout.context_right
    first, last = 0, len(text)
    left = layout.crop == "left"
    while last - first > length:
        first, last = (first + 1, last) if left else (first, last - 1)
        left ^= layout.crop == "both"
    left = layout.pad == "left"
    while last - first < length:
        first, last = (first - 1, last) if left else (first, last + 1)
        left ^= layout.pad == "both"
    window = range(first + shift, last + shift)
    return "".join(text[at] if 0 <= at < len(text) else "N" for at in window)


@given(
    texts=st.lists(dna, min_size=1, max_size=5).filter(any),
    sides=st.sampled_from(COMBINATIONS),
    context=st.tuples(dna, dna),
    length=st.integers(0, 20),
    flanks=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    shift=st.integers(-6, 6),
)
def test_any_set_of_sequences_is_laid_out_as_one_by_one(
    texts: list[str],
    sides: tuple[Side, Side, Flanks],
    context: tuple[str, str],
    length: int,
    flanks: tuple[int, int],
    shift: int,
) -> None:
    layout = Layout(
        pad=sides[0],
        crop=sides[1],
        flanks=sides[2],
        context_left=context[0],
        context_right=context[1],
    )
    expected = [one_by_one(text, layout, length, flanks, shift) for text in texts]
    assert decode(lay_out(encode(texts), layout, length, flanks, shift=shift)) == expected


@pytest.mark.parametrize(("pad", "crop", "flanks"), COMBINATIONS)
@pytest.mark.parametrize("context", [("", ""), ("NNN", ""), ("", "NN"), ("NN", "NNN"), ("N", "N")])
def test_the_longest_row_is_the_last_that_loses_no_base(
    pad: Side, crop: Side, flanks: Flanks, context: tuple[str, str]
) -> None:
    """Context is N here, so that the letters left over are those of the sequence."""
    layout = Layout(
        pad=pad,
        crop=crop,
        flanks=flanks,
        length=7,
        context_left=context[0],
        context_right=context[1],
    )
    cut = {"keep": 0, "trim": 3, "trim_left": 2}[flanks]
    whole = []
    for letters in range(cut, 20):
        (row,) = decode(lay_out(encode(["A" * letters]), layout, 7, (2, 1)))
        if row.count("A") == letters - cut:
            whole.append(letters)
    assert layout.longest(99, (2, 1)) == whole[-1]
    assert whole == list(range(cut, whole[-1] + 1))


@pytest.mark.parametrize(
    ("layout", "strand", "longest"),
    [
        (Layout(flanks="trim_left"), 93, 110),
        (Layout(flanks="trim_left", length=150, crop="left"), 150, 167),
        (Layout(flanks="trim", context_left="ACG", context_right="T"), 84, 111),
        (Layout(context_left="A" * 150, length=150, flanks="trim_left", crop="left"), 150, 167),
        (Layout(context_left="A" * 150, length=150, flanks="trim_left", crop="right"), 150, 17),
        (Layout(context_left="A" * 200, length=150, flanks="trim_left", crop="right"), 150, 17),
    ],
)
def test_lengths_with_context_are_those_worked_out(
    layout: Layout, strand: int, longest: int
) -> None:
    assert layout.strand_length(110, (17, 13)) == layout.positions(110, (17, 13)) == strand
    assert layout.longest(110, (17, 13)) == longest


@pytest.mark.parametrize("field", ["context_left", "context_right"])
def test_letters_that_are_no_bases_are_refused(field: str) -> None:
    options: dict[str, Any] = {field: "ACUG"}
    with pytest.raises(BenchError, match="context is of the letters ACGTN; got 'U'"):
        Layout(**options)


PADDED = golden_files("dream_nets/legnet_full.npz")


@pytest.mark.skipif(not PADDED, reason="golden outputs: set BENCH_GOLDEN")
@pytest.mark.parametrize("path", PADDED, ids=lambda path: path.stem)
def test_rows_in_a_plasmid_are_those_of_the_submitted_program(path: Path) -> None:
    """The plasmid is read off the shortest row, which shows the most of it."""
    with np.load(path) as golden:
        texts = [str(text) for text in golden["sequences"]]
        padded, tokens = [str(text) for text in golden["padded"]], golden["tokens"]
    insert = min(map(len, texts)) - 17
    shortest = padded[int(np.argmin([len(text) for text in texts]))]
    plasmid = "A" * insert + shortest[: 150 - insert]
    layout = Layout(flanks="trim_left", context_left=plasmid, length=150, pad="left", crop="left")
    rows = lay_out(encode(texts), layout, 150, (17, 13))
    assert decode(rows) == padded
    np.testing.assert_array_equal(rows, tokens)
    assert len(set(map(len, texts))) > 3
