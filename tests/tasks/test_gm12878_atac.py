"""The GM12878 task on a simulated genome, and the commands that build windows."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.data.dataset import Dataset
from bench.data.sequences import decode
from bench.errors import BenchError
from bench.genomics import read_windows
from bench.registry import TASKS
from tests.runner.test_run import bench, elsewhere, fails, only_run

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder

Atac = TASKS.get("gm12878-atac")
TASK = ("run", "--task", "gm12878-atac", "--no-tracking", "--model")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atac")
    Atac.simulate(folder, rows=3000, seed=0)
    return folder


def read(folder: Path, split: str = "chromosome") -> Dataset:
    return Atac(Atac.Options(split=split)).read(folder, folder)


def test_windows_are_100_letters_without_flanks(simulated: Path) -> None:
    dataset = read(simulated)
    assert (dataset.usual_length, dataset.flanks) == (100, (0, 0))
    assert set(dataset.train.sequences.lengths.tolist()) == {100}
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 3000
    assert dataset.name == "gm12878-atac-simulated"


def test_whole_chromosomes_are_held_out_and_share_nothing_with_training(simulated: Path) -> None:
    test = read(simulated).test
    assert list(test.subsets) == ["apart"]
    assert len(test.subsets["apart"]) == len(test)


def test_windows_that_resemble_training_from_elsewhere_are_a_stratum(
    simulated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make every third test window a copy of a training window with two substitutions."""
    table = read_windows(simulated / "windows-chromosome")
    rows = table.with_row_index("row")
    planted = rows.filter(pl.col("split") == "test")["row"].to_list()[::3]
    letters = table["sequence"].to_list()
    source = table.filter(pl.col("split") == "train")["sequence"].to_list()
    for place, row in enumerate(planted):
        text = source[place]
        other = {"A": "C"}
        letters[row] = "".join(
            other.get(letter, "A") if at in (3, 90) else letter for at, letter in enumerate(text)
        )
    changed = table.with_columns(pl.Series("sequence", letters))
    monkeypatch.setattr("bench.tasks.gm12878_atac.read_windows", lambda folder: changed)
    subsets = read(simulated).test.subsets
    assert subsets["similar"].tolist() == list(range(len(subsets["apart"]) + len(planted)))[::3]


def test_the_papers_split_tells_windows_that_overlap_training_from_others(
    simulated: Path,
) -> None:
    """Brute force with 20-mers: a window with an overlap of 20 nt shares one with training."""
    dataset = read(simulated, "paper")
    subsets = dataset.test.subsets
    assert sorted(np.concatenate(list(subsets.values())).tolist()) == list(range(600))
    assert set(subsets) >= {"apart", "overlapping"}
    assert len(subsets["overlapping"]) > 400
    seen: set[str] = set()
    for text in decode(dataset.train.sequences.tokens):
        seen |= {text[start : start + 20] for start in range(81)}
    texts = decode(dataset.test.sequences.tokens)
    shares = [any(text[s : s + 20] in seen for s in (0, 80)) for text in texts]
    apart = [shares[row] for row in subsets["apart"]]
    overlapping = [shares[row] for row in subsets["overlapping"]]
    assert np.mean(apart) < 0.02  # by chance only
    assert np.mean(overlapping) > 0.75


def test_a_ridge_scores_the_leak(simulated: Path) -> None:
    scores = {}
    for split in ("chromosome", "paper"):
        bench(*TASK, "kmer-ridge", "--data", str(simulated), "--set", f"task.split={split}",
              "--home", split)  # fmt: skip
        scores[split] = only_run(Path(split))[1]["metrics"]
    assert scores["paper"]["test/all/pearson"] > scores["chromosome"]["test/all/pearson"]
    assert "test/overlapping/pearson" in scores["paper"]
    assert "test/overlapping/pearson" not in scores["chromosome"]


@pytest.mark.parametrize("model", ["proformer", "madlab"])
def test_networks_made_for_promoters_train_on_it_unchanged(model: str, simulated: Path) -> None:
    bench(*TASK, model, "--preset", "smoke", "--data", str(simulated), "--max-steps", "2")
    manifest = only_run()[1]
    assert manifest["status"] == "finished"
    assert manifest["model"]["positions"] in (100, 200)


def test_published_files_are_built_from_when_they_are_there(simulated: Path) -> None:
    raw = Path("raw")
    raw.mkdir()
    names = [file.name for file in Atac.files]
    for name, made in zip(names, ("signal.bw", "peaks.narrowPeak", "genome.fa.gz"), strict=True):
        content = (simulated / made).read_bytes()
        packed = name.endswith(".gz") and not made.endswith(".gz")
        (raw / name).write_bytes(gzip.compress(content) if packed else content)
    dataset = read(raw)
    assert dataset.name == "gm12878-atac"
    assert len(dataset.test) > 0
    assert read(raw).fingerprint == dataset.fingerprint  # found, not built again
    assert (raw / "windows-chromosome" / "windows.parquet").is_file()


def test_what_is_missing_is_named_with_the_command_that_helps(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no windows\.parquet, and no ENCFF667MDI\.bigWig"):
        read(tmp_path)


def test_windows_of_another_split_are_not_taken_for_this_one(simulated: Path) -> None:
    with pytest.raises(BenchError, match=r"was built with split=paper\. Try task\.split=paper"):
        read(simulated / "windows-paper")
    assert len(read(simulated / "windows-paper", "paper").train)


def test_a_data_set_is_built_from_files_of_ones_own(
    simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--signal", "signal.bw", "--peaks", "peaks.narrowPeak", "--genome", "genome.fa.gz"]
    paths = [str(simulated / f) if not f.startswith("--") else f for f in files]
    build = ("data", "build", "atac", *paths, "--windows", "500", "--width", "60")
    bench(*build, "--background", "0.2", "--transform", "log1p", "--out", "mine")
    manifest = json.loads(Path("mine/manifest.json").read_text())
    assert manifest["options"]["transform"] == "log1p"
    assert manifest["windows"]["away from peaks"] == 100
    capsys.readouterr()
    assert "exists" in fails(capsys, *build, "--out", "mine")
    shutil.rmtree("mine")
    assert "--width 60" in fails(capsys, *build, "--flank", "20", "--out", "mine")
    assert not Path("mine").exists()
    assert "none.bed" in fails(capsys, *build[:6], "none.bed", *build[7:], "--out", "mine")


def test_the_measured_chromosome_gives_windows_and_counts_what_it_drops(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = real_data / "gm12878"
    bench(
        *("data", "build", "atac", "--signal", str(folder / "gm12878.chr22.bw")),
        *("--peaks", str(folder / "summits.bed"), "--genome", str(folder / "chr22.fa.gz")),
        *("--windows", "5000", "--out", "chr22", "--json"),
    )
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["windows"]["written"] == 5000
    assert manifest["dropped"]["N in the window"] > 20_000  # most bases are unknown
    dataset = read(Path("chr22"))
    assert set(dataset.test.subsets) == {"apart"}
