"""``bench compare`` against SciPy's bootstrap, in simulations, and on the command line."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.leaderboards.compare import Difference, RunComparison, check_comparable, differ
from bench.leaderboards.entries import Entry
from bench.leaderboards.statistics.bootstrap import resample
from bench.leaderboards.statistics.sufficient_statistics import (
    make_resampling_plan,
    make_statistics,
)
from bench.results.manifest import Manifest
from bench.results.run_folder import RunFolder
from tests.runner.test_run import assay, bench, elsewhere, fails

__all__ = ["assay", "elsewhere"]

ROWS = 300


def table(name: str = "t", *, seed: int = 0) -> np.ndarray[Any, Any]:
    """Write a table of a few training rows and 300 test rows; return the test rows' targets."""
    rng = np.random.default_rng(seed)
    letters = ["".join(rng.choice(list("ACGT"), 20)) for _ in range(ROWS + 4)]
    target = rng.normal(size=ROWS + 4).round(6)
    splits = ["train", "train", "train", "valid"] + ["test"] * ROWS
    rows = zip(letters, target, splits, strict=True)
    text = "".join(f"{s}\t{float(y)}\t{split}\n" for s, y, split in rows)
    Path(f"{name}.tsv").write_text(f"sequence\ttarget\tsplit\n{text}")
    return np.asarray(target[4:], dtype=np.float64)


