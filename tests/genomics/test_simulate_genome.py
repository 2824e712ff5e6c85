"""The simulated genome, read back from its files."""

from pathlib import Path

import numpy as np
import polars as pl
from sklearn.linear_model import Ridge

from bench.console import Console
from bench.data.sequences import decode
from bench.genomics import BuildOptions, build
from bench.genomics.bigwig import open_signal
from bench.genomics.fasta import read_genome
from bench.genomics.intervals import read_bed
from bench.genomics.simulate_genome import SIMULATED, simulate_genome


def simulated(folder: Path, seed: int) -> Path:
    folder.mkdir()
    simulate_genome(folder, rows=3_000, seed=seed)
    return folder


def test_a_made_up_genome_is_the_same_for_one_seed(tmp_path: Path) -> None:
    first, same, other = (simulated(tmp_path / f"{i}", seed) for i, seed in enumerate([4, 4, 5]))
    for name in SIMULATED.values():
        assert (first / name).read_bytes() == (same / name).read_bytes()
        assert (first / name).read_bytes() != (other / name).read_bytes()
    assert (first / SIMULATED["genome"]).read_bytes()[4:8] == bytes(4)  # gzip header without a time


def test_letters_of_a_made_up_genome_foretell_its_signal(tmp_path: Path) -> None:
    folder = simulated(tmp_path / "made-up", 0)
    genome = read_genome(folder / SIMULATED["genome"])
    signal = open_signal(folder / SIMULATED["signal"])
    assert dict(signal.sizes) == dict(genome.sizes)
    peaks = read_bed(folder / SIMULATED["peaks"], "peak")
    counts, values = {}, {}
    for name in ("chr1", "chr2"):
        mine = peaks.filter(pl.col("chrom") == name)
        middles = (mine["start"] + mine["offset"]).to_numpy()
        starts = (middles[:, None] + np.arange(-400, 400, 40)).ravel()
        text = decode(genome.chromosomes[name].tokens(starts - 50, 100))
        words = [f"{a}{b}{c}{d}" for a in "ACGT" for b in "ACGT" for c in "ACGT" for d in "ACGT"]
        counts[name] = np.array([[line.count(word) for word in words] for line in text])
        means = signal.means([name] * len(starts), starts - 10, starts + 10)
        values[name] = np.log1p(means)
        # The signal is higher at summits than 400 bp away.
        by_distance = means.reshape(-1, 20).mean(axis=0)
        assert by_distance[10] > 3 * by_distance[0]
    fit = Ridge(100).fit(counts["chr1"], values["chr1"])
    assert np.corrcoef(fit.predict(counts["chr2"]), values["chr2"])[0, 1] > 0.2


def test_a_made_up_genome_is_built_from_like_a_measured_one(tmp_path: Path) -> None:
    simulate_genome(tmp_path, rows=2_000, seed=0)
    files = {name: tmp_path / file for name, file in SIMULATED.items()}
    options = BuildOptions(windows=2_000, **files)  # type: ignore[arg-type]
    manifest = build(options, tmp_path / "out", Console(quiet=True))
    assert manifest["simulated"]
    assert manifest["windows"]["written"] == 2_000
    assert manifest["splits"]["test"]["what"] == "chr8, chr9"
