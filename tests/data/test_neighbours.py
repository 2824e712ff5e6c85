"""Nearest neighbours against comparing every pair of letters, and against planted mutants."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.data import neighbours, sequences
from bench.data.dataset import Dataset, Split
from bench.data.neighbours import nearest, repeats
from bench.data.sequences import Sequences, encode
from bench.registry import TASKS

PARTNER = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
LEFT, RIGHT = "TGCATTTTTTTCACATC", "GGTTACGGCTGTT"


def dna(source: random.Random, letters: int) -> str:
    return "".join(source.choices("ACGT", k=letters))


def other_strand(text: str) -> str:
    return "".join(PARTNER[letter] for letter in reversed(text))


def mutate(source: random.Random, text: str, substitutions: int) -> str:
    letters = list(text)
    for place in source.sample(range(len(text)), substitutions):
        letters[place] = source.choice([letter for letter in "ACGT" if letter != letters[place]])
    return "".join(letters)


def lacking(test: str, train: str) -> int:
    """Return the number of mismatches at the best shift, counted letter by letter."""
    if train in (test, other_strand(test)):
        return 0
    fewest = len(test)
    for strand in (test, other_strand(test)):
        for shift in range(-len(test), len(train) + 1):
            partners = (
                train[i + shift] if 0 <= i + shift < len(train) else "-" for i in range(len(test))
            )
            equal = sum(x == y != "N" for x, y in zip(strand, partners, strict=True))
            fewest = min(fewest, len(test) - equal)
    return fewest


def check(test: list[str], train: list[str], within: int) -> neighbours.Neighbours:
    """Compare with plain loops: found distances are right, and the search is complete as stated."""
    found = nearest(encode(test), encode(train), (0, 0), within=within)
    for i, text in enumerate(test):
        every = [lacking(text, other) for other in train]
        distance, row = found.distance[i], found.row[i]
        assert (distance == -1) == (row == -1)
        if distance >= 0:
            assert distance == every[row]
            assert distance <= within
        if text and text in train:
            assert distance == 0
        if every and min(every) <= found.complete[i]:
            assert distance == min(every)
            assert row == every.index(distance)
    return found


def test_random_rows_and_their_mutants_are_found_as_by_comparing_everything() -> None:
    source = random.Random(0)
    train = [dna(source, 80) for _ in range(16)]
    test = [mutate(source, train[i], i) for i in range(8)] + [dna(source, 80) for _ in range(4)]
    found = check(test, train, 5)
    assert found.distance.tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1, -1, -1, -1]
    assert found.row.tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1, -1, -1, -1]
    assert found.complete.tolist() == [5] * 12
    assert found.counts().tolist() == [1] * 6


@pytest.mark.parametrize("within", [0, 1, 2])
@settings(max_examples=60)
@given(data=st.data())
def test_any_edit_of_any_rows_is_found_as_by_comparing_everything(
    within: int, data: st.DataObject
) -> None:
    texts = st.text("ACGTN", min_size=20, max_size=40) | st.sampled_from(
        ["", "A", "ACG", "A" * 30, "AT" * 15, "CATG" * 8]
    )
    train = data.draw(st.lists(texts, max_size=5))
    test = data.draw(st.lists(texts, max_size=2))
    for text in train:
        cut = data.draw(st.integers(0, 2))
        letters = list(data.draw(st.sampled_from(["", "G", "TA"])) + text[cut:])
        for place in data.draw(st.lists(st.integers(0, 40), max_size=within)):
            letters[place : place + 1] = data.draw(st.sampled_from("ACGTN")) if letters else ""
        edited = "".join(letters)
        test.append(other_strand(edited) if data.draw(st.booleans()) else edited)
    check(test, train, within)


def test_a_tenth_of_the_rows_planted_as_mutants_is_counted_by_distance() -> None:
    source = random.Random(1)
    test = [dna(source, 80) for _ in range(3000)]
    planted = {row: row // 10 % 6 for row in range(0, 3000, 10)}
    mutants = [mutate(source, test[row], substitutions) for row, substitutions in planted.items()]
    train = [dna(source, source.choice([79, 80, 81])) for _ in range(20_000)] + mutants
    order = source.sample(range(len(train)), len(train))
    found = nearest(encode(test), encode([train[i] for i in order]), (0, 0))
    assert found.counts().tolist() == [50] * 6
    assert {row: found.distance[row] for row in planted} == planted
    at = {i: place for place, i in enumerate(order)}
    for nth, row in enumerate(planted):
        assert found.row[row] == at[20_000 + nth]
    assert (np.delete(found.distance, list(planted)) == -1).all()


@pytest.mark.parametrize("whole", range(6))
def test_any_one_block_left_whole_is_enough(whole: int) -> None:
    source = random.Random(whole)
    text = dna(source, 78)  # six blocks of 13
    blocks = [text[at : at + 13] for at in range(0, 78, 13)]
    mutant = "".join(
        block if i == whole else mutate(source, block, 1) for i, block in enumerate(blocks)
    )
    for other in (mutant, other_strand(mutant)):
        assert nearest(encode([text]), encode([other]), (0, 0)).distance.tolist() == [5]


def test_the_other_strand_and_shifted_copies_are_neighbours() -> None:
    source = random.Random(2)
    text, more = dna(source, 80), dna(source, 30)
    train = [
        other_strand(text),
        more[:20] + text + more[20:],
        text[3:] + more[:3],
        other_strand(more[:2] + text[:-2]),
    ]
    for other, distance in zip(train, [0, 0, 3, 2], strict=True):
        found = check([text], [dna(source, 80), other], 5)
        assert (found.distance.tolist(), found.row.tolist()) == ([distance], [1])


def test_letters_without_a_partner_count_on_the_test_side_only() -> None:
    source = random.Random(3)
    text = dna(source, 80)
    shorter, longer = text[2:-2], "GC" + text + "AT"
    assert nearest(encode([text]), encode([shorter]), (0, 0)).distance.tolist() == [4]
    assert nearest(encode([text]), encode([longer]), (0, 0)).distance.tolist() == [0]
    for five in (text[5:], text[:-5]):
        assert nearest(encode([text]), encode([five]), (0, 0)).distance.tolist() == [5]
    for six in (text[6:], text[:-6]):
        assert nearest(encode([text]), encode([six]), (0, 0)).distance.tolist() == [-1]


def test_an_n_repeats_nothing_not_even_an_n_unless_whole_rows_are_equal() -> None:
    source = random.Random(4)
    text = dna(source, 80)
    holed = text[:40] + "N" + text[41:]
    for test, train in [(holed, text), (text, holed)]:
        assert nearest(encode([test]), encode([train]), (0, 0)).distance.tolist() == [1]
    assert check([holed], [holed + "A", holed], 5).row.tolist() == [1]
    assert check([holed], [holed + "A"], 5).distance.tolist() == [1]
    # Each N counts as a substitution, so fewer substitutions remain within the largest distance.
    strewn = "".join("N" if i % 20 == 7 else letter for i, letter in enumerate(text))
    assert check([strewn, mutate(source, strewn, 1)], [text], 5).distance.tolist() == [4, 5]


def test_flanks_are_cut_off_before_anything_is_compared() -> None:
    source = random.Random(5)
    inserts = [dna(source, 80) for _ in range(50)]
    test, train = inserts[:25], [*inserts[25:], inserts[3]]
    whole = [encode([LEFT + insert + RIGHT for insert in rows]) for rows in (test, train)]
    found = nearest(whole[0], whole[1], (17, 13))
    assert found.distance.tolist() == [0 if i == 3 else -1 for i in range(25)]
    # A row no longer than its flanks holds nothing to compare.
    bare = nearest(encode([LEFT + RIGHT]), encode([LEFT + RIGHT]), (17, 13))
    assert (bare.distance.tolist(), bare.complete.tolist()) == ([-1], [-1])


def test_rows_shorter_than_a_block_are_found_where_they_are_equal() -> None:
    found = check(["ACGTA", "ACGTC", "TTGT"], ["ACGTA", "GGACGTCGG", "AAAA"], 5)
    assert found.distance.tolist() == [0, -1, -1]
    assert found.complete.tolist() == [-1, -1, -1]
    assert found.row.tolist() == [0, -1, -1]


def test_poly_a_is_given_up_told_so_and_disturbs_no_other_row() -> None:
    source = random.Random(6)
    train = ["A" * 80] * 3000 + [dna(source, 80) for _ in range(100)]
    half = "A" * 40 + dna(source, 40)
    test = ["A" * 80] * 3000 + [mutate(source, train[3005], 5), half, "A" * 79]
    found = nearest(encode(test), encode(train), (0, 0))
    assert (found.distance[:3000] == 0).all()  # equal rows are found however repetitive
    assert (found.complete[:3000] == -1).all()
    assert found.distance[3000:].tolist() == [5, -1, -1]
    assert found.row[3000] == 3005
    assert found.complete[3000:].tolist() == [5, 2, -1]


def test_a_given_up_block_is_not_looked_up_again_in_later_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "_MOST_PAIRS", 4)
    monkeypatch.setattr(neighbours, "_ROWS", 2)
    source = random.Random(7)
    text = dna(source, 80)
    train = [text] * 4 + [mutate(source, text, 1)] * 4
    found = nearest(encode([text, mutate(source, text, 2)]), encode(train), (0, 0))
    assert found.distance[0] == 0
    assert found.complete.max() < 5


def test_pairs_are_the_same_however_they_are_sliced(monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(8)
    family = dna(source, 80)
    test = [mutate(source, family, i % 7) for i in range(40)]
    train = [mutate(source, family, i % 4) for i in range(30)] + [dna(source, 83)]
    whole = nearest(encode(test), encode(train), (0, 0))
    monkeypatch.setattr(neighbours, "_PAIRS", 17)
    monkeypatch.setattr(neighbours, "_ROWS", 7)
    monkeypatch.setattr(sequences, "_CHUNK", 10)
    sliced = nearest(encode(test), encode(train), (0, 0))
    for name in ("distance", "row", "complete"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(sliced, name))
    assert (whole.distance >= 0).sum() > 20


def test_rows_chosen_from_a_matrix_are_compared_in_their_order() -> None:
    source = random.Random(9)
    texts = [dna(source, 60 + i) for i in range(30)]
    chosen = np.array([20, 3, 11])
    found = nearest(encode(texts).take(chosen), encode(texts).take(np.arange(29, -1, -1)), (0, 0))
    assert found.row.tolist() == [9, 26, 18]


@pytest.mark.parametrize(("test", "train"), [([], []), ([], ["ACGT" * 20]), (["ACGT" * 20], [])])
def test_nothing_has_no_neighbours(test: list[str], train: list[str]) -> None:
    found = nearest(encode(test), encode(train), (0, 0))
    assert found.distance.tolist() == found.row.tolist() == [-1] * len(test)
    assert found.counts().tolist() == [0] * 6


def test_repeats_are_counted_with_their_differing_targets() -> None:
    rows = [("ACGT", 1.0), ("ACG", 5.0), ("ACGT", 3.0), ("TT", 2.0), ("TT", 2.0), ("ACGTN", 9.0)]
    split = Split(encode([text for text, _ in rows]), np.array([value for _, value in rows]))
    found = repeats(split)
    assert (found.sequences, found.rows, found.differing) == (2, 4, 1)
    # Sums of squares within sequences: 1 + 1 for ACGT, 0 for TT; one degree of freedom each.
    assert found.std == pytest.approx(1.0)
    alone = repeats(Split(encode(["A", "C"]), np.array([1.0, 2.0])))
    assert (alone.sequences, alone.rows, alone.differing) == (0, 0, 0)
    assert np.isnan(alone.std)


def dream(folder: Path) -> Dataset:
    task = TASKS.get("dream")
    return task(task.Options()).read(folder, folder)


def test_real_training_and_test_promoters_share_no_family(real_data: Path) -> None:
    data = dream(real_data / "dream")
    for part in (data.train, data.validation):
        found = nearest(data.test.sequences, part.sequences, data.flanks)
        assert found.counts().tolist() == [0] * 6
        assert (found.complete == 5).all()


def test_a_leak_planted_into_real_training_promoters_is_counted_by_distance(
    real_data: Path,
) -> None:
    data = dream(real_data / "dream")
    source = np.random.default_rng(0)
    rows = np.sort(source.choice(len(data.test), len(data.test) // 10, replace=False))
    mutants = data.test.sequences.take(rows).tokens.copy()
    substitutions = np.arange(len(rows)) % 6
    for mutant, count in zip(mutants, substitutions, strict=True):
        places = 17 + source.choice(80, count, replace=False)
        mutant[places] = (mutant[places] + source.integers(1, 4, count)) % 4
    known = data.train.sequences
    wide = np.full((len(mutants), known.base.shape[1]), 4, dtype=np.uint8)
    wide[:, :110] = mutants
    lengths = np.concatenate([known.lengths, np.full(len(mutants), 110, np.int32)])
    leaky = Sequences(np.concatenate([known.tokens, wide]), lengths)
    found = nearest(data.test.sequences, leaky, data.flanks)
    assert (found.distance[rows] >= 0).all()
    assert (found.distance[rows] <= substitutions).all()

    # The test set has families of similar rows, so a mutant may be as near to other rows. All pairs
    # are compared for a part of the mutants.
    some = np.sort(np.concatenate([rows[:300], source.choice(len(data.test), 300, replace=False)]))
    inserts = data.test.sequences.take(some).tokens[:, 17:97]
    fewest = np.full(len(some), 80)
    for strand in (inserts, 3 - inserts[:, ::-1]):
        for shift in range(-5, 6):
            shifted = np.full((len(some), 80), 9, dtype=np.uint8)
            shifted[:, max(shift, 0) : 80 + min(shift, 0)] = strand[
                :, max(-shift, 0) : 80 - max(shift, 0)
            ]
            equal = one_hot(shifted) @ one_hot(mutants[:, 17:97]).T  # (some, mutants)
            fewest = np.minimum(fewest, 80 - equal.max(axis=1))
    expected = np.where(fewest <= 5, fewest, -1)
    np.testing.assert_array_equal(found.distance[some], expected)
    assert len(np.unique(expected)) == 7


def one_hot(tokens: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return one-hot vectors ``(N, 4 L)``, whose dot product counts equal letters."""
    flags = tokens[:, :, None] == np.arange(4, dtype=np.uint8)
    return flags.reshape(len(tokens), -1).astype(np.float32)
