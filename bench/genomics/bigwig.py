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
        path: The file.
        sizes: Letters of every chromosome.
    """

    path: Path
    sizes: Mapping[str, int]

    def means(self, chrom: Sequence[str] | pl.Series, starts: Integers, ends: Integers) -> Floats:
        """Average the signal over intervals ``(N,)``; what is not covered counts as 0.

        Raises:
            BenchError: The file is damaged.
        """
        import polars as pl

        if not len(starts):
            return np.empty(0)
        table = pl.DataFrame({"chrom": chrom, "start": starts, "end": ends}).with_row_index("row")
        # The file is sorted by name and place; intervals in another order take ten times longer.
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
    """Average the signal over the central letters of windows ``(N,)``."""
    begins = starts + (width - center) // 2
    return signal.means(chrom, begins, begins + center)


def open_signal(path: Path) -> Signal:
    """Read a bigWig's header.

    Raises:
        BenchError: The file is missing, another format, or cut short.
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
        raise BenchError(f"{path} is {kind}. Give one; `bedGraphToBigWig` makes them.")
    if tail != head:  # the format repeats its first four bytes at the end
        raise BenchError(f"{path} is cut short: its end is missing. Copy or fetch it again.")
    return Signal(path, _ask(path, lambda file: dict(file.chroms())))


def write_signal(
    path: Path, sizes: Mapping[str, int], rows: Iterable[tuple[str, int, int, float]]
) -> None:
    """Write a bigWig from ``(chrom, start, end, value)``, sorted by name and place."""
    _pybigtools().open(str(path), "w").write(dict(sizes), rows)


def _ask(path: Path, question: Callable[[Any], T]) -> T:
    """Open a bigWig, ask it something and close it; say in one line what is wrong with it."""
    library = _pybigtools()
    try:
        with library.open(str(path)) as file:
            return question(file)
    except (BenchError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a bare Exception, or a panic of Rust that is not even one
        raise BenchError(f"{path} is damaged ({first_line(error)}). Fetch it again.") from None


def _averages(file: Any, bed: Path, rows: int) -> Floats:
    return np.fromiter(file.average_over_bed(str(bed), stats="mean0"), np.float64, count=rows)


def _pybigtools() -> Any:
    needed("pybigtools", extra="genomics", what="a bigWig file")
    return importlib.import_module("pybigtools")  # it has no types
