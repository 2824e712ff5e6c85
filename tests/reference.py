"""The challenge's score the long way: lists, membership, SciPy. Shares no code with `bench`."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

SINGLE = {
    "high": "high_exp_seqs",
    "low": "low_exp_seqs",
    "yeast": "yeast_seqs",
    "random": "all_random_seqs",
    "challenging": "challenging_seqs",
}
PAIRED = {
    "SNVs": "all_SNVs_seqs",
    "motif_perturbation": "motif_perturbation_seqs",
    "motif_tiling": "motif_tiling_seqs",
}
WEIGHTS = {"all": 1, "challenging": 0.5, "SNVs": 1.25, "motif_tiling": 0.4}  # else .3
Figures = dict[str, tuple[int, float, float]]


def read_truth(folder: Path) -> list[float]:
    """Expression of every test row."""
    path = folder / "filtered_test_data_with_MAUDE_expression.txt"
    return [float(line.split("\t")[1]) for line in path.read_text().splitlines()]


def read_units(folder: Path, snvs: Path | None = None) -> dict[str, list[tuple[int, ...]]]:
    """Rows, as tuples of one, or pairs of rows of every subset."""
    units = {}
    for name, file in {**SINGLE, **PAIRED}.items():
        path = folder / "test_subset_ids" / f"{file}.csv"
        with (snvs if snvs is not None and name == "SNVs" else path).open() as text:
            table = list(csv.DictReader(text))
        columns = ("pos",) if name in SINGLE else ("alt_pos", "ref_pos")
        units[name] = sorted({tuple(int(row[column]) for column in columns) for row in table})
    return units


def read_public(folder: Path) -> dict[str, list[tuple[int, ...]]]:
    """What the public leaderboard showed of every subset."""
    public = {}
    for name in {**SINGLE, **PAIRED}:
        path = folder / "public_leaderboard_ids" / f"{name}_exp_indices.json"
        keys = json.loads(path.read_text())
        public[name] = [tuple(int(part) for part in key.split(",")) for key in keys]
    return public


def score_private(
    truth: Sequence[float],
    guess: Sequence[float],
    units: dict[str, list[tuple[int, ...]]],
    public: dict[str, list[tuple[int, ...]]],
) -> tuple[float, float, Figures]:
    """Return Pearson Score, Spearman Score, and n, r, rho of every subset."""
    seen = [row for name in SINGLE for (row,) in public[name]]
    seen_pairs = [pair for name in PAIRED for pair in public[name]]
    seen += [row for pair in seen_pairs for row in pair]
    seen = list(set(seen))
    figures: Figures = {}
    rows = [row for row in range(len(truth)) if row not in seen]
    figures["all"] = _correlate([truth[row] for row in rows], [guess[row] for row in rows])
    for name in SINGLE:
        rows = [row for (row,) in units[name] if row not in seen]
        figures[name] = _correlate([truth[row] for row in rows], [guess[row] for row in rows])
    for name in PAIRED:
        pairs = [pair for pair in units[name] if pair not in seen_pairs]
        figures[name] = _correlate(
            [truth[alt] - truth[ref] for alt, ref in pairs],
            [guess[alt] - guess[ref] for alt, ref in pairs],
        )
    pearson, spearman = 0.0, 0.0
    for name, (_, r, rho) in figures.items():
        pearson += WEIGHTS.get(name, 0.3) * r * r
        spearman += WEIGHTS.get(name, 0.3) * rho
    return pearson / 4.65, spearman / 4.65, figures


def _correlate(x: list[float], y: list[float]) -> tuple[int, float, float]:
    return len(x), float(stats.pearsonr(x, y).statistic), float(stats.spearmanr(x, y).statistic)
