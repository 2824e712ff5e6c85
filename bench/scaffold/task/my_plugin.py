"""MyPlugin: activity of DNA sequences.

The folder of the data has three files: train.tsv, validation.tsv and test.tsv. A row is a sequence,
a tab and a number; there is no header. The best epoch is chosen by the validation rows, and scores
are computed over the test rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cards import Source, TaskCard
from bench.data.dataset import Dataset, Split, TestSet
from bench.sources.encoding_cache import open_table
from bench.task import Task

LENGTH = 100
"""Usual length of a sequence, in nt."""
MOTIF = "TGACTCA"
"""Motif whose number of copies decides the activity of simulated sequences."""


class MyPlugin(Task):
    """Activity of DNA sequences; see the module docstring."""

    card = TaskCard(
        summary="activity of DNA sequences",
        version=1,
        row="one sequence",
        target="activity, arbitrary unit",
        primary="all/pearson",
        source=Source(
            citation="authors, journal, year, doi",
            url="https://example.org/address-of-the-data",
            license="licence of the data",
        ),
    )
    subsets = ("gc_rich", "gc_poor")

    def read(self, directory: Path, test_directory: Path) -> Dataset:
        """Read the rows of the three files."""
        return Dataset(
            name=_name(directory),
            version=self.card.version,
            usual_length=LENGTH,
            train=self._rows(directory / "train.tsv"),
            validation=self._rows(directory / "validation.tsv"),
            test=self.read_test(test_directory),
        )

    def read_test(self, directory: Path) -> TestSet:
        """Read the rows of test.tsv."""
        rows = self._rows(directory / "test.tsv")
        return TestSet(rows.sequences, rows.target, _name(directory))

    def scoring_groups(self, test: TestSet, rows: str) -> Mapping[str, NDArray[np.int64]]:
        """Return all rows, and the halves of more and of less GC than the median."""
        share = gc_share(test)
        rich = share > np.median(share)
        return {
            "all": np.arange(len(test)),
            "gc_rich": np.flatnonzero(rich),
            "gc_poor": np.flatnonzero(~rich),
        }

    @classmethod
    def simulate(cls, directory: Path, *, rows: int, seed: int) -> Mapping[str, Any]:
        """Write the three files: random sequences, whose activity is the number of their motifs."""
        random = np.random.default_rng(seed)
        for name, size in {"train": rows, "validation": rows // 5, "test": rows // 5}.items():
            copies = random.integers(5, size=max(size, 10))
            # Ten pieces of ten bases a sequence, the first of which begin with the motif.
            pieces = random.choice(list("ACGT"), (len(copies), LENGTH // 10, 10))
            pieces[np.arange(LENGTH // 10) < copies[:, None], : len(MOTIF)] = list(MOTIF)
            texts = ("".join(row) for row in pieces.reshape(len(copies), LENGTH))
            numbers = copies + random.normal(0, 0.5, len(copies))
            lines = (f"{text}\t{number:.4f}\n" for text, number in zip(texts, numbers, strict=True))
            (directory / f"{name}.tsv").write_text("".join(lines))
        (directory / "simulated.json").write_text("{}")
        return {"rows": rows, "seed": seed}

    def _rows(self, path: Path) -> Split:
        """Return the rows of a file, mapped from the disk, so that millions of rows are no load."""
        table = open_table(path, self.console)
        return Split(table.sequences, table.numbers)


def gc_share(rows: Split) -> NDArray[np.float64]:
    """Return the share of G and C of every sequence, ``(N,)``."""
    share = np.empty(len(rows))
    for part, chunk in rows.sequences.chunks():
        strong = (chunk.tokens == 1) | (chunk.tokens == 2)
        share[part] = strong.sum(axis=1) / chunk.lengths
    return share


def _name(directory: Path) -> str:
    """Return the name of the data set in results; simulated rows never rank with real ones."""
    return "my-plugin-simulated" if (directory / "simulated.json").is_file() else "my-plugin"
