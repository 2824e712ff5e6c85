"""Simulate the DREAM 2022 random-promoter assay into the files of the public release.

The assay: millions of yeast cells, each with one random promoter of about 80 nt in front of a
fluorescent gene, are sorted by brightness into 18 bins, 0 to 17, and the promoters in each bin are
sequenced. A promoter's expression is the mean bin of its reads. Most training promoters are read
once, so 58% of the training values are integers, and no model can reach a correlation above about
.75. `regulation.py` models expression; this file simulates the measurement and writes the files.

Layout, sizes and noise follow the release (Rafi et al. 2024, doi:10.1038/s41587-024-02414-w).
Every score on these files carries the label `dream-simulated`.

Legend: B promoters, L bases.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.tasks.dream.regulation import (
    CHUNK,
    INSERT,
    RIGHT,
    Codes,
    Numbers,
    Positions,
    Regulation,
    framed,
    native_letters,
    planted,
    random_letters,
    random_promoters,
    substituted,
)

UNREAD_ROWS, UNREAD_TAIL, UNREAD = 0.0042, 20, 0.8  # rows with N; 80% of their last 20 bases are N

CELL_SPREAD = 1.88  # bins, std of single cells of one promoter
TAIL = 1.15  # share of promoters with n reads or more is n ** -TAIL
MOST_READS = 64
TEST_DEPTH = 9  # reads of a test promoter for each one of a training promoter
# Sorted cells per read differ between bins, so means have many decimals. The weights are binary
# fractions, so the mean of reads from a single bin is exactly an integer.
BIN_WEIGHTS = 1 + (np.arange(18) * 7 % 18 - 8) / 64
MAUDE_CENTRE, MAUDE_SPREAD = 10.6, 3.1  # bins; the test file's scale is (bin - centre) / spread

# Files of the test subsets by their name in public_leaderboard_ids. SNVs get the remaining rows.
FILES = {
    "random": "all_random_seqs", "challenging": "challenging_seqs", "high": "high_exp_seqs",
    "low": "low_exp_seqs", "yeast": "yeast_seqs", "motif_perturbation": "motif_perturbation_seqs",
    "motif_tiling": "motif_tiling_seqs", "SNVs": "all_SNVs_seqs",
}  # fmt: skip
SHARES = {
    "random": 0.09, "challenging": 0.028, "high": 0.014, "low": 0.014, "yeast": 0.014,
    "motif_perturbation": 0.047, "motif_tiling": 0.037,
}  # fmt: skip
UNNAMED = {"random", "motif_perturbation", "SNVs"}  # their files have two columns of row numbers
FEWEST = 40  # rows or pairs of a subset, of which about 35 stay private
PUBLIC_ROWS, PUBLIC_PAIRS = 0.12, 0.1  # shares; together about 13% of the test rows
ALPHABET = bytes.maketrans(bytes(range(7)), b"ACGTN-\n")
THREADS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """Facts about a simulation, with the scores of a perfect model."""

    rows: int
    test_rows: int
    seed: int
    train_ceiling: float
    """Pearson r of the true mean expression with the measured one, training rows."""
    test_ceiling: float
    """Pearson r of the true mean expression with the measured one, test rows."""
    singletons: float
    """Share of training rows seen in a single bin, whose value is an integer."""


class Chunk(NamedTuple):
    """Promoters ready to be written."""

    text: bytes
    mean: Numbers
    measured: Numbers


class SimulatedTest(NamedTuple):
    """Test promoters in file order and the rows of each subset: (alt,) or (alt, ref)."""

    codes: Codes
    sequences: npt.NDArray[np.str_]
    subsets: dict[str, tuple[Positions, ...]]


def simulate(directory: Path, *, rows: int, test_rows: int = 8_000, seed: int = 0) -> Simulation:
    """Write a simulated release into an empty directory and return its ceilings.

    The same arguments give the same bytes. `simulated.json` is written last: a directory with this
    file is complete.

    Raises:
        ValueError: There are fewer than 100 rows or fewer than 1,000 test rows.
    """
    if rows < 100 or test_rows < 1_000:
        raise ValueError(f"rows >= 100 and test_rows >= 1000, not {rows} and {test_rows}")
    directory.mkdir(parents=True, exist_ok=True)
    regulation = Regulation()
    test_seed, *train_seeds = np.random.SeedSequence(seed).spawn(1 + -(-rows // CHUNK))
    mean, measured = _write_training(directory, regulation, rows, train_seeds)
    test_mean, test_measured = _write_test(directory, regulation, test_rows, test_seed)
    simulation = Simulation(
        rows=rows,
        test_rows=test_rows,
        seed=seed,
        train_ceiling=float(np.corrcoef(mean, measured)[0, 1]),
        test_ceiling=float(np.corrcoef(test_mean, test_measured)[0, 1]),
        singletons=float(np.mean(measured == np.rint(measured))),
    )
    origin = {"generator": "dream-simulated", "version": 1}
    _write_json(directory / "simulated.json", asdict(simulation) | origin)
    return simulation


def measure(mean: Numbers, rng: np.random.Generator, *, depth: int = 1) -> Numbers:
    """Return the measured mean bins of promoters with these true mean bins, (B,)."""
    reads = np.minimum(rng.random(len(mean)) ** (-1 / TAIL), MOST_READS).astype(np.intp) * depth
    starts = np.cumsum(reads) - reads
    cells = np.repeat(mean, reads) + CELL_SPREAD * rng.standard_normal(reads.sum())
    bins = np.clip(np.rint(cells), 0, 17).astype(np.intp)
    weights = BIN_WEIGHTS[bins]
    total = np.add.reduceat(weights * bins, starts) / np.add.reduceat(weights, starts)
    return np.round(total, 13)  # 15 digits, as in the release


def _write_training(
    directory: Path,
    regulation: Regulation,
    rows: int,
    seeds: Sequence[np.random.SeedSequence],
) -> tuple[Numbers, Numbers]:
    """Write the training file; return the true and the measured means."""
    sizes = [min(CHUNK, rows - start) for start in range(0, rows, CHUNK)]
    means, measured = [], []
    with (
        (directory / "train_sequences.txt").open("wb") as file,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        for chunk in threads.map(partial(_training_chunk, regulation), seeds, sizes):
            file.write(chunk.text)
            means.append(chunk.mean)
            measured.append(chunk.measured)
    return np.concatenate(means), np.concatenate(measured)


def _training_chunk(regulation: Regulation, seed: np.random.SeedSequence, rows: int) -> Chunk:
    """Return random promoters as they were read and measured."""
    rng = np.random.default_rng(seed)
    codes, lengths = random_promoters(rng, rows)
    mean = regulation.activity(codes).mean
    measured = measure(mean, rng)
    # An N is a base that the sequencer could not read; the promoter in the cell had a base there.
    failed = np.flatnonzero(rng.random(rows) < UNREAD_ROWS)
    tail = slice(-len(RIGHT) - UNREAD_TAIL, -len(RIGHT))
    unread = rng.random((len(failed), UNREAD_TAIL)) < UNREAD
    codes[failed, tail] = np.where(unread, 4, codes[failed, tail])
    codes[np.arange(codes.shape[1])[::-1] >= lengths[:, None]] = 5
    return Chunk(_table(_strings(codes), measured), mean, measured)


def _write_test(
    directory: Path, regulation: Regulation, rows: int, seed: np.random.SeedSequence
) -> tuple[Numbers, Numbers]:
    """Write the test file, subsets and public rows; return the true and the measured means."""
    rng = np.random.default_rng(seed)
    test = _test_set(regulation, rows, rng)
    mean = regulation.activity(test.codes).mean
    measured = measure(mean, rng, depth=TEST_DEPTH)
    maude = np.round((measured - MAUDE_CENTRE) / MAUDE_SPREAD, 14)
    path = directory / "filtered_test_data_with_MAUDE_expression.txt"
    path.write_bytes(_table(test.sequences.tolist(), maude))
    for folder in ("test_subset_ids", "public_leaderboard_ids"):
        (directory / folder).mkdir(exist_ok=True)
    for name in test.subsets:
        _write_subset(directory / "test_subset_ids", test, name)
    _write_public(directory / "public_leaderboard_ids", test.subsets, maude, rng)
    return mean, measured


def _test_set(regulation: Regulation, rows: int, rng: np.random.Generator) -> SimulatedTest:
    """Return exactly `rows` distinct promoters, in alphabetical order as in the release."""
    pool = framed(random_letters(rng, 4 * rows, INSERT))
    designs = _designs(pool[: 2 * rows], regulation, rows, rng)
    others = len(set(_strings(np.concatenate([c for d in designs.values() for c in d]))))
    # Reference promoters of the release are random or evolved, so their expression varies more than
    # that of random ones: sample the tails more often.
    mean = regulation.activity(pool[2 * rows :]).mean
    odds = 1 + ((mean - mean.mean()) / mean.std()) ** 2
    count = (rows - others) // 4
    chosen = rng.choice(len(mean), count, replace=False, p=odds / odds.sum())
    bases = pool[2 * rows :][chosen]
    designs["SNVs"] = substituted(bases, rows - others - count, regulation.strength(bases), rng)
    codes = np.concatenate([codes for design in designs.values() for codes in design])
    texts, first, inverse = np.unique(_strings(codes), return_index=True, return_inverse=True)
    assert len(texts) == rows, (len(texts), rows)  # 4**80 sequences: no test row is in training
    ends = np.cumsum([len(codes) for design in designs.values() for codes in design])
    parts = iter(np.split(inverse, ends[:-1]))
    subsets = {name: tuple(next(parts) for _ in design) for name, design in designs.items()}
    return SimulatedTest(codes[first], texts, subsets)


def _designs(
    pool: Codes, regulation: Regulation, rows: int, rng: np.random.Generator
) -> dict[str, tuple[Codes, ...]]:
    """Return the promoters of every subset but SNVs, as (members,) or (alt, ref)."""
    size = {name: max(FEWEST, round(share * rows)) for name, share in SHARES.items()}
    activity = regulation.activity(pool)
    order = np.argsort(activity.mean)
    # The release's challenging promoters are those on which models disagreed. Here they are those
    # for which the places and partners of sites change activity most, compared with a linear
    # prediction by the sum over sites.
    fitted = np.polyval(np.polyfit(activity.additive, activity.context, 1), activity.additive)
    surprise = np.argsort(-np.abs(activity.context - fitted))
    perturbed, tiled = size["motif_perturbation"], size["motif_tiling"]
    few = pool[: 3 + tiled // 1_000]
    many = pool[len(few) :][: 10 + perturbed // 100]
    return {
        "random": (pool[: size["random"]],),
        "challenging": (pool[surprise[: size["challenging"]]],),
        "high": (pool[order[-size["high"] :]],),
        "low": (pool[order[: size["low"]]],),
        "yeast": (framed(native_letters(size["yeast"], rng)),),
        "motif_perturbation": planted(many, perturbed, [20, 40, 60], 2, rng),
        "motif_tiling": planted(few, tiled, range(INSERT - 7), 0, rng),
    }


def _strings(codes: Codes) -> list[str]:
    """Return the strings of (B, L) codes: 4 becomes N, 5 is skipped."""
    lines = np.pad(codes, ((0, 0), (0, 1)), constant_values=6)
    return lines.tobytes().translate(ALPHABET, b"\x05").decode().split()


def _table(sequences: list[str], expression: Numbers) -> bytes:
    """Return the lines `sequence<TAB>expression`, integers without a decimal point."""
    import polars as pl

    numbers = pl.Series(expression).cast(pl.String).str.strip_suffix(".0")
    columns = pl.DataFrame({"sequence": sequences, "expression": numbers})
    return columns.write_csv(separator="\t", include_header=False).encode()


def _write_subset(directory: Path, test: SimulatedTest, name: str) -> None:
    """Write one file of test_subset_ids, with empty expression columns as in the release."""
    import polars as pl

    members = test.subsets[name]
    index = pl.Series(range(len(members[0])))
    tags = pl.select(pl.format(f"{name}_{{}}", index)).to_series()
    columns: dict[str, object] = {"": index}
    if name in UNNAMED:
        columns["Unnamed: 0"] = index
    roles = ["alt_", "ref_"] if len(members) == 2 else [""]
    columns |= {f"{role}tag": tags for role in roles}
    for role, rows in zip(roles, members, strict=True):
        columns[f"{role}sequence"] = test.sequences[rows]
    columns |= {f"{role}pos": rows for role, rows in zip(roles, members, strict=True)}
    columns |= {f"{role}exp": [None] * len(index) for role in roles}
    pl.DataFrame(columns).write_csv(directory / f"{FILES[name]}.csv")


def _write_public(
    directory: Path,
    subsets: dict[str, tuple[Positions, ...]],
    values: Numbers,
    rng: np.random.Generator,
) -> None:
    """Write the public leaderboard's share of every subset, and the values of all its rows."""
    ground: dict[str, float] = {}
    for name, members in subsets.items():
        share = PUBLIC_ROWS if len(members) == 1 else PUBLIC_PAIRS
        count = len(members[0])
        picks = np.sort(rng.choice(count, round(share * count), replace=False))
        rows = np.stack([part[picks] for part in members], axis=1)  # (picks, 1 or 2)
        keys = [",".join(map(str, row)) for row in rows.tolist()]
        found = values[rows if len(members) == 2 else rows[:, 0]].tolist()
        _write_json(directory / f"{name}_exp_indices.json", dict(zip(keys, found, strict=True)))
        ground |= dict(
            zip(map(str, rows.ravel().tolist()), values[rows].ravel().tolist(), strict=True)
        )
    _write_json(directory / "ground.json", ground)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="ascii")