def log(name: str, values: Any, task: str = "t.tsv") -> None:
    np.save(f"{name}.npy", values)
    predictions = ("--predictions", f"{name}.npy", "--log", "--name", name)
    bench("score", "--task", task, *predictions)


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    bench("compare", *arguments, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def by_scipy(truth: Any, a: Any, b: Any, statistic: Any) -> Any:
    """The resampled rows depend only on the seed, so they are the same for any statistic."""
    return stats.bootstrap(
        (truth, a, b),
        lambda y, p, q: statistic(p, y)[0] - statistic(q, y)[0],
        paired=True,
        vectorized=False,
        n_resamples=3000,
        method="percentile",
        rng=np.random.default_rng(1),
    )


def test_differences_and_intervals_are_those_of_a_bootstrap_of_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth, rng = table(), np.random.default_rng(1)
    a = truth + rng.normal(size=ROWS)
    b = truth + 0.5 * rng.normal(size=ROWS) + 0.8 * (a - truth)
    log("one", a)
    log("two", b)
    found = compared(capsys, "one", "two")
    draws = [by_scipy(truth, a, b, s) for s in (stats.pearsonr, stats.spearmanr)]
    moved = np.stack([d.bootstrap_distribution for d in draws], axis=1)
    error = np.array([d.standard_error for d in draws])
    reach = np.quantile(np.abs((moved - moved.mean(axis=0)) / error).max(axis=1), 0.95) * error
    assert [d["figure"] for d in found["differences"]] == ["all/pearson", "all/spearman"]
    for d, statistic, se, half in zip(
        found["differences"], (stats.pearsonr, stats.spearmanr), error, reach, strict=True
    ):
        of_a, of_b = statistic(a, truth)[0], statistic(b, truth)[0]
        assert d["a"] == pytest.approx(of_a)
        assert d["difference"] == pytest.approx(of_a - of_b, abs=1e-12)
        assert d["error"] == pytest.approx(se, rel=0.08)
        assert d["high"] - d["difference"] == pytest.approx(half, rel=0.08)
        assert d["difference"] - d["low"] == pytest.approx(half, rel=0.08)
        assert (d["p"] <= 0.05) == (abs(of_a - of_b) > half) == bool(d["better"])


def test_the_other_way_round_it_is_the_other_way_round(capsys: pytest.CaptureFixture[str]) -> None:
    truth, rng = table(), np.random.default_rng(2)
    log("good", truth + rng.normal(size=ROWS))
    log("bad", truth + 3 * rng.normal(size=ROWS))
    there, back = compared(capsys, "good", "bad"), compared(capsys, "bad", "good")
    for one, other in zip(there["differences"], back["differences"], strict=True):
        assert one["better"] == "A"
        assert other["better"] == "B"
        assert one["low"] == pytest.approx(-other["high"], abs=1e-6)
    gap = there["differences"][0]
    assert there["verdict"].startswith(
        f"A is better on all/pearson by {gap['difference']:.4f} "
        f"({gap['low']:.4f} to {gap['high']:.4f}); of 1 other, A is better on all/spearman; "
    )
    assert there["verdict"].endswith("nothing is known of other seeds.")
    assert back["verdict"].startswith(f"B is better on all/pearson by {gap['difference']:.4f} ")
    assert "A is unverified: its training is not recorded here" in there["notes"]


def test_equal_predictions_do_not_differ(capsys: pytest.CaptureFixture[str]) -> None:
    truth = table()
    log("one", truth**3)
    log("two", truth**3)
    found = compared(capsys, "one", "two")
    assert [(d["difference"], d["p"], d["better"]) for d in found["differences"]] == [
        (0, 1, "")
    ] * 2
    equal = "A and B do not differ significantly on all/pearson: +0.0000 ("
    assert found["verdict"].startswith(equal)
    assert "; of 1 other, neither on any; nothing" in found["verdict"]


def test_the_sequences_they_disagree_on_are_found_as_by_hand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth, rng = table(), np.random.default_rng(3)
    a, b = truth + rng.normal(size=ROWS), 10 + 100 * (truth + rng.normal(size=ROWS))
    log("one", a)
    log("two", b)
    found = compared(capsys, "one", "two")["disagreements"]
    apart = np.abs(stats.zscore(a) - stats.zscore(b))
    rows = np.argsort(apart)[::-1][:10]
    letters = [line.split("\t")[0] for line in Path("t.tsv").read_text().splitlines()][5:]
    assert [d["rows"] for d in found] == [[int(row)] for row in rows]
    assert [d["sequences"] for d in found] == [[letters[row]] for row in rows]
    for name, values in (("truth", truth), ("a", a), ("b", b), ("apart", apart)):
        assert [d[name] for d in found] == pytest.approx(values[rows])


def test_pairs_are_compared_as_pairs(assay: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    file = assay / "filtered_test_data_with_MAUDE_expression.txt"
    lines = [line.split("\t") for line in file.read_text().splitlines()]
    truth = np.array([float(value) for _, value in lines])
    for name in ("one", "two"):
        np.save(f"{name}.npy", truth + rng.normal(size=len(truth)))
        predictions = ("--predictions", f"{name}.npy", "--log", "--name", name)
        bench("score", "--task", "dream", "--data", str(assay), *predictions)
    found = compared(capsys, "one", "two", "--data", str(assay), "--subset", "SNVs")
    assert found["data"] == "dream-simulated"
    assert found["primary"] == "pearson_score"
    assert len(found["differences"]) == 2 * 9 + 2
    first = found["disagreements"][0]
    (i, j), values = first["rows"], np.load("one.npy")
    assert first["truth"] == pytest.approx(truth[i] - truth[j])
    assert first["a"] == pytest.approx(values[i] - values[j])
    assert first["sequences"] == [lines[i][0], lines[j][0]]
    assert "--subset x: there are: all, " in fails(
        capsys, "compare", "one", "two", "--data", str(assay), "--subset", "x"
    )
    bench("compare", "one", "two", "--data", str(assay), "--subset", "SNVs")
    shown = capsys.readouterr().out
    assert f"  row {i + 1}: {lines[i][0]}\n  row {j + 1}: {lines[j][0]}\n" in shown


def test_among_equal_runs_any_difference_at_all_is_found_in_one_of_twenty_cases() -> None:
    """The error rate is for all scores at once: 5% for each of 6 scores would exceed it."""
    rng, cases, wrong = np.random.default_rng(5), 300, 0
    units = {"all": np.arange(300), "first": np.arange(150), "last": np.arange(150, 300)}
    for case in range(cases):
        truth = rng.normal(size=300)
        plan = make_resampling_plan(truth, units)
        runs = {name: make_statistics(plan, truth + rng.normal(size=300)) for name in "AB"}
        figures = tuple(f"{name}/{metric}" for name in units for metric in ("pearson", "spearman"))
        draws = resample(plan, runs, scores=figures, resamples=500, seed=case)
        wrong += any(d.better for d in differ(draws)[0])
    assert stats.binomtest(wrong, cases, 0.05).pvalue > 0.01, wrong


def entry(**tags: str) -> Entry:
    known = {
        "model": "m",
        "verified": "true",
        "data": "dream",
        "fingerprint": "f",
        "task.version": "2",
        "scored.version": "1",
        "scored.rows": "private",
        "scored.test": "t",
        "scored.subsets": "s",
    }
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Entry(str(tags), "id", "n", "finished", now, {**known, **tags}, {}, {}, "")


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"data": "dream-simulated"}, "the second has other data (dream-simulated, not dream)."),
        ({"task.version": "1"}, "another version of the task (1, not 2)"),
        ({"scored.version": "0"}, "another version of the scorer"),
        ({"scored.rows": "all"}, "other rows scored (all, not private)"),
        ({"scored.test": "u"}, "other test rows"),
        ({"scored.subsets": "u"}, "other subsets"),
        ({"fingerprint": "g"}, "other training rows"),
    ],
)
def test_what_is_not_comparable_is_not_compared(tags: dict[str, str], told: str) -> None:
    with pytest.raises(BenchError, match="cannot be compared") as raised:
        check_comparable(entry(), entry(**tags))
    assert told in str(raised.value)


