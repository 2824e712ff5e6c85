"""Layouts of sequences typed by hand, and a loop over strings as the second implementation."""

from itertools import product
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.layout import Layout, lay_out
from bench.data.sequences import MASK, Sequences, decode, encode
from tests.data.test_sequences import some

Side = Literal["left", "right", "both"]
Flanks = Literal["keep", "trim"]
SIDES: tuple[Side, ...] = ("left", "right", "both")
KEPT_OR_TRIMMED: tuple[Flanks, ...] = ("keep", "trim")
COMBINATIONS = list(product(SIDES, SIDES, KEPT_OR_TRIMMED))
dna = st.text("ACGTN", max_size=14)


def laid_out(texts: list[str], layout: Layout, length: int, flanks: tuple[int, int]) -> list[str]:
    return decode(lay_out(encode(texts), layout, length, flanks))


PADDED = {  # to three letters more
    "keep": {"right": "GGACGTACNNN", "left": "NNNGGACGTAC", "both": "NGGACGTACNN"},
    "trim": {"right": "ACGTANNN", "left": "NNNACGTA", "both": "NACGTANN"},
}
CROPPED = {  # by three letters
    "keep": {"right": "GGACG", "left": "CGTAC", "both": "GACGT"},
    "trim": {"right": "AC", "left": "TA", "both": "CG"},
}


@pytest.mark.parametrize(("pad", "crop", "flanks"), COMBINATIONS)
def test_n_are_added_and_letters_cut_where_the_layout_says(
    pad: Side, crop: Side, flanks: Flanks
) -> None:
    layout = Layout(pad=pad, crop=crop, flanks=flanks)
    text = "GGACGTAC"  # GG and C are its flanks
    whole = {"keep": "GGACGTAC", "trim": "ACGTA"}[flanks]
    for expected in (whole, PADDED[flanks][pad], CROPPED[flanks][crop]):
        assert laid_out([text], layout, len(expected), (2, 1)) == [expected]


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (Layout(pad="both"), "NNACGTANN"),
        (Layout(crop="both"), "CGT"),
        (Layout(crop="left"), "GTA"),
        (Layout(crop="right"), "ACG"),
        (Layout(), ""),
    ],
)
def test_an_even_remainder_is_halved_and_no_positions_hold_nothing(
    layout: Layout, expected: str
) -> None:
    assert laid_out(["ACGTA"], layout, len(expected), (0, 0)) == [expected]


@pytest.mark.parametrize("pad", SIDES)
def test_nothing_is_left_of_a_sequence_no_longer_than_its_flanks(pad: Side) -> None:
    texts = ["", "G", "GG", "GC", "GGC"]
    assert laid_out(texts, Layout(flanks="trim", pad=pad), 3, (2, 1)) == ["NNN"] * 5


def one_by_one(text: str, layout: Layout, length: int, flanks: tuple[int, int]) -> str:
    """Return a sequence cut and padded letter by letter; "both" alternates, right side first."""
    if layout.flanks == "trim":
        text = text[flanks[0] : max(len(text) - flanks[1], 0)]
    left = layout.crop == "left"
    while len(text) > length:
        text = text[1:] if left else text[:-1]
        left ^= layout.crop == "both"
    left = layout.pad == "left"
    while len(text) < length:
        text = f"N{text}" if left else f"{text}N"
        left ^= layout.pad == "both"
    return text


@given(
    texts=st.lists(dna, min_size=1, max_size=6).filter(any),
    sides=st.sampled_from(COMBINATIONS),
    length=st.integers(0, 16),
    flanks=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_any_set_of_sequences_is_laid_out_as_one_by_one(
    texts: list[str],
    sides: tuple[Side, Side, Flanks],
    length: int,
    flanks: tuple[int, int],
) -> None:
    layout = Layout(pad=sides[0], crop=sides[1], flanks=sides[2])
    expected = [one_by_one(text, layout, length, flanks) for text in texts]
    assert laid_out(texts, layout, length, flanks) == expected


@pytest.mark.parametrize(("pad", "crop", "flanks"), COMBINATIONS)
def test_a_row_is_laid_out_alike_alone_and_among_others(
    pad: Side, crop: Side, flanks: Flanks
) -> None:
    layout = Layout(pad=pad, crop=crop, flanks=flanks)
    texts = ["ACGT", "GGACGTACGTC", "T", "TACG", "CATCATC", "GGACGTACGTC"]
    together = laid_out(texts, layout, 6, (2, 1))
    alone = [laid_out([text], layout, 6, (2, 1))[0] for text in texts]
    assert together == alone
    assert laid_out(texts[::-1], layout, 6, (2, 1)) == together[::-1]


def test_the_sequences_stay_as_they_were() -> None:
    sequences = encode(["ACGT", "AC"])
    rows = lay_out(sequences, Layout(), 4, (0, 0))
    rows[:] = MASK
    assert decode(sequences.tokens) == ["ACGT", "ACNN"]


@pytest.mark.parametrize(
    ("flanks", "length", "expected"),
    [
        ("keep", 6, [True, True, False, False]),
        ("trim", 6, [True, True, True, True]),
        ("trim", 5, [True, True, True, False]),
        ("trim", 0, [True, False, False, False]),
    ],
)
def test_a_row_fits_when_its_letters_without_trimmed_flanks_do(
    flanks: Flanks, length: int, expected: list[bool]
) -> None:
    sequences = encode(["GC", "GGACGC", "GGACGTAC", "GGACGTAAC"])  # 2, 6, 8 and 9 letters
    longest = Layout(flanks=flanks, length=length).longest(99, (2, 1))
    assert (sequences.lengths <= longest).tolist() == expected


@pytest.mark.parametrize(
    ("layout", "strand"),
    [
        (Layout(), 110),
        (Layout(flanks="trim"), 80),
        (Layout(length=100), 100),
        (Layout(length=100, flanks="trim"), 100),
    ],
)
def test_a_strand_has_the_layouts_length_or_the_tasks(layout: Layout, strand: int) -> None:
    assert layout.strand_length(110, (17, 13)) == strand
    assert layout.positions(110, (17, 13)) == strand


def test_both_strands_take_twice_the_positions() -> None:
    layout = Layout(flanks="trim", reverse_complement=True)
    assert layout.strand_length(110, (17, 13)) == 80
    assert layout.positions(110, (17, 13)) == 160


def test_the_length_alone_says_where_a_row_ends() -> None:
    """A row may end in N that belong to its sequence, and the matrix may be wider than the row."""
    wider = Sequences(encode(["ACNNN"]).tokens, np.array([3], dtype=np.int32))
    assert decode(lay_out(wider, Layout(pad="left"), 5, (0, 0))) == ["NNACN"]


@pytest.mark.parametrize("choice", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 10])
def test_chunks_do_not_change_how_rows_are_laid_out(
    rows: int, choice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences, texts = some(choice)
    layout = Layout(flanks="trim", pad="both", crop="left")
    monkeypatch.setattr("bench.data.sequences._CHUNK", rows)
    expected = [one_by_one(text, layout, 5, (2, 1)) for text in texts]
    assert decode(lay_out(sequences, layout, 5, (2, 1))) == expected
