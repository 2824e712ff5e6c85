"""Whole searches through the command line, in one process."""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import optuna
import pytest

from bench.errors import BenchError
from bench.results.options import Request
from bench.tuning import samplers
from bench.tuning.definition import Search
from tests.killing import write_table
from tests.tuning.helpers import DATA, HILL, PEAK, SEARCH, bench, fails, status

X, Y = ("--space", "model.y=4"), ("--space", "model.x=3")
"""What fixes one of the two, and leaves the other."""


def manifests(home: str = "runs") -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in Path(home).rglob("manifest.json")]


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, str]]:
    bench("search", "--export", "trials.csv", *arguments)
    capsys.readouterr()
    with Path("trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_planted_optimum_is_found_within_thirty_trials_and_its_command_repeats_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench(*SEARCH, "--trials", "30")
    found = status(capsys)
    assert (found["trials"], found["finished"], found["states"]) == (30, 30, {"complete": 30})
    assert abs(found["best"]["params"]["model.x"] - 3) < 0.1  # chance alone comes to 0.28
    assert found["best"]["params"]["model.y"] == 4
    bench("search", "--best")
    line = capsys.readouterr().out
    assert "\n" not in line.strip()
    bench(*shlex.split(line)[1:], "--no-tracking", "--home", "again")
    (again,) = manifests("again")
    score = found["best"]["value"]  # sums of another thread differ in the last digits
    assert again["metrics"]["validation/pearson"] == pytest.approx(score, abs=1e-6)
    assert again["metrics"]["test/all/pearson"] is not None
    trials = manifests()
    assert len(trials) == 30
    assert not any(trial["tested"] or "scored" in trial for trial in trials)
    assert not list(Path("runs").rglob("predictions.npy"))


def test_a_study_goes_on_where_it_stopped_and_knows_its_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench(*SEARCH, "--trials", "2", "--study", "mine")
    bench("search", "--plugin", str(PEAK), "--resume", "--trials", "3", "--no-tracking")
    bench(*SEARCH, "--trials", "4", "--study", "mine")
    assert status(capsys, "--study", "mine")["states"] == {"complete": 4}
    assert len({row["model.x"] for row in rows(capsys)}) == 4
    line = fails(capsys, *SEARCH, "--trials", "4", "--study", "mine", *X)
    assert line == (
        "study mine differs in its settings: none in the study, model.y=4 here. "
        "Give the same value, or name another study by --study."
    )
    for method, told in {
        ("--sampler", "random"): "sampler: tpe in the study, random here",
        ("--sampler-seed", "7"): "sampler's seed: 0 in the study, 7 here",
        ("--no-pruning",): "pruning: True in the study, False here",
        ("--heartbeat", "1"): "heartbeat: 15.0 in the study, 1.0 here",
    }.items():
        line = fails(capsys, *SEARCH, "--trials", "5", "--study", "mine", *method)
        assert line.startswith(f"study mine differs in its {told}. Give the same value")
    line = fails(capsys, "search", "--resume", "--space", "model.x=1..2")
    assert line == "--resume takes its settings from the study. Leave out --space."
    assert "no study is called 'other'" in fails(capsys, "search", "--status", "--study", "other")
    assert status(capsys)["finished"] == 4


def test_what_breaks_a_limit_is_infeasible_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limits = ("--space", "model.size=1,100", "--max-params", "50", "--space", "model.x=3")
    faults = ("--space", "model.fault=none,memory,constant", "--space", "model.y=4,5")
    with pytest.raises(BenchError, match=r"model\.y cannot be 5"):
        bench(*SEARCH, *limits, *faults)
    faults = (*faults[:2], "--space", "model.y=4")
    bench(*SEARCH, *limits, *faults, "--sampler", "grid")
    found = status(capsys)
    assert found["states"] == {"infeasible": 5, "complete": 1}
    assert found["infeasible"] == {"parameters": 3, "memory": 1, "diverged": 1}
    assert found["best"]["params"]["model.fault"] == "none"
    reasons = [row["reason"] for row in rows(capsys)]
    assert reasons.count("104 parameters, above 50") == 3


def test_a_bug_stops_the_study_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (*SEARCH, "--space", "model.fault=bug,none", "--sampler", "grid", *X, *Y)
    with pytest.raises(BenchError, match=r"stopped: trial 0 raised ZeroDivisionError: a bug in"):
        bench(*arguments)
    assert 'peak.py", line' in capsys.readouterr().err
    found = status(capsys)
    assert found["states"] == {"error": 1}
    assert "ZeroDivisionError" in found["stopped"]
    fails(capsys, *arguments)  # and is tried once more when somebody asks again
    assert status(capsys)["states"] == {"error": 2}


def test_a_grid_is_gone_through_once(capsys: pytest.CaptureFixture[str]) -> None:
    grid = ("--space", "model.x=1.0,3.0", "--space", "model.size=1..3", *X)
    bench(*SEARCH, *grid, "--sampler", "grid")
    points = {(row["model.x"], row["model.size"]) for row in rows(capsys)}
    assert points == {(x, size) for x in ("1.0", "3.0") for size in ("1", "2", "3")}
    assert status(capsys)["trials"] == 6
    line = fails(capsys, *SEARCH, *grid, "--sampler", "random")
    assert "differs in its sampler: grid in the study, random here" in line
    line = fails(capsys, *SEARCH, "--sampler", "grid")
    assert line == "a grid needs single values: --space model.x=-10.0,…,10.0."


@pytest.mark.parametrize("name", [name for name in samplers.SAMPLERS if name != "grid"])
def test_every_sampler_proposes_different_values_and_the_same_ones_again(name: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def values(seed: int) -> list[tuple[float, int]]:
        storage, found = optuna.storages.InMemoryStorage(), []
        optuna.create_study(storage=storage, study_name="s", direction="maximize")
        for number in range(15):
            sampler = samplers.sampler(name, seed, number)
            study = optuna.load_study(storage=storage, study_name="s", sampler=sampler)
            trial = study.ask()
            x, y = trial.suggest_float("x", -10, 10), trial.suggest_int("y", 1, 9)
            study.tell(trial, -((x - 3) ** 2) - (y - 4) ** 2)
            found.append((x, y))
        return found

    assert values(0) == values(0) != values(1)
    assert len(set(values(0))) == 15


def test_the_score_is_the_mean_over_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    bench(*SEARCH, "--trials", "1", "--seeds", "0,1", "--set", "task.validation=0.2")
    (row,) = rows(capsys)
    runs = {m["id"]: m for m in manifests()}
    scores = [runs[run]["metrics"]["validation/pearson"] for run in row["runs"].split()]
    assert [runs[run]["seed"] for run in row["runs"].split()] == [0, 1]
    assert float(row["value"]) == pytest.approx(sum(scores) / 2, abs=1e-12)
    assert "--seeds takes different whole numbers" in fails(capsys, *SEARCH, "--seeds", "0,0")


def test_the_best_are_run_in_full_and_tell_what_the_search_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench(*SEARCH, "--trials", "4", "--fraction", "0.5", "--refit", "2")
    found, trials = status(capsys), rows(capsys)
    refits = [m for m in manifests() if "tuned" in m]
    assert len(refits) == 2
    best = sorted(trials, key=lambda row: -float(row["value"]))[:2]
    assert {m["tuned"]["trial"] for m in refits} == {int(row["trial"]) for row in best}
    for manifest in refits:
        assert manifest["tuned"]["trials"] == 4
        assert manifest["tuned"]["study"] == found["study"]
        assert manifest["tuned"]["device_hours"] == pytest.approx(found["device_hours"])
        assert (
            manifest["data"]["rows"]["train"]
            > 1.5 * manifests("runs/studies")[0]["data"]["rows"]["train"]
        )
        assert manifest["metrics"]["test/all/pearson"] is not None
    assert found["finished"] == 4
    bench("search", "--plugin", str(PEAK), "--resume", "--refit", "2", "--no-tracking")
    assert len([m for m in manifests() if "tuned" in m]) == 2


@pytest.mark.parametrize("task", ["table", "gm12878-atac", "dream"])
def test_a_fraction_of_any_task_is_searched_and_refits_use_all(
    task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows are counted by hand; the study and all of its trials are of the same ones."""
    given = ["--task", task, "--simulate", "--rows", "2000"]
    if task == "table":
        write_table(Path(), letters=12, tested=271)  # and 240 rows called train
        given = ["--task", "table.tsv"]
    peak = ("search", "--plugin", str(PEAK), "--model", "peak", "--no-tracking", *given)
    bench(*peak, "--trials", "2", "--fraction", "0.25", "--refit", "1")
    first, second = manifests("runs/studies")
    (whole,) = [m for m in manifests() if "tuned" in m]
    rows = whole["data"]["rows"]["train"]
    assert task != "table" or rows == 240
    assert first["data"]["rows"]["train"] == round(rows / 4)
    assert first["data"]["rows"]["validation"] == whole["data"]["rows"]["validation"]
    assert first["data"]["fingerprint"] == second["data"]["fingerprint"]
    assert first["data"]["fingerprint"] != whole["data"]["fingerprint"]
    (journal,) = Path("runs/studies").glob("*.log")
    assert first["data"]["fingerprint"] in journal.read_text()  # of the study's identity
    assert (first["request"]["fraction"], whole["request"]["fraction"]) == (0.25, None)
    capsys.readouterr()
    bench("search", "--best")
    line = capsys.readouterr().out
    bench(*shlex.split(line)[1:], "--no-tracking", "--home", "again")
    (again,) = manifests("again")
    assert again["data"]["fingerprint"] == first["data"]["fingerprint"]


@pytest.mark.parametrize(
    ("whole", "part", "wanted"),
    [(None, None, None), (0.5, None, 0.5), (None, 0.1, 0.1), (0.5, 0.1, 0.05)],
)
def test_a_trials_fraction_is_one_of_the_rows_that_its_request_has(
    whole: float | None, part: float | None, wanted: float | None
) -> None:
    request = Request(model="peak", task="dream", fraction=whole)
    search = Search(request=request, space={}, fraction=part)
    assert search.trial({}, seed=0).fraction == wanted
    assert search.refit({}).fraction == whole


def test_a_study_of_an_earlier_version_is_read_but_not_gone_on_with_on_other_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its requests knew no fraction, and its trials drew their rows by dream's own rule."""
    bench(*SEARCH, "--trials", "1", "--fraction", "0.5", "--study", "old")
    (journal,) = Path("runs/studies").glob("*.log")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        kept = line.get("user_attr", {}).get("search", {})
        assert kept.get("request", {}).pop("fraction", None) is None
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert status(capsys)["finished"] == 1
    assert len(rows(capsys)) == 1
    bench("search", "--best")
    resume = ("search", "--plugin", str(PEAK), "--resume", "--trials", "2", "--no-tracking")
    line = fails(capsys, *resume)
    assert line == (
        "study old was begun by an earlier version, whose --fraction chose other rows. "
        "Begin a new study."
    )


def test_the_time_is_up_between_two_trials(capsys: pytest.CaptureFixture[str]) -> None:
    bench(*SEARCH, "--timeout", "0")
    assert status(capsys)["states"] == {}
    assert status(capsys)["trials"] is None


def test_a_trial_that_is_behind_is_pruned_and_keeps_its_best(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hill = ("search", "--plugin", str(HILL), "--model", "hill", *DATA, "--epochs", "4")
    fixed = (
        "--set",
        "recipe.batch_size=512",
        "--set",
        "recipe.lr=0",
        "--set",
        "recipe.clip_norm=1",
    )
    bench(*hill, *fixed, "--sampler", "grid")
    found = rows(capsys)
    assert [row["state"] for row in found] == ["complete", "pruned", "pruned"]
    assert [row["validations"] for row in found] == ["4", "2", "2"]
    assert float(found[1]["value"]) < float(found[0]["value"])
    assert found[1]["reason"].startswith("behind other trials")
    assert sorted(m["status"] for m in manifests()) == ["finished", "pruned", "pruned"]
    bench(*hill, *fixed, "--sampler", "grid", "--no-pruning", "--study", "whole", "--home", "whole")
    assert status(capsys, "--home", "whole")["states"] == {"complete": 3}


def test_the_plugin_is_named_in_the_study(capsys: pytest.CaptureFixture[str]) -> None:
    bench(*SEARCH, "--trials", "1")
    bench("search", "--best")
    assert f"--plugin {PEAK}" in capsys.readouterr().out


def test_data_without_a_column_that_the_model_reads_makes_no_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path, letters=40, tested=270)
    plugin = tmp_path / "reader.py"
    plugin.write_text(
        PEAK.read_text().replace(
            "    card = ModelCard(", '    columns = ("dose",)\n    card = ModelCard('
        )
    )
    words = (
        "search",
        "--plugin",
        str(plugin),
        "--model",
        "reader",
        "--task",
        str(tmp_path / "table.tsv"),
    )
    line = fails(capsys, *words, "--trials", "2", "--no-tracking", "--space", "model.y=4")
    assert line == "Peak reads the column 'dose' of every row; these rows have: no columns."
    assert not list(Path("runs").rglob("*.log"))
