"""Data sets of windows, recomputed window by window from the files' own text."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench.console import Console
from bench.data.sequences import decode
from bench.errors import BenchError
from bench.genomics import BuildOptions, build, read_windows, take_split
from tests.genomics.helpers import SMALL, World, rows_of, world


@pytest.mark.parametrize(
    ("transform", "function"), [("none", float), ("log1p", math.log1p), ("asinh", math.asinh)]
)
def test_every_window_is_what_the_files_say(tmp_path: Path, transform: str, function: Any) -> None:
    made = world(tmp_path)
    manifest, table = made.build(transform=transform, background=0.2)
    assert len(table) == 300 == manifest["windows"]["written"]
    assert table["summit"].null_count() == 60
    summits = {(chrom, (start + end) // 2) for chrom, start, end in made.peaks}
    for row in rows_of(table):
        start, end = row["start"], row["end"]
        assert (end - start, row["strand"]) == (10, "+")
        assert row["sequence"] == made.letters[row["chrom"]][start:end]
        mean = sum(made.values[row["chrom"]][start + 3 : start + 7]) / 4
        assert row["target"] == pytest.approx(function(mean), abs=1e-6)
        if row["summit"] is not None:
            assert (row["chrom"], row["summit"]) in summits
            assert row["summit"] - 20 <= start
            assert end <= row["summit"] + 20
    assert table.select("chrom", "start").is_duplicated().sum() == 0


def test_columns_have_types_and_splits_become_tokens(tmp_path: Path) -> None:
    _, table = world(tmp_path).build()
    names = ["chrom", "start", "end", "strand", "sequence", "target", "split", "summit"]
    assert table.columns == names
    assert [str(table[name].dtype) for name in ("start", "target")] == ["Int64", "Float64"]
    for name in ("train", "validation", "test"):
        split, rows = take_split(table, name), table.filter(pl.col("split") == name)
        assert decode(split.sequences.tokens) == rows["sequence"].to_list()
        assert split.target.tolist() == rows["target"].to_list()


def test_one_seed_gives_one_file_and_another_gives_another(tmp_path: Path) -> None:
    made = world(tmp_path)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made.build(name, seed=seed, background=0.1, split="paper")
    for file in ("windows.parquet", "manifest.json"):
        first, same, other = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert first == same
        assert first != other


def test_peaks_on_chromosomes_that_lack_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world(tmp_path)
    made.values["chrE"] = [1.0] * 50
    made.letters["chrF"] = "A" * 50
    made.peaks += [("chrE", 5, 6), ("chrF", 5, 6), ("chrF", 7, 8)]
    made.write()
    manifest = build(made.options(), tmp_path / "out", Console(quiet=True))
    counts = list(manifest["peaks"].values())
    assert counts == [len(made.peaks), len(made.peaks) - 3, 2, 1]
    assert "3 of 59 peaks excluded" in capsys.readouterr().err


def test_names_with_and_without_chr_are_matched_when_asked_to(tmp_path: Path) -> None:
    made = world(tmp_path)
    usual = made.build("usual")[1]
    text = made.files["peaks"].read_text()
    made.write_peaks(text.replace("chr", ""))
    with pytest.raises(BenchError, match=r"row 1: chromosome '\d+' is called 'chr.*add-chr\.$"):
        made.build("refused")
    assert made.build("added", chromosomes="add-chr")[1].equals(usual)
    bare = world(tmp_path / "bare", "1", "8", "9", "10")
    bare.write_peaks("chr1\t50\t60\n")
    with pytest.raises(BenchError, match=r"is called '1' in .*drop-chr"):
        bare.build()


def replace_genome(made: World, text: str) -> None:
    made.files["genome"].write_text(text)


def break_sizes(made: World) -> None:
    replace_genome(made, f">chr1\n{made.letters['chr1']}\n>chr8\n{'A' * 1400}\n>chr9\nAC\n")


def break_names(made: World) -> None:
    replace_genome(made, ">1\n" + made.letters["chr1"])


def break_letters(made: World) -> None:
    replace_genome(made, "".join(f">{name}\n{'N' * 1500}\n" for name in made.letters))


def break_signal(made: World) -> None:
    made.files["signal"].write_bytes(made.files["signal"].read_bytes()[:-50])


def negative_signal(made: World) -> None:
    made.values = {name: [-1.0] * 1500 for name in made.values}
    made.write()


BROKEN: list[tuple[Any, dict[str, Any], str]] = [
    (break_sizes, {}, r"another assembly.*chr8 has 1,400 bases in the first, 1,500 in"),
    (break_names, {}, r"no chromosome is both.*'1'.*'chr"),
    (break_letters, {}, r"no window is left: .*N in the window"),
    (break_signal, {}, r"s\.bw is cut short"),
    (negative_signal, {"transform": "log1p"}, r"below 0.*asinh"),
    (lambda made: made.write_peaks(""), {}, r"p\.bed is empty"),
    (lambda made: made.write_peaks("chr1\t1490\t1501\n"), {}, r"row 1: ends at 1,501.*1,500"),
    (lambda made: made.write_peaks("chrQ\t1\t5\n"), {}, r"no peak lies on.*'chrQ'"),
    (lambda made: made.write_peaks("chr1\t60\t70\n" * 3), {}, r"3 peaks are too few.*paper"),
    (lambda made: made.files["genome"].unlink(), {}, r"g\.fa: no such file"),
    (lambda made: None, {"blacklist": Path("none.bed")}, r"none\.bed: no such file"),
    (lambda made: None, {"windows": 1}, r"no window is left in the \w+ split"),
]


@pytest.mark.parametrize(("breaks", "options", "said"), BROKEN)
def test_what_is_wrong_is_told_in_one_line_and_leaves_nothing(
    tmp_path: Path, breaks: Any, options: dict[str, Any], said: str
) -> None:
    made = world(tmp_path / "in")
    breaks(made)
    (tmp_path / "out").mkdir()
    with pytest.raises(BenchError, match=said) as error:
        build(made.options(**options), tmp_path / "out" / "data", Console(quiet=True))
    assert "\n" not in str(error.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    made = world(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(BenchError, match=r"out exists\. Name a new folder by out\.$"):
        made.build()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"center": 11}, "^center is between"),
        ({"center": 5}, "both even or both odd"),
        ({"flank": 4}, r"Try flank=10\."),
        ({"windows": 0}, "^windows is above 0, seed at least 0"),
        ({"background": 1.0}, "background 0 to 0.9"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    files = dict.fromkeys(("signal", "peaks", "genome"), tmp_path)
    with pytest.raises(BenchError, match=said):
        BuildOptions(**{**SMALL, **files, **changes})


def test_a_changed_data_set_is_noticed(tmp_path: Path) -> None:
    world(tmp_path).build()
    path = tmp_path / "out" / "windows.parquet"
    pl.read_parquet(path).head(5).write_parquet(path)
    with pytest.raises(BenchError, match=r"does not match manifest\.json"):
        read_windows(tmp_path / "out")
    path.unlink()
    with pytest.raises(BenchError, match=r"holds no windows\.parquet"):
        read_windows(tmp_path / "out")


def test_the_manifest_identifies_every_input(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.build()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["options"]["windows"] == 300
    for name, path in made.files.items():
        content = path.read_bytes()
        assert manifest["inputs"][name] == {
            "name": path.name,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }


def test_measured_chromatin_is_cut_into_windows(tmp_path: Path, real_data: Path) -> None:
    folder = real_data / "gm12878"
    options = BuildOptions(
        signal=folder / "gm12878.chr22.bw",
        peaks=folder / "summits.bed",
        genome=folder / "chr22.fa.gz",
        windows=20_000,
    )
    manifest = build(options, tmp_path / "out", Console(quiet=True))
    table = read_windows(tmp_path / "out")
    # Only 5.3 of 50.8 million bases are known, so most windows are dropped.
    assert manifest["dropped"]["N in the window"] > 100_000
    assert len(table) == 20_000
    assert not table["sequence"].str.contains("N").any()
    reference = pl.read_csv(folder / "windows.tsv.gz", separator="\t")
    same = table.join(reference, on=["chrom", "start", "end"])
    assert len(same) > 50
    assert (same["sequence"] == same["sequence_right"]).all()
    assert (same["target"] - same["gm12878"]).abs().max() == pytest.approx(0, abs=1e-6)
