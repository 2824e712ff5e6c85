"""Sequences typed by hand, encoded and decoded, hashed and cut into chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.sequences import (
    MASK,
    Sequences,
    decode,
    encode,
    encode_letters,
    encode_lines,
    reverse_complement,
)
from tests.data.test_dataset import row_hash


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


MANY = ["ACGT", "GGACGTACGTC", "T", "TACG", "CATCATC", "", "GGACGTACG", "ACGTACGT", "NAN", "C"]
CHOICE = [7, 1, 1, 8, 0, 5, 9, 3, 2, 6, 4]


def some(choice: bool) -> tuple[Sequences, list[str]]:
    """All rows, or some of them in another order, with their text."""
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
def test_a_row_has_one_hash_in_any_chunk_choice_or_width(
    rows: int, choice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.sequences._CHUNK", rows)
    sequences, texts = some(choice)
    assert sequences.hashes().tolist() == [row_hash(text) for text in texts]
    alone = [int(encode([text]).hashes()[0]) for text in texts]
    assert sequences.hashes().tolist() == alone


def test_hashes_that_are_known_go_with_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes given with the rows are used; the tokens are not read."""
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
