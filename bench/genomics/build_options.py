"""What a data set of windows is made of, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.config import setting
from bench.errors import BenchError, argument


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """What a data set is made of, and how."""

    signal: Path
    peaks: Path
    genome: Path
    blacklist: Path | None = None
    windows: int = setting(100_000, "windows drawn", low=1)
    width: int = setting(100, "letters of a window", low=1)
    center: int = setting(20, "letters in its middle whose mean signal is the target", low=1)
    flank: int = setting(500, "letters on each side of a summit where windows lie", low=1)
    background: float = setting(0.0, "share of windows away from all peaks", low=0, high=0.9)
    transform: Literal["none", "log1p", "asinh"] = setting("none", "of the mean signal")
    split: Literal["chromosome", "paper"] = setting(
        "chromosome",
        "chr8, chr9 test, chr10 validates (else blocks apart); paper: 20% at random, which leaks",
    )
    chromosomes: Literal["as-is", "add-chr", "drop-chr"] = setting(
        "as-is", "how names in the peaks and the blacklist are changed"
    )
    seed: int = setting(0, "draws the windows", low=0)

    def __post_init__(self) -> None:
        """Check what a bound of a single field cannot say."""
        if not 1 <= self.center <= self.width:
            raise BenchError(
                f"{argument('center')} is between 1 and the width, {self.width}; got {self.center}."
            )
        if (self.width - self.center) % 2:
            raise BenchError(
                f"{argument('center')} {self.center} has no middle place in {argument('width')} "
                f"{self.width}: both even or both odd.",
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
        """Letters between windows of different splits on one chromosome."""
        return self.width + self.flank

    @property
    def inputs(self) -> dict[str, Path]:
        """Files to read, by the option that names them."""
        paths = {"signal": self.signal, "peaks": self.peaks, "genome": self.genome}
        return paths if self.blacklist is None else {**paths, "blacklist": self.blacklist}
