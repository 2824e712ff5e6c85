"""Sampled windows and splits, compared with a list of all places."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from bench.console import Console
from bench.genomics import build, read_windows
from tests.genomics.helpers import distance, rows_of, world


def test_chromosomes_named_for_it_are_held_out(tmp_path: Path) -> None:
    for prefix in ("chr", ""):
        names = [prefix + number for number in ("1", "10", "2", "8", "9")]
        _, table = world(tmp_path / f"w{prefix}", *names).build(windows=900)
        found = {(row["chrom"].removeprefix("chr"), row["split"]) for row in rows_of(table)}
        assert found == {
            ("1", "train"), ("2", "train"), ("8", "test"), ("9", "test"), ("10", "validation")
        }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "by_name"),
    [
        (("chr22",), {}),
        (("chr8", "chr9"), {}),
        (("chr1", "chr8"), {"chr8": "test"}),
        (("chr1", "chr2", "chr10"), {"chr10": "validation"}),
    ],
)
def test_else_blocks_are_held_out_far_from_each_other(
    tmp_path: Path, names: tuple[str, ...], by_name: dict[str, str]
) -> None:
    manifest, table = world(tmp_path, *names, size=3000).build(windows=1200, background=0.2)
    rows = rows_of(table)
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    for name, split in by_name.items():
        assert {row["split"] for row in rows if row["chrom"] == name} == {split}
    for first, second in pairwise(rows):
        if first["split"] != second["split"]:
            assert distance(first, second) >= 10 + 20
    share = sum(row["split"] == "test" for row in rows) / len(rows)
    assert 0.1 < share < 0.6
    assert list(manifest["leak"].values()) == [0.0]


def test_blocks_hold_peaks_whose_letters_are_known(tmp_path: Path) -> None:
    made = world(tmp_path, "chr22", size=6000)
    made.letters["chr22"] = made.letters["chr22"][:1200] + "N" * 4800
    _, table = made.write().build()
    counts = Counter(table["split"])
    assert counts["test"] > 30
    assert counts["validation"] > 10


def test_the_papers_split_is_at_random_and_its_leak_is_told(tmp_path: Path) -> None:
    manifest, table = world(tmp_path, "chr1").build(split="paper", windows=60)
    assert Counter(table["split"]) == {"train": 46, "validation": 2, "test": 12}
    rows = rows_of(table)
    train = [row for row in rows if row["split"] == "train"]
    test = [row for row in rows if row["split"] == "test"]
    overlap = [any(distance(row, other) < 0 for other in train) for row in test]
    assert 0 < sum(overlap) < 12
    assert list(manifest["leak"].values()) == [pytest.approx(sum(overlap) / 12)]


def test_windows_away_from_peaks_keep_their_distance(tmp_path: Path) -> None:
    made = world(tmp_path, "chr1", "chr2", "chr8", "chr10", size=4000, unknown=0.002)
    kept = [peak for peak in made.peaks if peak[1] % 3 or peak[0] == "chr1"]
    made.peaks = [peak for peak in kept if peak[1] < 2500]
    made.write()
    (tmp_path / "black.bed").write_text("chr1\t2600\t3400\n")
    manifest, table = made.build(background=0.5, blacklist=tmp_path / "black.bed")
    away = [row for row in rows_of(table) if row["summit"] is None]
    assert len(away) == 150 == manifest["windows"]["away from peaks"]
    for row in away:
        assert "N" not in row["sequence"]
        assert row["chrom"] != "chr1" or not 2590 < row["start"] < 3400
        for chrom, start, end in made.peaks:
            peak = {"chrom": chrom, "start": start, "end": end}
            assert distance(row, peak) >= 20 + 10
    near = Counter(row["chrom"] for row in rows_of(table) if row["summit"] is not None)
    spread = Counter(row["chrom"] for row in away)
    assert all(abs(spread[chrom] - near[chrom]) <= 1 for chrom in near)


def test_all_places_far_enough_from_peaks_can_be_drawn(tmp_path: Path) -> None:
    made = world(tmp_path, unknown=0.002)
    _, table = made.build(windows=100_000, background=0.9)
    free = set()
    for chrom, text in made.letters.items():
        peaks = [(start, end) for name, start, end in made.peaks if name == chrom]
        for start in range(1500 - 10 + 1):
            far = all(start + 10 <= left - 30 or start >= right + 30 for left, right in peaks)
            if far and "N" not in text[start : start + 10]:
                free.add((chrom, start))
    away = table.filter(pl.col("summit").is_null())
    assert set(away.select("chrom", "start").rows()) == free
    assert len(away) == len(free) > 100


def test_all_places_are_used_up_and_every_loss_has_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world(tmp_path, "chr1", "chr2", "chr8", "chr10", size=700, unknown=0.01)
    made.peaks += [("chr1", 3, 4), ("chr1", 690, 700), ("chr2", 300, 305)]
    made.write()
    (tmp_path / "black.bed").write_text("chr2\t100\t400\nchrUn\t5\t9\n")
    options = made.options(windows=100_000, blacklist=tmp_path / "black.bed")
    manifest = build(options, tmp_path / "out", Console(quiet=True))
    expected: Counter[str] = Counter()
    both = 0
    places: set[tuple[str, int]] = set()
    for chrom, begin, stop in made.peaks:
        for start in range((begin + stop) // 2 - 20, (begin + stop) // 2 + 11):
            end = start + 10
            if start < 0 or end > 700:
                expected["beyond the chromosome's end"] += 1
            elif "N" in made.letters[chrom][start:end]:
                expected["N in the window"] += 1
                both += chrom == "chr2" and 100 <= start < 400
            elif chrom == "chr2" and start < 400 and end > 100:
                expected["in the blacklist"] += 1
            elif (chrom, start) in places:
                expected["drawn before"] += 1
            else:
                places.add((chrom, start))
    assert min(expected.values()) > 0 < both
    assert {name: count for name, count in manifest["dropped"].items() if count} == expected
    table = read_windows(tmp_path / "out")
    assert {(row["chrom"], row["start"]) for row in rows_of(table)} == places
    assert f"{len(places):,} windows, not 100,000" in capsys.readouterr().err


def test_dropped_windows_are_replaced(tmp_path: Path) -> None:
    manifest, table = world(tmp_path, "chr1", "chr8", "chr10", unknown=0.05).build()
    assert len(table) == 300
    assert manifest["dropped"]["N in the window"] > 100


def test_losses_are_counted_up_to_the_last_window_kept(tmp_path: Path) -> None:
    made = world(tmp_path, size=20_000, unknown=0.03)
    places = [
        made.letters[chrom][start : start + 10]
        for chrom, begin, stop in made.peaks
        for start in range((begin + stop) // 2 - 20, (begin + stop) // 2 + 11)
    ]
    lost = sum("N" in letters for letters in places) / len(places)
    manifest, table = made.build(windows=5_000)
    assert len(table) == 5_000
    # 10,000 are drawn to replace dropped windows; drops after the 5,000th kept window do not count.
    dropped = sum(manifest["dropped"].values())
    assert dropped / (dropped + 5_000) == pytest.approx(lost, rel=0.05)
