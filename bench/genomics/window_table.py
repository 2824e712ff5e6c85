"""Reader for data sets of windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.data.dataset import Split
from bench.data.sequences import TRANSLATION, Sequences
from bench.errors import BenchError
from bench.genomics.input_files import MANIFEST, WINDOWS, identify

if TYPE_CHECKING:
    import polars as pl


def read_windows(directory: Path) -> pl.DataFrame:
    """Read a data set that ``build`` wrote.

    Returns:
        Table with the columns chrom, start, end, strand, sequence, target, split and summit (null
        for windows away from peaks), in the order of the genome.

    Raises:
        BenchError: The folder holds no such data set, or its file has changed.
    """
    import polars as pl

    path = directory / WINDOWS
    try:
        written = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["file"]
        found = identify(path)
    except (OSError, ValueError, KeyError, TypeError):
        raise BenchError(
            f"{directory} holds no {WINDOWS} with its {MANIFEST}. "
            "`bench data build atac --out FOLDER` makes both."
        ) from None
    if found != written:
        raise BenchError(f"{path} does not match {MANIFEST}. Build it again.")
    return pl.read_parquet(path)


def take_split(table: pl.DataFrame, name: str) -> Split:
    """Return the encoded windows of one split: "train", "validation" or "test"."""
    import polars as pl

    rows = table.filter(pl.col("split") == name)
    text = "".join(rows["sequence"].to_list()).encode()
    width = len(text) // max(len(rows), 1)
    tokens = np.frombuffer(text.translate(TRANSLATION), dtype=np.uint8).reshape(len(rows), width)
    lengths = np.full(len(rows), width, dtype=np.int32)
    return Split(Sequences(tokens, lengths), rows["target"].to_numpy())
