"""Genomes, compared with strings in plain Python."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.data.sequences import decode
from bench.errors import BenchError
from bench.genomics import fasta as subject
from bench.genomics.bigwig import open_signal
from bench.genomics.fasta import Genome, read_genome
from tests.genomics.helpers import one_line

FASTA = b">one first>of all\nACGTN\nacgtR\nGG\n>two\n\n>three\r\nNNAC\r\nT"


LETTERS = {"one": "ACGTNACGTNGG", "two": "", "three": "NNACT"}


def letters_of(genome: Genome) -> dict[str, str]:
    chromosomes = genome.chromosomes.items()
    return {name: decode(c.tokens(np.array([0]), c.length))[0] for name, c in chromosomes}


@pytest.mark.parametrize("block", [1, 2, 3, 7, 20, 1 << 20])
@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip"])
def test_letters_come_back_however_the_file_is_cut_and_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, kind: str
) -> None:
    monkeypatch.setattr(subject, "_BLOCK", block)
    path = tmp_path / "genome.fa"
    members = [FASTA] if kind == "gzip" else [FASTA[i : i + 9] for i in range(0, len(FASTA), 9)]
    path.write_bytes(FASTA if kind == "plain" else b"".join(map(gzip.compress, members)))
    genome = read_genome(path)
    assert letters_of(genome) == LETTERS
    assert list(genome.sizes.items()) == [("one", 12), ("two", 0), ("three", 5)]


def test_only_chromosomes_to_be_kept_take_memory_but_all_have_a_size(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(FASTA)
    genome = read_genome(path, keep={"three", "absent"})
    assert letters_of(genome) == {"three": "NNACT"}
    assert genome.sizes == {"one": 12, "two": 0, "three": 5}


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 33])
def test_every_window_is_a_slice_of_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(subject, "_BLOCK", 50)
    text = "".join(np.random.default_rng(width).choice(list("ACGTN"), 301, p=[0.23] * 4 + [0.08]))
    lines = [text[i : i + 10] for i in range(0, len(text), 10)]
    (tmp_path / "genome.fa").write_text(">c\n" + "\n".join(lines))
    chromosome = read_genome(tmp_path / "genome.fa").chromosomes["c"]
    starts = np.arange(len(text) - width + 1)[::-1]
    assert decode(chromosome.tokens(starts, width)) == [text[s : s + width] for s in starts]
    unknown = {place for start, end in chromosome.unknown for place in range(start, end)}
    assert unknown == {place for place, letter in enumerate(text) if letter == "N"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"ACGT\n", "does not begin with '>'"),
        (b"\n\nACGT\n>one\n", "does not begin with '>'"),
        (b"\n \n", "begins with '>'"),
        (b">one\nACGT\n>one\nA\n", "'one' occurs twice"),
        (b">\nACGT\n", "without a name"),
        (b">one\nAC7T\n", "one has a character that is not a DNA base"),
        (b">one\nMKVLAETPQ\n", "one has a character that is not a DNA base"),
        (gzip.compress(FASTA * 100, mtime=0)[:-20], "genome.fa: "),
        (gzip.compress(FASTA, mtime=0)[:-12] + b"xxxxxxxxxxxx", "genome.fa: "),
    ],
)
def test_what_is_no_fasta_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(content)
    with pytest.raises(BenchError, match=said) as error:
        read_genome(path)
    assert str(path) in one_line(error)


def test_a_missing_genome_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"none\.fa: no such file"):
        read_genome(tmp_path / "none.fa")


def test_reference_windows_of_measured_chromatin_come_out_the_same(real_data: Path) -> None:
    folder = real_data / "gm12878"
    reference = pl.read_csv(folder / "windows.tsv.gz", separator="\t")
    starts = reference["start"].to_numpy()
    chromosome = read_genome(folder / "chr22.fa.gz").chromosomes["chr22"]
    assert chromosome.length == 50_818_468
    assert decode(chromosome.tokens(starts, 100)) == reference["sequence"].to_list()
    signal = open_signal(folder / "gm12878.chr22.bw")
    means = signal.means(reference["chrom"], starts + 40, starts + 60)
    assert np.abs(means - reference["gm12878"].to_numpy()).max() < 1e-6
