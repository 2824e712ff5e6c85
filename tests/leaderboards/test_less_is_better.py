"""A task of one file whose score is an error: from predictions to ranks, words and pages.

The oracle resamples rows with NumPy alone.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.plugin_files import load_plugin_file
from bench.registry import TASKS
from tests.runner.test_run import bench, elsewhere, fails

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder

ROWS = 400
TASK = '''
"""A task with targets from a file, scored by errors."""

from dataclasses import dataclass

import numpy as np

from bench.cards import Source, TaskCard
from bench.data.dataset import Dataset, Split, TestSet
from bench.data.sequences import encode
from bench.metrics import MSE, Metric
from bench.task import Task

MEDIAN = Metric(
    name="median_error",
    label="Median error",
    function=lambda x, y: float(np.median(np.abs(x - y))),
    higher_is_better=False,
    form=".3f",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoOptions:
    """No options."""


class Errors(Task):
    """Rows of target.npy."""

    Options = NoOptions
    card = TaskCard(
        summary="targets of a file", version=1, row="a sequence", target="a number",
        primary="all/mse", source=Source(citation="none", url="none", license="none"),
    )
    subsets = ("first",)
    metrics = (MSE, MEDIAN)
    lower_is_better = frozenset({"risk"})

    def read(self, directory, test_directory):
        test = self.read_test(test_directory)
        rows = Split(test.sequences, test.target)
        return Dataset("my-errors", 1, {}, 12, (0, 0), rows, rows, test, {})

    def read_test(self, directory):
        target = np.load(directory / "target.npy")
        rng = np.random.default_rng(0)
        texts = ["".join(rng.choice(list("ACGT"), 12)) for _ in target]
        return TestSet(encode(texts), target, "my-errors", {"first": np.arange(100)})

    def overall(self, metrics):
        return {"risk": (metrics["all/mse"] + metrics["first/mse"]) / 2}

    @classmethod
    def simulate(cls, directory, *, rows, seed):
        raise NotImplementedError
'''
HERE = ("--task", "my-errors", "--data", "data")
CHECKED: dict[str, Callable[[Any], Any]] = {
    "first/mse": lambda e: (e[:100] ** 2).mean(),
    "all/median_error": np.median,
    "risk": lambda e: ((e**2).mean() + (e[:100] ** 2).mean()) / 2,
}


@pytest.fixture(autouse=True)
def task(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write the task's file and register it, for one test."""
    monkeypatch.setattr(TASKS, "_extra", dict(TASKS._extra))
    Path("my_errors.py").write_text(TASK)
    load_plugin_file(Path("my_errors.py"))
    yield
    del sys.modules["my_errors"]


@pytest.fixture
def runs() -> dict[str, NDArray[np.float64]]:
    """Log three models; the model with the best correlation has the largest errors."""
    rng = np.random.default_rng(4)
    truth = 10 + 3 * rng.normal(size=ROWS)
    Path("data").mkdir()
    np.save("data/target.npy", truth)
    guesses = {
        "close": truth + rng.normal(size=ROWS),
        "far": truth + 2 * rng.normal(size=ROWS),
        "biased": 2 * truth + 0.1 * rng.normal(size=ROWS),
    }
    for name in ("far", "biased", "close"):
        np.save(f"{name}.npy", guesses[name])
        bench("score", *HERE, "--predictions", f"{name}.npy", "--log", "--name", name)
    return {**guesses, "truth": truth}


