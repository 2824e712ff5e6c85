"""Letters typed by hand, and a loop over strings as the second implementation."""

from itertools import product
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bench.data.sequences import (
    MASK,
    Layout,
    Sequences,
    decode,
    encode,
    encode_letters,
    encode_lines,
    lay_out,
    reverse_complement,
)
from tests.data.test_dataset import row_hash

Side = Literal["left", "right", "both"]
Flanks = Literal["keep", "trim"]
SIDES: tuple[Side, ...] = ("left", "right", "both")
KEPT_OR_TRIMMED: tuple[Flanks, ...] = ("keep", "trim")
COMBINATIONS = list(product(SIDES, SIDES, KEPT_OR_TRIMMED))
dna = st.text("ACGTN", max_size=14)


def laid_out(texts: list[str], layout: Layout, length: int, flanks: tuple[int, int]) -> list[str]:
    return decode(lay_out(encode(texts), layout, length, flanks))


def test_letters_of_either_case_become_tokens_and_rows_are_filled_with_n() -> None:
    sequences = encode(["ACGTN", "tgcan", "nT", ""])
    expected = [[0, 1, 2, 3, 4], [3, 2, 1, 0, 4], [4, 3, 4, 4, 4], [4, 4, 4, 4, 4]]
    assert sequences.tokens.tolist() == expected
    assert sequences.lengths.tolist() == [5, 5, 2, 0]
    assert len(sequences) == 4
    assert sequences.tokens.dtype == np.uint8
    assert sequences.lengths.dtype == np.int32


def test_ten_of_256_bytes_are_letters() -> None:
    tokens = encode_letters(np.arange(256, dtype=np.uint8))
    known = {65: 0, 67: 1, 71: 2, 84: 3, 78: 4, 97: 0, 99: 1, 103: 2, 116: 3, 110: 4}
    assert tokens.tolist() == [known.get(byte, 255) for byte in range(256)]


@pytest.mark.parametrize("text", ["ACX", "A-C", "A C", "AC\n", "AC\0", "ACU", "R", "é", "5"])
def test_another_letter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"letter|character"):
        encode(["ACGT", text])


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_sequences_and_empty_sequences_have_no_letters(texts: list[str]) -> None:
    sequences = encode(texts)
    assert sequences.lengths.tolist() == [0] * len(texts)
    assert [text.strip("N") for text in decode(sequences.tokens)] == texts


@given(st.lists(st.text("ACGTNacgtn", max_size=9), min_size=1).filter(any))
def test_decoding_gives_back_what_was_encoded(texts: list[str]) -> None:
    spelt = decode(encode(texts).tokens)
    width = max(map(len, texts))
    assert spelt == [text.upper() + "N" * (width - len(text)) for text in texts]


def test_rows_are_taken_in_the_order_given() -> None:
    taken = encode(["A", "CC", "GGG"]).take(np.array([2, 0, 2]))
    assert decode(taken.tokens) == ["GGG", "ANN", "GGG"]
    assert taken.lengths.tolist() == [3, 1, 3]


def test_the_other_strand_is_read_backwards_with_n_and_mask_kept() -> None:
    assert decode(reverse_complement(encode(["AACGN", "TTTTG"]).tokens)) == ["NCGTT", "CAAAA"]
    masked = np.array([0, MASK, 1, 4], dtype=np.uint8)
    assert reverse_complement(masked).tolist() == [4, 2, MASK, 3]


@given(st.text("ACGTN", min_size=1))
def test_the_other_strand_is_pythons_and_its_other_strand_is_the_first(text: str) -> None:
    tokens = encode([text, text]).tokens.reshape(2, 1, -1)
    other = reverse_complement(tokens)
    expected = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    assert decode(other[:, 0]) == [expected, expected]
    np.testing.assert_array_equal(reverse_complement(other), tokens)


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
    """Cut and pad letter by letter; "both" takes turns, the right side first."""
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


