"""GM12878 ATAC-seq: chromatin accessibility of a lymphoblastoid cell line in 100-nt windows.

100,000 windows of 100 nt are drawn from the 1,000 bp around ATAC-seq summits; the target is the
mean signal of a window's central 20 bp. Windows of one peak overlap, so with the talk's random
split, test windows share bases with training windows. Rankings use the split by chromosomes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.cards import RemoteFile, Source, TaskCard
from bench.config import as_dict, setting, settings
from bench.data.dataset import Dataset, TestSet
from bench.data.neighbours import nearest
from bench.errors import BenchError, argument
from bench.genomics import MANIFEST, MARK, WINDOWS, BuildOptions, build, read_windows, take_split
from bench.genomics.intervals import link_overlapping, merged, overlapping
from bench.genomics.simulate_genome import SIMULATED, simulate_genome
from bench.task import Task

if TYPE_CHECKING:
    import polars

_ENCODE = "https://www.encodeproject.org/files/{0}/@@download/{0}.{1}"
SIGNAL, PEAKS, GENOME = "ENCFF667MDI.bigWig", "ENCFF748UZH.bed.gz", "hg38.fa.gz"
"""Signal p-value and peaks of experiment ENCSR637XSC, and the assembly they are mapped to."""
Split = Literal["chromosome", "paper"]
SPLITS: tuple[Split, ...] = ("chromosome", "paper")


@settings
class Gm12878Options:
    """Choice of the test windows."""

    split: Literal["chromosome", "paper"] = setting(
        "chromosome", "test chr8 and chr9, validation chr10; paper: 20% at random, which leaks"
    )


class Gm12878Atac(Task):
    """Chromatin accessibility in GM12878; see the module docstring."""

    Options = Gm12878Options
    card = TaskCard(
        summary="chromatin accessibility of 100-nt windows in GM12878",
        version=1,
        row="one window of 100 nt within 500 bp of an ATAC-seq summit",
        target="mean signal (-log10 p) of the central 20 bp",
        primary="all/pearson",
        source=Source(
            citation="ENCODE ENCSR637XSC, GM12878 ATAC-seq, GRCh38; UCSC hg38",
            url="https://www.encodeproject.org/experiments/ENCSR637XSC/",
            license="ENCODE data use policy: free with citation",
        ),
    )
    files = (
        RemoteFile(name=SIGNAL, url=_ENCODE.format("ENCFF667MDI", "bigWig")),
        RemoteFile(name=PEAKS, url=_ENCODE.format("ENCFF748UZH", "bed.gz")),
        RemoteFile(
            name=GENOME, url="https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz"
        ),
    )
    subsets = ("apart", "similar", "overlapping")
    options: Gm12878Options

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Read the windows; if there are none yet, build them from the published files."""
        folder = self._windows(directory)
        table = read_windows(folder)
        train = take_split(table, "train")
        return Dataset(
            name=_name(folder),
            version=self.card.version,
            options=as_dict(self.options),
            usual_length=int(train.sequences.lengths.max()),
            flanks=(0, 0),
            train=train,
            validation=take_split(table, "validation"),
            test=_test_set(folder, table),
            notes=_notes(folder),
        )

    def read_test(self, directory: Path) -> TestSet:
        """Read the test windows, with subsets by their similarity to training windows."""
        folder = self._windows(directory)
        return _test_set(folder, read_windows(folder))

    def linked_rows(self, test: TestSet, directory: Path) -> NDArray[np.int64]:
        """Return pairs of overlapping test windows, whose signals are similar, ``(K, 2)``."""
        import polars as pl

        table = read_windows(self._windows(directory)).filter(pl.col("split") == "test")
        return link_overlapping(*(table[name].to_numpy() for name in ("chrom", "start", "end")))

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        """Write a simulated genome, signal and peaks, and build windows of them."""
        facts = simulate_genome(directory, rows=rows, seed=seed)
        paths = {kind: directory / file for kind, file in SIMULATED.items()}
        for split in SPLITS:
            options = replace(_options(paths, split), windows=rows, seed=seed)
            build(options, _folder(directory, split))
        return facts

    def _windows(self, directory: Path) -> Path:
        """Return the folder of the windows of this split; build it first if needed."""
        split = self.options.split
        for folder in (directory, _folder(directory, split)):
            if (folder / WINDOWS).is_file():
                built = _manifest(folder)["options"]["split"]
                if built != split:
                    raise BenchError(
                        f"{folder} was built with {argument('split', built)}. "
                        f"Try {argument('task.split', built)}, or build it again.",
                        field="task.split",
                    )
                return folder
        paths = {"signal": SIGNAL, "peaks": PEAKS, "genome": GENOME}
        raw = {kind: directory / file for kind, file in paths.items()}
        missing = [path.name for path in raw.values() if not path.is_file()]
        if missing:
            raise BenchError(
                f"{directory}: no {WINDOWS}, and no {missing[0]} to build it from. "
                "`bench data get gm12878-atac` fetches it; `bench data build atac` builds from "
                "files of your own."
            )
        build(_options(raw, split), _folder(directory, split), self.console)
        return _folder(directory, split)


def _folder(directory: Path, split: Split) -> Path:
    """Return the folder of the windows of one split, next to the raw files."""
    return directory / f"windows-{split}"


def _options(paths: Mapping[str, Path], split: Split) -> BuildOptions:
    signal, peaks, genome = (paths[kind] for kind in ("signal", "peaks", "genome"))
    return BuildOptions(signal=signal, peaks=peaks, genome=genome, split=split)


def _manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return content


def _name(folder: Path) -> str:
    simulated = _manifest(folder)["simulated"] or (folder.parent / MARK).is_file()
    return "gm12878-atac-simulated" if simulated else "gm12878-atac"


def _notes(folder: Path) -> dict[str, Any]:
    manifest = _manifest(folder)
    return {"dropped windows": sum(manifest["dropped"].values()), **manifest["leak"]}


def _test_set(folder: Path, table: polars.DataFrame) -> TestSet:
    """Return the test windows with subsets by similarity to training; empty ones are omitted."""
    test, train = take_split(table, "test"), take_split(table, "train")
    shared = _overlaps_training(table)
    near = nearest(test.sequences, train.sequences, (0, 0)).distance >= 0
    strata = {
        "apart": ~shared & ~near,
        "similar": ~shared & near,  # repeats of the genome
        "overlapping": shared,
    }
    kept = {name: np.flatnonzero(rows) for name, rows in strata.items() if rows.any()}
    return TestSet(test.sequences, test.target, _name(folder), kept)


def _overlaps_training(table: polars.DataFrame) -> NDArray[np.bool_]:
    """Return whether each test window overlaps a training window, ``(N,)``."""
    import polars as pl

    test = table.filter(pl.col("split") == "test")
    found = np.zeros(len(test), dtype=bool)
    for chrom in test["chrom"].unique():
        rows = np.flatnonzero((test["chrom"] == chrom).to_numpy())
        train = table.filter((pl.col("chrom") == chrom) & (pl.col("split") == "train"))
        spans = merged(train.select("start", "end").to_numpy().astype(np.int64))
        starts, ends = (
            test[column].to_numpy()[rows].astype(np.int64) for column in ("start", "end")
        )
        found[rows] = overlapping(starts, ends, spans)
    return found
