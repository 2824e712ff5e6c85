"""Predictions of others score as was published of them; their files are named by BENCH_PUBLISHED.

The published rows called pearson are r squared.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import TestSet
from bench.registry import TASKS
from bench.scoring.scorer import Scores, score
from bench.sources.locate import load_test, with_subset
from tests.cli.test_score import report
from tests.runner.test_run import elsewhere, fails

__all__ = ["elsewhere"]

Dream = TASKS.get("dream")
TASK = Dream(Dream.Options())
NAMES = ("legnet", "camformer_original_seed42", "camformer_mini_seed42", "deepatt_computed_here")


@pytest.fixture(scope="module")
def test(real_data: Path, published_results: Path) -> TestSet:
    """The test rows, with the reconstructed SNV pairs."""
    rows = load_test(TASK, "dream", real_data / "dream")
    return with_subset(TASK, rows, "SNVs", published_results / "snv_pairs_reconstructed.csv")


def predictions(folder: Path, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    with np.load(folder / "all_71103.npz") as held:
        values: np.ndarray[Any, np.dtype[np.float64]] = held[name]
    return values


def by_team(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Return the published values of every subset by metric and team."""
    (_, _, *subsets), *lines = (line.split("\t") for line in path.read_text().splitlines())
    return {
        (metric, team): dict(zip(subsets, map(float, values), strict=True))
        for metric, team, *values in lines
    }


def figures(scores: Scores) -> dict[str, float]:
    """Return the scores by the names of scores.csv."""
    short = {"pearson": "r", "spearman": "rho"}
    names = (name.rpartition("/") for name in scores.flat())
    return {
        f"{subset}_{short[metric]}" if subset else metric: value
        for (subset, _, metric), value in zip(names, scores.flat().values(), strict=True)
    }


def agree(found: Mapping[str, float], wanted: Mapping[str, str], tolerance: float) -> None:
    assert len(found) == 20
    for name, value in found.items():
        assert value == pytest.approx(float(wanted[name]), abs=tolerance), name


def test_the_winners_private_scores_are_the_published_ones_but_for_snvs(
    test: TestSet, published_results: Path
) -> None:
    """Published by another program; only its list of SNV pairs is not at hand."""
    published = by_team(published_results / "private_scores_by_subset.csv")
    wanted = {metric: published[metric, "autosome.org"] for metric in ("pearson", "spearman")}
    scores = score(TASK, test, predictions(published_results, "legnet"), "private")
    for name, found in scores.subsets.items():
        assert found is not None
        r, rho = found.values["pearson"], found.values["spearman"]
        apart = 2e-3 if name == "SNVs" else 2e-15
        assert r**2 == pytest.approx(wanted["pearson"][name], abs=apart), name
        assert rho == pytest.approx(wanted["spearman"][name], abs=apart), name
    assert round(scores.overall["pearson_score"], 5) == 0.81795  # .81839 by the official pairs
    assert round(scores.overall["spearman_score"], 5) == 0.85406  # .85411 by the official pairs
    assert scores.problems == ("SNV list reconstructed: Pearson Score about -.0005",)


@pytest.mark.parametrize("name", NAMES)
def test_every_score_of_four_systems_is_the_one_computed_elsewhere(
    name: str, test: TestSet, published_results: Path
) -> None:
    with (published_results / "scores.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["name"] == name]
    assert {line["rows"].split(",")[0] for line in lines} == {"private", "public"}
    for line in lines:
        rows = line["rows"].split(",")[0]
        scores = score(TASK, test, predictions(published_results, name), rows)
        agree(figures(scores), line, 1e-14)
        assert len(scores.problems) == (rows == "private")  # public pairs are the official ones


def test_a_submission_of_the_public_rows_alone_scores_as_one_of_all_rows(
    real_data: Path, published_results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The organisers' sample and a team's final.json: 9,045 row numbers, in no order."""
    folder = real_data / "dream"
    ground = json.loads((folder / "public_leaderboard_ids" / "ground.json").read_text())
    values = predictions(published_results, "legnet").tolist()
    Path("final.json").write_text(json.dumps({key: values[int(key)] for key in reversed(ground)}))
    arguments = ("--task", "dream", "--data", str(folder), "--predictions", "final.json")
    found = report(capsys, "score", *arguments, "--rows", "public")
    assert found["pearson_score"] == pytest.approx(0.8290269926537, abs=1e-13)
    assert found["spearman_score"] == pytest.approx(0.8596367738278, abs=1e-13)
    assert found["subsets"]["all"]["pearson"] ** 2 == pytest.approx(0.9524339870, abs=1e-10)
    assert found["subsets"]["all"]["spearman"] == pytest.approx(0.9790332924, abs=1e-10)
    assert found["n"] == 9_045
    told = "final.json: public rows only. Give --rows public."
    assert told in fails(capsys, "score", *arguments)
    assert told in fails(capsys, "score", *arguments, "--rows", "private")
