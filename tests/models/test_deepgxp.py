"""DeepGXP against a float64 computation, and its windows against rows worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from bench.data.dataset import Split
from bench.data.layout import lay_out
from bench.errors import BenchError
from bench.registry import MODELS
from tests.models import float64 as by_hand

DeepGXP = MODELS.get("deepgxp")
LEFT = "GCTAGCAGGAATGATGCAAAAGGTTCCCGATTCGAAC"
RIGHT = "TCTTAATTAAAAAAAGATAGAAAACATTAGGAGTGTAACACAAGACTTTCGGATCCTGAGCAGGCAAGATAAACGA"


def small(**settings: Any) -> Any:
    sizes = {"length": 10, "first_channels": 6, "units": 3, "second_channels": 4, "hidden": 5}
    config = DeepGXP.Config(**{**sizes, "widths": (3, 4), **settings})
    return DeepGXP(config, DeepGXP.layout(config).positions(110, (17, 13))).eval()


def windows(
    rows: list[str], targets: list[float] | None = None, *, shift: int = 0, reverse: bool = False
) -> list[str]:
    """Return what the network sees of some rows."""
    model = small()
    split = Split.of(rows, targets or [0.0] * len(rows))
    if targets is None:
        split = Split(split.sequences, np.full(len(rows), np.nan))
    layout = DeepGXP.layout(model.config)
    laid_out = torch.from_numpy(
        lay_out(split.sequences, layout, model.positions, (17, 13), shift=shift)
    )
    if reverse:
        laid_out = by_hand.tokens(*(by_hand.reverse_complement(by_hand.text(t)) for t in laid_out))
    start = torch.from_numpy(DeepGXP.input_columns(model.config, split)["start"])
    seen: list[torch.Tensor] = []
    model.one_hot.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    model(laid_out, start, torch.full((len(rows),), reverse))
    return [by_hand.text(row) for row in seen[0]]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("ACGTACGTAC", "ACGTACGTAC"),
        ("ACGTACGTACGT", "ACGTACGTAC"),  # cut on the right
        ("ACGTACGTA", "ACGTACGTAT"),  # an odd nt goes to the right
        ("ACGTACG", "CACGTACGTC"),
        ("NG", "GAACNGTCTT"),
    ],
)
def test_a_row_to_predict_is_filled_on_both_sides(row: str, expected: str) -> None:
    assert windows([row]) == [expected]
    assert windows([row], reverse=True) == [by_hand.reverse_complement(expected)]


@pytest.mark.parametrize(
    ("shift", "expected"),
    [(-2, "ACACGTACGT"), (-1, "CACGTACGTA"), (1, "CGTACGTACT"), (2, "GTACGTACTC")],
)
def test_a_shift_brings_in_the_vector(shift: int, expected: str) -> None:
    assert windows(["ACGTACGTAC"], shift=shift) == [expected]
    back = windows(["ACGTACGTAC"], shift=shift, reverse=True)
    assert back == [by_hand.reverse_complement(expected)]


def test_short_training_rows_are_filled_right_left_or_on_both_sides() -> None:
    """The shares are the authors': .333, .667 x .334 and .667 x .666."""
    rows = ["ACGTACG"] * 9_000
    seen = windows(rows, [1.0] * len(rows))
    assert seen == windows(rows, [1.0] * len(rows))  # drawn once, by a seed
    shares = {window: seen.count(window) / len(rows) for window in set(seen)}
    expected = {"ACGTACGTCT": 0.333, "AACACGTACG": 0.2228, "CACGTACGTC": 0.4442}
    assert shares == pytest.approx(expected, abs=0.02)  # four standard errors


def test_what_the_left_vector_cannot_fill_goes_to_the_right() -> None:
    model = DeepGXP.Config(length=110)
    split = Split.of(["ACGT"] * 50, [1.0] * 50)
    starts = DeepGXP.input_columns(model, split)["start"]
    assert set(starts.tolist()) == {0, 37}  # 53 nt on the left, or 106, are more than there are
    assert DeepGXP.layout(model).context_left == LEFT
    assert DeepGXP.layout(model).context_right == RIGHT


def test_the_output_equals_a_float64_computation() -> None:
    model = small()
    w = by_hand.randomize(model)
    rng = np.random.default_rng(1)
    rows = ["".join(rng.choice(list("ACGTN"), model.positions)) for _ in range(4)]
    start, reverse = [37, 30, 0, 34], [False, False, True, True]
    expected = []
    for row, first, turned in zip(rows, start, reverse, strict=True):
        letters = row[first : first + 10]
        if turned:
            row = by_hand.reverse_complement(row)
            letters = by_hand.reverse_complement(letters)
        x = by_hand.one_hot(letters)
        for block in ("first", "second"):
            branches = [
                by_hand.relu(by_hand.conv(x, w, f"{block}.convs.{number}", pads))
                for number, pads in enumerate([(1, 1), (1, 2)])
            ]
            x = np.concatenate(branches)
            if block == "first":
                ahead = by_hand.lstm(x.T, w, "lstm", "")
                back = by_hand.lstm(x.T[::-1], w, "lstm", "_reverse")[::-1]
                x = np.concatenate([ahead, back], axis=1).T
        y = x.reshape(-1)
        for layer in ("hidden.0", "hidden.1"):
            y = by_hand.relu(by_hand.linear(y, w, layer))
        expected.append(by_hand.linear(y, w, "head")[0])
    shown = [
        by_hand.reverse_complement(row) if turned else row
        for row, turned in zip(rows, reverse, strict=True)
    ]
    ours = model(by_hand.tokens(*shown), torch.tensor(start), torch.tensor(reverse))
    assert np.std(expected) > 0.01
    assert by_hand.worst(ours, np.array(expected)) < 1e-5


def test_it_has_the_published_number_of_parameters() -> None:
    config = DeepGXP.Config()
    model = DeepGXP(config, DeepGXP.layout(config).positions(110, (17, 13)))
    assert sum(p.numel() for p in model.parameters()) == 6_875_137


def test_channels_that_the_widths_cannot_share_are_refused() -> None:
    with pytest.raises(BenchError, match=r"first_channels \(7\) is not a multiple .* Try 6\."):
        DeepGXP.Config(first_channels=7)