def board(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    bench("leaderboard", *HERE, "--resamples", "4000", "--format", "json", *more)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def resampled(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mean losses (R, runs) of rows resampled with replacement, the same for all runs."""
    rng = np.random.default_rng(2)
    return np.stack(
        [losses[rng.integers(0, len(losses), len(losses))].mean(axis=0) for _ in range(4000)]
    )


def test_the_least_error_ranks_first_with_the_intervals_of_a_plain_bootstrap(
    runs: dict[str, NDArray[np.float64]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = board(capsys)
    assert found["figure"] == "all/mse"
    rows = {row["model"]: row for row in found["rows"]}
    assert list(rows) == ["close", "far", "biased"]
    losses = np.stack([(runs[name] - runs["truth"]) ** 2 for name in rows], axis=1)
    draws = resampled(losses)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    for i, row in enumerate(rows.values()):
        error = draws[:, i].std()
        assert row["value"] == row["all/mse"] == pytest.approx(losses[:, i].mean())
        assert row["error"] == pytest.approx(error, rel=0.06)
        assert row["low"] == pytest.approx(low[i], abs=0.15 * error)
        assert row["high"] == pytest.approx(high[i], abs=0.15 * error)
    known = {"close": 1, "far": 4, "biased": 10**2 + 3**2}  # the expected losses of noise and bias
    for name, mse in known.items():
        assert rows[name]["low"] < mse < rows[name]["high"]
    assert [(r["rank"], r["rank_low"], r["rank_high"], r["tier"]) for r in rows.values()] == [
        (1, 1, 1, 1),
        (2, 2, 2, 2),
        (3, 3, 3, 3),
    ]
    by_correlation = board(capsys, "--score", "all/pearson")
    assert [row["model"] for row in by_correlation["rows"]] == ["biased", "close", "far"]


@pytest.mark.parametrize("figure", CHECKED)
def test_any_score_of_the_task_ranks_in_its_direction(
    figure: str, runs: dict[str, NDArray[np.float64]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = board(capsys, "--score", figure)
    error = {name: np.abs(runs[name] - runs["truth"]) for name in ("close", "far", "biased")}
    assert [row["model"] for row in found["rows"]] == ["close", "far", "biased"]
    for row in found["rows"]:
        assert row["value"] == pytest.approx(float(CHECKED[figure](error[row["model"]])))
        assert row["low"] < row["value"] < row["high"]
    assert found["rows"][0]["tier"] < found["rows"][1]["tier"] < found["rows"][2]["tier"]


def test_a_comparison_says_who_errs_less_and_by_how_much(
    runs: dict[str, NDArray[np.float64]], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    bench("compare", "far", "close", *HERE, "--json")
    found = json.loads(capsys.readouterr().out)
    mse = {name: ((runs[name] - runs["truth"]) ** 2).mean() for name in ("far", "close")}
    of = {d["figure"]: d for d in found["differences"]}
    assert set(of) == {
        *(f"{s}/{m}" for s in ("all", "first") for m in ("pearson", "spearman", "mse")),
        *("all/median_error", "first/median_error", "risk"),
    }
    gap = of["all/mse"]
    assert gap["difference"] == pytest.approx(mse["far"] - mse["close"])
    assert 0 < gap["low"] < gap["difference"] < gap["high"]
    assert {of[name]["better"] for name in ("all/mse", "all/median_error", "all/pearson")} == {"B"}
    assert found["verdict"].startswith(
        f"B is better on all/mse by {gap['difference']:.4g} "
        f"({gap['low']:.4g} to {gap['high']:.4g}); of 8 others, B is better on "
    )
    assert "higher_is_better" not in gap
    bench("compare", "close", "far", *HERE)
    assert "A is better on all/mse by" in capsys.readouterr().out


def test_tables_manifests_and_pages_have_the_tasks_metrics(
    runs: dict[str, NDArray[np.float64]], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    bench("score", *HERE, "--predictions", "close.npy")
    table = capsys.readouterr().out
    assert re.search(r"n +Pearson +Spearman +MSE +Median error", table)
    bench("score", *HERE, "--predictions", "close.npy", "--json")
    scores = json.loads(capsys.readouterr().out)
    assert list(scores["subsets"]["first"]) == ["n", "pearson", "spearman", "mse", "median_error"]
    manifest = json.loads(next(Path("runs").glob("close-*/manifest.json")).read_text())
    error = runs["close"] - runs["truth"]
    assert manifest["metrics"]["test/first/mse"] == pytest.approx((error[:100] ** 2).mean())
    bench("leaderboard", *HERE, "--resamples", "200", "--html", "site")
    assert re.search(r"MSE +95% +Median error", capsys.readouterr().out)
    page = Path("site/index.html").read_text()
    assert "MSE of the test rows (all/mse); less is better" in page
    plots = json.loads(re.findall(r'id="plots">(.*?)</script>', page, re.DOTALL)[0])
    best_last = plots["subsets"]["data"][0]["colorscale"]
    assert best_last[0][1] == "#7fc4ee"  # the smallest error has the strongest colour
    # The row's model is better wherever it ranks above the column's model.
    assert plots["pairs"]["data"][0]["z"] == [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]]


def test_a_metric_that_the_task_lacks_is_told(
    runs: dict[str, NDArray[np.float64]], capsys: pytest.CaptureFixture[str]
) -> None:
    told = fails(capsys, "leaderboard", *HERE, "--score", "all/mae")
    assert "all/pearson, all/spearman, all/mse, all/median_error" in told


def test_constant_predictions_have_an_error_and_no_correlation(
    runs: dict[str, NDArray[np.float64]], capsys: pytest.CaptureFixture[str]
) -> None:
    mean = np.full(ROWS, runs["truth"].mean())
    np.save("mean.npy", mean)
    bench("score", *HERE, "--predictions", "mean.npy", "--log", "--name", "mean")
    rows = {row["model"]: row for row in board(capsys)["rows"]}
    losses = (mean - runs["truth"])[:, None] ** 2
    assert rows["mean"]["value"] == pytest.approx(losses.mean())
    assert rows["mean"]["error"] == pytest.approx(resampled(losses).std(), rel=0.06)
