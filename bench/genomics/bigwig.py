"""Signals: values along a genome, in a bigWig file.

Legend: N intervals.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, first_line
from bench.extras import needed
from bench.genomics.input_files import check_file
from bench.genomics.intervals import Integers

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
T = TypeVar("T")

_BIGWIG, _BIGBED = 0x888FFC26, 0x8789F2EB  # Kent et al. 2010, doi:10.1093/bioinformatics/btq351


@dataclass(frozen=True, slots=True)
class Signal:
    """A bigWig file.

    Attributes:
        path: Path of the file.
        sizes: Length of every chromosome (bp).
    """

    path: Path
    sizes: Mapping[str, int]

    def means(self, chrom: Sequence[str] | pl.Series, starts: Integers, ends: Integers) -> Floats:
        """Return the mean signal of intervals, ``(N,)``; uncovered positions count as 0.

        Raises:
            BenchError: The file is damaged.
        """
        import polars as pl

        if not len(starts):
            return np.empty(0)
        table = pl.DataFrame({"chrom": chrom, "start": starts, "end": ends}).with_row_index("row")
        # The file is sorted by name and place; intervals in another order take ten times as long.
        table = table.sort("chrom", "start")
        values = np.empty(len(table))
        with tempfile.TemporaryDirectory() as folder:
            bed = Path(folder) / "intervals.bed"
            table.drop("row").write_csv(
                bed, separator="\t", include_header=False, quote_style="never"
            )
            found = _ask(self.path, lambda file: _averages(file, bed, len(table)))
        values[table["row"].to_numpy()] = found
        return values


def center_means(
    signal: Signal, chrom: pl.Series, starts: Integers, *, width: int, center: int
) -> Floats:
    """Return the mean signal of the central bases of windows, ``(N,)``."""
    begins = starts + (width - center) // 2
    return signal.means(chrom, begins, begins + center)


def open_signal(path: Path) -> Signal:
    """Read the header of a bigWig file.

    Raises:
        BenchError: The file is missing, has another format, or is cut short.
    """
    check_file(path)
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-min(4, path.stat().st_size), 2)
        tail = file.read(4)
    order: Literal["little", "big"] = "little" if head == _BIGWIG.to_bytes(4, "little") else "big"
    if int.from_bytes(head, order) != _BIGWIG:
        bigbed = _BIGBED in (int.from_bytes(head, "little"), int.from_bytes(head, "big"))
        kind = "a bigBed, not a bigWig" if bigbed else "not a bigWig"
        raise BenchError(f"{path} is {kind}. Give a bigWig; `bedGraphToBigWig` makes one.")
    if tail != head:  # the format repeats its first four bytes at the end
        raise BenchError(f"{path} is cut short: its end is missing. Copy or fetch it again.")
    return Signal(path, _ask(path, lambda file: dict(file.chroms())))


def write_signal(
    path: Path, sizes: Mapping[str, int], rows: Iterable[tuple[str, int, int, float]]
) -> None:
    """Write a bigWig from ``(chrom, start, end, value)``, sorted by name and place."""
    _pybigtools().open(str(path), "w").write(dict(sizes), rows)


def _ask(path: Path, question: Callable[[Any], T]) -> T:
    """Return the answer of an open bigWig to a question; errors become one line."""
    library = _pybigtools()
    try:
        with library.open(str(path)) as file:
            return question(file)
    except (BenchError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # pybigtools raises Exception, or Rust's PanicException
        raise BenchError(f"{path} is damaged ({first_line(error)}). Fetch it again.") from None


def _averages(file: Any, bed: Path, rows: int) -> Floats:
    return np.fromiter(file.average_over_bed(str(bed), stats="mean0"), np.float64, count=rows)


def _pybigtools() -> Any:
    needed("pybigtools", extra="genomics", what="a bigWig file")
    return importlib.import_module("pybigtools")  # the package has no types