@hypothesis_settings(deadline=None)
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
    """A row may end in N of its own, which are letters, and the matrix may be wider."""
    wider = Sequences(encode(["ACNNN"]).tokens, np.array([3], dtype=np.int32))
    assert decode(lay_out(wider, Layout(pad="left"), 5, (0, 0))) == ["NNACN"]


MANY = ["ACGT", "GGACGTACGTC", "T", "TACG", "CATCATC", "", "GGACGTACG", "ACGTACGT", "NAN", "C"]
CHOICE = [7, 1, 1, 8, 0, 5, 9, 3, 2, 6, 4]


def some(choice: bool) -> tuple[Sequences, list[str]]:
    """All rows, or some of them in another order, with what they spell."""
    if not choice:
        return encode(MANY), MANY
    return encode(MANY).take(np.array(CHOICE)), [MANY[row] for row in CHOICE]


def spelt(sequences: Sequences) -> list[str]:
    letters = decode(sequences.tokens)
    return [text[:length] for text, length in zip(letters, sequences.lengths, strict=True)]


@pytest.mark.parametrize("choice", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 5, 10, 11, 50])
def test_chunks_are_all_rows_once_and_in_order(
    rows: int, choice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.sequences._CHUNK", rows)
    sequences, texts = some(choice)
    chunks = list(sequences.chunks())
    assert [text for _, chunk in chunks for text in spelt(chunk)] == texts
    assert all(spelt(chunk) == texts[part] for part, chunk in chunks)
    assert max(len(chunk) for _, chunk in chunks) == min(rows, len(texts))


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


@pytest.mark.parametrize("choice", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 10])
def test_a_row_has_one_hash_in_any_chunk_choice_or_width(
    rows: int, choice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.sequences._CHUNK", rows)
    sequences, texts = some(choice)
    assert sequences.hashes().tolist() == [row_hash(text) for text in texts]
    alone = [int(encode([text]).hashes()[0]) for text in texts]
    assert sequences.hashes().tolist() == alone


def test_hashes_that_are_known_go_with_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hashed the file has told what they are, and nobody reads the letters again."""
    monkeypatch.setattr("bench.data.sequences._CHUNK", 3)
    letters = encode(MANY)
    known = np.arange(100, 110, dtype=np.uint64)
    sequences = Sequences(letters.base, letters.lengths, None, known)
    assert sequences.hashes().tolist() == known.tolist()
    chosen = sequences.take(np.array([9, 2, 2, 5]))
    assert chosen.hashes().tolist() == [109, 102, 102, 105]
    assert chosen.take(np.array([3, 0])).hashes().tolist() == [105, 109]
    for rows in (sequences, chosen):
        chunks = [int(value) for _, chunk in rows.chunks() for value in chunk.hashes()]
        assert chunks == rows.hashes().tolist()


def test_rows_are_taken_from_taken_rows_by_number_or_slice() -> None:
    sequences, texts = some(choice=True)
    for rows in (slice(2, 7), slice(None), slice(-3, None), slice(4, 999), slice(None, None, -2)):
        assert spelt(sequences.take(rows)) == texts[rows]
        assert spelt(encode(MANY).take(rows)) == MANY[rows]
    assert spelt(sequences.take(np.array([10, 0, 0]))) == [texts[10], texts[0], texts[0]]
    assert sequences.take(slice(2, 4)).base is sequences.base  # no letter is copied


def test_lines_are_cut_to_a_width_that_their_lengths_and_faults_beyond_survive() -> None:
    sequences, good = encode_lines([b"ACGTX", b"NNa", b"AX", b"", b"acgtn\0"], width=4)
    assert decode(sequences.tokens[good]) == ["ACGT", "NNAN", "NNNN", "ACGT"]
    assert sequences.lengths.tolist() == [5, 3, 2, 0, 6]
    assert good.tolist() == [True, True, False, True, True]
