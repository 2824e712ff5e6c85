"""Input files and options of a data set of windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.config import setting
from bench.errors import BenchError, argument


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """Input files and options of a data set of windows."""

    signal: Path
    peaks: Path
    genome: Path
    blacklist: Path | None = None
    windows: int = setting(100_000, "windows drawn", low=1)
    width: int = setting(100, "length of a window (bp)", low=1)
    center: int = setting(20, "central bases whose mean signal is the target", low=1)
    flank: int = setting(500, "bases on each side of a summit where windows lie", low=1)
    background: float = setting(0.0, "share of windows away from all peaks", low=0, high=0.9)
    transform: Literal["none", "log1p", "asinh"] = setting("none", "transform of the mean signal")
    split: Literal["chromosome", "paper"] = setting(
        "chromosome",
        "test chr8, chr9, validation chr10 (or blocks of peaks); paper: 20% at random, which leaks",
    )
    chromosomes: Literal["as-is", "add-chr", "drop-chr"] = setting(
        "as-is", "change of the chromosome names in the peaks and the blacklist"
    )
    seed: int = setting(0, "seed of the random windows", low=0)

    def __post_init__(self) -> None:
        """Check conditions between fields, and bounds when the command line is not used."""
        if not 1 <= self.center <= self.width:
            raise BenchError(
                f"{argument('center')} is between 1 and the width, {self.width}; got {self.center}."
            )
        if (self.width - self.center) % 2:
            raise BenchError(
                f"{argument('center')} {self.center} cannot be centered in {argument('width')} "
                f"{self.width}: make both even or both odd.",
                hint={"center": self.center + 1},
            )
        if self.width > 2 * self.flank:
            raise BenchError(
                f"{argument('width')} {self.width} does not fit into {argument('flank')} "
                f"{self.flank} on both sides.",
                hint={"flank": self.width},
            )
        if self.windows < 1 or self.seed < 0 or not 0 <= self.background <= 0.9:
            raise BenchError(
                f"{argument('windows')} is above 0, {argument('seed')} at least 0, "
                f"{argument('background')} 0 to 0.9."
            )

    @property
    def gap(self) -> int:
        """Distance between windows of different splits on one chromosome (bp)."""
        return self.width + self.flank

    @property
    def inputs(self) -> dict[str, Path]:
        """Input files by the name of their option."""
        paths = {"signal": self.signal, "peaks": self.peaks, "genome": self.genome}
        return paths if self.blacklist is None else {**paths, "blacklist": self.blacklist}
