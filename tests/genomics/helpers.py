"""A genome typed by hand, or nearly, and the data set built from it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bench.console import Console
from bench.errors import BenchError
from bench.genomics import BuildOptions, build, read_windows
from bench.genomics.bigwig import write_signal

SMALL: dict[str, Any] = {"width": 10, "center": 4, "flank": 20, "windows": 300}


@dataclass
class World:
    """A genome typed by hand or built by simple rules, as Python objects and as files."""

    folder: Path
    letters: dict[str, str]
    values: dict[str, list[float]]
    peaks: list[tuple[str, int, int]]
    files: dict[str, Path] = field(default_factory=dict)

    def write(self) -> "World":
        self.folder.mkdir(exist_ok=True)
        names = {"signal": "s.bw", "peaks": "p.bed", "genome": "g.fa"}
        self.files = {key: self.folder / name for key, name in names.items()}
        fasta = "".join(f">{name}\n{text}\n" for name, text in self.letters.items())
        self.files["genome"].write_text(fasta)
        self.write_peaks("".join("\t".join(map(str, peak)) + "\n" for peak in self.peaks))
        rows = [
            (name, i, i + 1, value)
            for name in sorted(self.values)
            for i, value in enumerate(self.values[name])
            if value
        ]
        write_signal(self.files["signal"], {n: len(v) for n, v in self.values.items()}, rows)
        return self

    def write_peaks(self, text: str) -> None:
        self.files["peaks"].write_text(text)

    def options(self, **changes: Any) -> BuildOptions:
        return BuildOptions(**{**SMALL, **self.files, **changes})

    def build(self, name: str = "out", **changes: Any) -> tuple[dict[str, Any], pl.DataFrame]:
        out = self.folder / name
        manifest = dict(build(self.options(**changes), out, Console(quiet=True)))
        return manifest, read_windows(out)


def world(folder: Path, *names: str, size: int = 1500, unknown: float = 0.0) -> World:
    random = np.random.default_rng(1)
    letters, values, peaks = {}, {}, []
    for name in names or ("chr1", "chr8", "chr9", "chr10"):
        text = random.choice(list("ACGT"), size)
        text[random.random(size) < unknown] = "N"
        letters[name] = "".join(text)
        covered = random.integers(0, 2, size // 10).repeat(10)
        values[name] = [float(v) for v in random.integers(1, 9, size) / 4 * covered]
        for middle in range(60, size - 60, 100):
            start = middle + int(random.integers(-30, 30))
            peaks.append((name, start - 5, start + 6))
    random.shuffle(peaks)
    return World(folder, letters, values, [(c, int(s), int(e)) for c, s, e in peaks]).write()


def rows_of(table: pl.DataFrame) -> list[dict[str, Any]]:
    return table.to_dicts()


def distance(first: dict[str, Any], second: dict[str, Any]) -> float:
    if first["chrom"] != second["chrom"]:
        return math.inf
    return max(first["start"], second["start"]) - min(first["end"], second["end"])


def one_line(error: pytest.ExceptionInfo[BenchError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text