def test_an_unverified_run_is_compared_whatever_it_was_trained_on() -> None:
    check_comparable(entry(), entry(fingerprint="unknown", verified="false"))


def test_a_run_is_called_by_many_names_and_a_wrong_one_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = table()
    for name in ("one", "other", "two"):
        log(name, truth + np.arange(ROWS) * len(name))
    found = compared(capsys, "one", "two")
    one, two = found["a"], found["b"]
    for name in (one["id"], one["run"], one["name"], f"runs/{one['id']}"):
        assert compared(capsys, name, two["run"])["a"] == one
    told = fails(capsys, "compare", "three", "two")
    assert "three: no such run, neither as a folder nor in MLflow" in told
    assert "o: 2 runs are called so: " in fails(capsys, "compare", "o", "two")
    assert "is named twice" in fails(capsys, "compare", "one", one["run"])


def test_runs_on_other_rows_or_without_scores_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth, other = table(), table("u", seed=1)
    log("one", truth)
    log("two", other, "u.tsv")
    assert "other data (u, not t)" in fails(capsys, "compare", "one", "two")
    log("three", truth + 1)
    table(seed=4)
    told = fails(capsys, "compare", "one", "three")
    assert "it has other test rows (" in told
    run = RunFolder.reopen(next(Path("runs").glob("three-*")))
    run.save(Manifest(id="failed-run", status="failed", error="x"))
    (run.path / "tracking.json").unlink()
    bench("sync")
    assert "failed-run is failed and has no scores" in fails(capsys, "compare", "failed-run", "one")


def test_the_verdict_names_every_subset_that_differs() -> None:
    def of(figure: str, low: float, high: float) -> Difference:
        return Difference(figure, 0.5, 0.4, (low + high) / 2, 0.01, low, high, 0.01)

    differences = (
        *(of("all/pearson", -0.01, 0.03), of("high/pearson", 0.01, 0.03)),
        *(of("low/pearson", -0.03, -0.01), of("score", 0.004, 0.02)),
    )
    versus = RunComparison(entry(), entry(), "dream", "score", differences, "all", (), ())
    assert versus.verdict == (
        "A is better on score by 0.0120 (0.0040 to 0.0200); of 3 others, A is better on "
        "high/pearson; B is better on low/pearson; nothing is known of other seeds."
    )
    undecided = dataclasses.replace(versus, primary="all/pearson").verdict
    assert undecided.startswith(
        "A and B do not differ significantly on all/pearson: +0.0100 (-0.0100 to 0.0300); "
    )
