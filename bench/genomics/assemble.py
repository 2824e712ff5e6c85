"""Assembly of a data set: drawing windows, reading their sequences and signal, the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.atomic import write_json
from bench.console import SILENT, Console
from bench.data.dataset import SPLITS
from bench.data.sequences import decode
from bench.errors import BenchError, argument
from bench.genomics.bigwig import Floats, Signal, center_means, open_signal
from bench.genomics.build_options import BuildOptions
from bench.genomics.checks import check_assembly, read_places, take_usable
from bench.genomics.coordinates import Line
from bench.genomics.fasta import Genome, read_genome
from bench.genomics.input_files import MANIFEST, MARK, WINDOWS, check_file, identify, new_folder
from bench.genomics.intervals import merged, overlapping
from bench.genomics.sampling import Drawn, draw
from bench.version import __version__

if TYPE_CHECKING:
    import polars as pl


SCHEMA = 1


def build(options: BuildOptions, out: Path, console: Console = SILENT) -> Mapping[str, Any]:
    """Build a data set in a new folder, which appears complete or not at all.

    Args:
        options: Input files and options.
        out: Folder for ``windows.parquet`` and ``manifest.json``.
        console: Console for the counts and for warnings.

    Returns:
        Content of ``manifest.json``. The same seed and files give the same bytes.

    Raises:
        BenchError: A file is missing, wrong or of another assembly, or no window is left.
    """
    with new_folder(out) as folder, ThreadPoolExecutor(1) as worker:
        signal = open_signal(options.signal)
        peaks = read_places(options, options.peaks, "peak", signal)
        excluded = None
        if options.blacklist is not None:
            excluded = read_places(options, options.blacklist, "interval", signal)
        check_file(options.genome)  # before the others are hashed, while the genome is read
        hashes = {name: worker.submit(identify, path) for name, path in options.inputs.items()}
        genome = read_genome(options.genome, keep=set(peaks["chrom"]) & set(signal.sizes))
        check_assembly(signal, genome)
        used, counts = take_usable(peaks, signal, genome)
        drawn = draw(options, genome, used, excluded)
        table = _fill(options, genome, signal, drawn)
        table.write_parquet(folder / WINDOWS, compression="zstd")
        manifest = _manifest(options, table, drawn)
        manifest["peaks"] = counts
        manifest["inputs"] = {name: future.result() for name, future in hashes.items()}
        manifest["file"] = identify(folder / WINDOWS)
        write_json(folder / MANIFEST, manifest)
    _tell(manifest, console)
    return manifest


def _fill(options: BuildOptions, genome: Genome, signal: Signal, drawn: Drawn) -> pl.DataFrame:
    """Return the table of windows with sequences and targets; windows with NaN are dropped."""
    import polars as pl

    line, width = drawn.line, options.width
    index = line.chromosomes(drawn.starts)
    starts = drawn.starts - line.offsets[index]
    tokens = np.empty((len(starts), width), dtype=np.uint8)
    for chromosome in np.unique(index):
        rows = np.flatnonzero(index == chromosome)
        tokens[rows] = genome.chromosomes[line.names[chromosome]].tokens(starts[rows], width)
    chrom = pl.Series(np.array(line.names)[index])
    target = center_means(signal, chrom, starts, width=width, center=options.center)
    summits = pl.Series(drawn.summits - line.offsets[index])
    table = pl.DataFrame(
        {
            "chrom": chrom,
            "start": starts,
            "end": starts + width,
            "strand": pl.repeat("+", len(starts), eager=True),
            "sequence": decode(tokens),
            "target": _transform(options, target),
            "split": pl.Series(np.array(SPLITS)[drawn.splits], dtype=pl.Enum(SPLITS)),
            "summit": summits.set(pl.Series(drawn.summits < 0), None),
        }
    )
    drawn.dropped["signal is no number"] = int((~np.isfinite(target)).sum())
    table = table.filter(pl.col("target").is_finite())
    for name in SPLITS:
        if not (table["split"] == name).any():
            raise BenchError(
                f"no window is left in the {name} split of {options.peaks}. "
                f"More {argument('windows')} or peaks may help; "
                f"{argument('split', 'paper')} splits windows at random."
            )
    return table


def _transform(options: BuildOptions, values: Floats) -> Floats:
    if options.transform == "log1p":
        if np.nanmin(values, initial=0) < 0:
            raise BenchError(
                f"{options.signal} has values below 0 (such as {np.nanmin(values):g}), which "
                f"{argument('transform', 'log1p')} cannot take. Use asinh or none."
            )
        return np.log1p(values)
    return np.arcsinh(values) if options.transform == "asinh" else values


def _manifest(options: BuildOptions, table: pl.DataFrame, drawn: Drawn) -> dict[str, Any]:
    """Return the manifest: options and counts; it has no time, so equal inputs give equal files."""
    away = int(table["summit"].null_count())
    chosen = asdict(options) | {name: path.name for name, path in options.inputs.items()}
    return {
        "schema": SCHEMA,
        "bench": __version__,
        "simulated": (options.signal.parent / MARK).is_file(),
        "target": f"mean signal of the central {options.center} letters, 0 where uncovered"
        + ("" if options.transform == "none" else f", {options.transform}"),
        "options": chosen,
        "windows": {"asked for": options.windows, "written": len(table)}
        | {"at peaks": len(table) - away, "away from peaks": away},
        "dropped": drawn.dropped,
        "splits": {
            name: {"windows": int((table["split"] == name).sum()), "what": drawn.told[name]}
            for name in SPLITS
        },
        "chromosomes": dict(table.group_by("chrom", maintain_order=True).len().rows()),
        "leak": {
            "share of test windows that overlap a training window": _leak(table, drawn.line),
        },
    }


def _leak(table: pl.DataFrame, line: Line) -> float:
    """Return the share of test windows that overlap a training window."""
    import polars as pl

    spans = {name: line.spans(table.filter(pl.col("split") == name)) for name in SPLITS}
    test = spans["test"]
    return float(overlapping(test[:, 0], test[:, 1], merged(spans["train"])).mean())


def _tell(manifest: Mapping[str, Any], console: Console) -> None:
    windows, peaks = manifest["windows"], manifest["peaks"]
    if windows["written"] < windows["asked for"]:
        reasons = ", ".join(f"{n:,} {what}" for what, n in manifest["dropped"].items() if n)
        console.warn(
            f"{windows['written']:,} windows, not {windows['asked for']:,}: there are no more "
            f"(dropped: {reasons or 'none'})"
        )
    if peaks["used"] < peaks["read"]:
        console.warn(
            f"{peaks['read'] - peaks['used']:,} of {peaks['read']:,} peaks excluded: "
            "their chromosomes are not in both signal and genome"
        )
    (share,) = manifest["leak"].values()
    splits = ", ".join(f"{s['windows']:,} {name}" for name, s in manifest["splits"].items())
    console.say(f"{windows['written']:,} windows: {splits}")
    if share:
        console.warn(f"{share:.1%} of test windows overlap a training window: this split leaks")
