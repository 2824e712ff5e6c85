"""Scores of the organisers: nine subsets of the test rows, and two weighted means over them.

The definitions follow Rafi et al. (2024), doi:10.1038/s41587-024-02414-w, and their evaluation
program (MIT licence, https://github.com/de-Boer-Lab/random-promoter-dream-challenge-2022).

A subset is a list of test rows or, for the last three, of pairs (alternative, reference). For pairs
the *differences* of predictions are correlated with the differences of expression. Repeats in the
files count once. During the challenge 9,045 rows were scored in public; the final ranking uses the
private rows, which are all others.

Where the organisers' list of SNV pairs is not at hand, a reconstruction may stand in for it: a file
with the columns alt_pos, ref_pos and status. Its pairs of the status "private" and "public" are
used, and every score over them says so. With them the winner's published predictions have a
Pearson Score of .81795, and .81839 was published (r squared of SNVs: .7264 and .7281); every
single substitution between test rows, a superset with 9,146 further pairs, gives .812 there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TestSet
from bench.data.tables import header_of, read_positions
from bench.errors import BenchError

Units = NDArray[np.int64]

WEIGHTS = {
    "all": 1.0,
    "high": 0.3,
    "low": 0.3,
    "yeast": 0.3,
    "random": 0.3,
    "challenging": 0.5,
    "SNVs": 1.25,
    "motif_perturbation": 0.3,
    "motif_tiling": 0.4,
}
FILES = {
    "high": "high_exp_seqs.csv",
    "low": "low_exp_seqs.csv",
    "yeast": "yeast_seqs.csv",
    "random": "all_random_seqs.csv",
    "challenging": "challenging_seqs.csv",
    "SNVs": "all_SNVs_seqs.csv",
    "motif_perturbation": "motif_perturbation_seqs.csv",
    "motif_tiling": "motif_tiling_seqs.csv",
}
"""Files in test_subset_ids/ by subset."""
PAIRS = frozenset({"SNVs", "motif_perturbation", "motif_tiling"})
PUBLIC = {f"public.{name}": f"{name}_exp_indices.json" for name in FILES}
"""Files in public_leaderboard_ids/ by the name of their subset in a :class:`TestSet`."""
RECONSTRUCTED = "snv_pairs_reconstructed.csv"
"""File in test_subset_ids/ that is read where the organisers' SNV pairs are missing."""
_CERTAIN = ("private", "public")  # a third status, private_probable, lowers the Spearman Score


def read_subsets(
    directory: Path, rows: int
) -> tuple[dict[str, Units], dict[str, str], dict[str, str]]:
    """Read the existing subset files and public lists of a test file.

    Args:
        directory: Folder with test_subset_ids/ and public_leaderboard_ids/.
        rows: Number of rows of the test file.

    Returns:
        Subsets by name; missing files, and remarks on existing ones, by the same names.

    Raises:
        BenchError: A file names rows that the test file does not have.
    """
    found: dict[str, Units] = {}
    missing: dict[str, str] = {}
    remarks: dict[str, str] = {}
    for name, file in FILES.items():
        path = directory / "test_subset_ids" / file
        if name == "SNVs" and not path.is_file():
            path = path.with_name(RECONSTRUCTED)
        if path.is_file():
            found[name] = read_subset(name, path, rows)
            if text := remark(name, path):
                remarks[name] = text
        else:
            missing[name] = f"test_subset_ids/{file}"
    for name, file in PUBLIC.items():
        path = directory / "public_leaderboard_ids" / file
        if path.is_file():
            found[name] = _read_public(
                path, 2 if name.removeprefix("public.") in PAIRS else 1, rows
            )
        else:
            missing[name] = f"public_leaderboard_ids/{file}"
    return found, missing, remarks


def read_subset(name: str, path: Path, rows: int) -> Units:
    """Return the rows ``(M,)`` or pairs ``(M, 2)`` of a subset file, without repeats."""
    if name not in PAIRS:
        return np.unique(read_positions(path, ("pos",), rows=rows))
    kept = ("status", _CERTAIN) if "status" in header_of(path) else None
    return np.unique(read_positions(path, ("alt_pos", "ref_pos"), rows=rows, kept=kept), axis=0)


def remark(name: str, path: Path) -> str:
    """Return a remark on a file of SNV pairs that is not the organisers'; else an empty text.

    Their file has the tags and the sequences of every pair.
    """
    columns = header_of(path) if name == "SNVs" else []
    if "status" in columns:
        return "SNV list reconstructed: Pearson Score about -.0005"
    if columns and "alt_tag" not in columns:
        return "SNV list of unknown origin: not comparable with published scores"
    return ""


def scoring_groups(test: TestSet, rows: str) -> dict[str, Units]:
    """Return the rows or pairs over which each subset's correlation is computed.

    Private rows: a single row is excluded if it occurs anywhere in a public list, also as a member
    of a pair; a pair is excluded only if exactly this pair is public.

    Args:
        test: Test rows; all public lists are present unless ``rows`` is "all".
        rows: Part of the test rows: "private", "public" or "all".
    """
    everything = np.arange(len(test))
    if rows == "all":
        chosen = {"all": everything}
        return chosen | {name: test.subsets[name] for name in FILES if name in test.subsets}
    public = {name: test.subsets[f"public.{name}"] for name in FILES}
    is_public = np.zeros(len(test), dtype=bool)
    for listed in public.values():
        is_public[listed] = True
    if rows == "public":
        return {"all": np.flatnonzero(is_public), **public}
    public_pairs = np.concatenate([_key(public[name], len(test)) for name in PAIRS])
    chosen = {"all": np.flatnonzero(~is_public)}
    for name in FILES:
        if name in test.subsets:
            of = test.subsets[name]
            seen = np.isin(_key(of, len(test)), public_pairs) if name in PAIRS else is_public[of]
            chosen[name] = of[~seen]
    return chosen


def overall(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the Pearson Score (from squared r) and the Spearman Score, as weighted means.

    Args:
        metrics: Values by name, such as ``all/pearson``; a missing value makes the score NaN.
    """
    total = sum(WEIGHTS.values())
    nan = float("nan")
    r = {name: metrics.get(f"{name}/pearson", nan) for name in WEIGHTS}
    rho = {name: metrics.get(f"{name}/spearman", nan) for name in WEIGHTS}
    return {
        "pearson_score": sum(w * r[name] ** 2 for name, w in WEIGHTS.items()) / total,
        "spearman_score": sum(w * rho[name] for name, w in WEIGHTS.items()) / total,
    }


def _read_public(path: Path, members: int, rows: int) -> Units:
    """Read the keys of a public list: {"17": ...} or {"17,4": ...}."""
    try:
        keys = list(json.loads(path.read_bytes()).keys())
        listed = np.array([key.split(",") for key in keys], dtype=np.int64).reshape(-1, members)
    except (ValueError, OverflowError, AttributeError, RecursionError):
        form = '{"17": …}' if members == 1 else '{"17,4": …}'
        raise BenchError(f"{path}: not a list of public test rows, such as {form}.") from None
    if not len(keys) or len(listed) != len(keys) or listed.min() < 0 or listed.max() >= rows:
        raise BenchError(
            f"{path}: names rows that are not in a test file of {rows:,} rows. "
            "Take both files from one release."
        )
    return np.unique(listed, axis=0) if members > 1 else np.unique(listed)


def _key(pairs: Units, rows: int) -> Units:
    """Return a number for each pair; equal pairs have equal numbers."""
    key: Units = pairs[:, 0] * rows + pairs[:, 1]
    return key
