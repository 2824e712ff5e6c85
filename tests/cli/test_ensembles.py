"""Seeds of one model, and the mean of several runs, as a user types them."""

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import api
from bench.api.results import Run
from bench.atomic import finite
from bench.cli.program import cli
from bench.errors import BenchError, StoppedError
from bench.registry import TASKS
from bench.results.options import Request
from bench.sources.locate import write_simulation
from tests.cli.test_score import predicted, report, sequences
from tests.runner.test_run import bench, elsewhere, fails

__all__ = ["elsewhere"]

SEEDS = (3, 1)


@pytest.fixture(scope="module")
def assay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "assay"
    write_simulation(TASKS.get("dream"), folder, rows=1500, seed=1)
    return folder


def command(assay: Path, home: Path) -> list[str]:
    small = ("--set", "model.hidden=12", "--set", "model.blocks=0", "--set", "recipe.batch_size=64")
    task = ("--task", "dream", "--data", str(assay), "--home", str(home), "--no-tracking")
    return ["run", "--model", "madlab", *task, *small, "--max-steps", "3"]


@pytest.fixture(scope="module")
def home(assay: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with runs of two seeds."""
    home = tmp_path_factory.mktemp("home")
    cli.main([*command(assay, home), "--seeds", "3,1"], standalone_mode=False)
    return home


def runs(home: Path) -> dict[int, dict[str, Any]]:
    """Return the manifests by seed."""
    found = [json.loads(path.read_text()) for path in home.glob("*/manifest.json")]
    return {manifest["seed"]: manifest for manifest in found}


def members(home: Path) -> list[str]:
    return [word for seed in SEEDS for word in ("--run", str(home / runs(home)[seed]["id"]))]


def test_seeds_are_runs_of_their_own_and_finished_ones_are_not_repeated(
    assay: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = runs(home)
    assert before.keys() == set(SEEDS)
    capsys.readouterr()
    bench(*command(assay, home), "--seeds", "3,1")
    shown = capsys.readouterr().out.splitlines()
    assert runs(home) == before
    for line, seed in zip(shown, SEEDS, strict=False):
        value = before[seed]["metrics"]["test/pearson_score"]
        assert line.startswith(f"seed {seed}: pearson_score {value:.4f}, spearman_score ")
        assert line.endswith(before[seed]["id"])
    scores = [before[seed]["metrics"]["test/pearson_score"] for seed in SEEDS]
    mean, sd = statistics.fmean(scores), statistics.stdev(scores)
    assert shown[2].startswith(
        f"2 seeds, mean ± standard deviation: pearson_score {mean:.4f} ± {sd:.4f}, spearman_score "
    )
    assert len(shown) == 3
    found = report(capsys, *command(assay, home), "--seeds", "3,1")
    assert [run["seed"] for run in found["runs"]] == list(SEEDS)
    assert found["summary"]["pearson_score"] == pytest.approx({"mean": mean, "sd": sd})
    bench(*command(assay, home), "--seed", "1")  # the same run as that of the list
    assert runs(home) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--seeds", "0,0"), "--seeds 0,0: each seed once."),
        (("--seeds", "0,-1"), "-1 is not in the range x>=0."),
        (("--seeds", "0,x"), "'x' is not a valid integer."),
        (("--seeds", "0,1", "--seed", "0"), "for each of its seeds: leave out --seed."),
        (("--seeds", "0,1", "--weights", "w.h5"), "for each of its seeds: leave out --weights."),
    ],
)
def test_a_list_of_seeds_that_is_none_is_refused(
    words: tuple[str, ...], expected: str, assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in fails(capsys, *command(assay, Path("new")), *words)
    assert not Path("new").exists()


def test_a_stopped_seed_says_that_the_others_are_left(
    assay: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(request: Request, **_: Any) -> Run | None:
        if request.seed == 3:
            return train(request, track=False)
        raise StoppedError(2, "stopped after step 2. To resume it, run: bench run --resume x")

    train = api.train
    monkeypatch.setattr(api, "train", stopped)
    with pytest.raises(StoppedError) as caught:
        bench(*command(assay, home), "--seeds", "3,1,2")
    assert caught.value.exit_status == 130
    assert str(caught.value) == (
        "the same command goes on with the seeds that are left; seed 1 stopped after step 2. "
        "To resume it, run: bench run --resume x"
    )


def test_several_runs_score_as_the_mean_of_their_predictions(
    assay: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [np.load(home / run["id"] / "predictions.npy") for run in runs(home).values()]
    np.save("mean.npy", (found[0].astype(np.float64) + found[1]) / 2)
    wanted = report(
        capsys,
        *("score", "--task", "dream", "--data", str(assay), "--predictions", "mean.npy"),
    )
    names = [runs(home)[seed]["id"] for seed in SEEDS]
    scored = report(capsys, "score", *members(home))
    assert scored.pop("ensemble") == names
    assert scored == wanted
    bench("score", *members(home), "--rows", "all")
    assert f"ensemble, the mean of 2 runs: {', '.join(names)}" in capsys.readouterr().out


def test_several_runs_predict_their_mean(
    assay: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s").write_text("\n".join([*sequences(assay, 5), "X"]))
    words = members(home)
    single = [predicted(capsys, *words[i : i + 2], "--sequences", "s") for i in (0, 2)]
    capsys.readouterr()
    both = predicted(capsys, *words, "--sequences", "s")
    told = capsys.readouterr().err
    assert "ensemble, the mean of 2 runs: madlab" in told
    assert told.count("row 6") == 1
    assert both[5] == ["X", ""]
    for row in range(5):
        (name, a), (_, b) = single[0][row], single[1][row]
        assert both[row][0] == name
        assert float(both[row][1]) == pytest.approx((float(a) + float(b)) / 2, rel=1e-12)
        assert a != b


def test_a_recorded_ensemble_names_its_members_and_does_not_rank(
    assay: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.runner.rescore.uploader.sync", lambda *_: None)  # MLflow takes 5 s
    shutil.copytree(home, "runs")
    bench("score", *members(home), "--log", "--name", "two seeds")
    assert "recorded as 'two seeds', an ensemble, which does not rank" in capsys.readouterr().err
    (path,) = Path("runs").glob("two*ensemble*/manifest.json")
    model = json.loads(path.read_text())["model"]
    names = [runs(home)[seed]["id"] for seed in SEEDS]
    assert (model["origin"], model["members"]) == ("ensemble", names)
    bench("leaderboard", "--task", "dream", "--simulated", "--data", str(assay), "--format", "json")
    board = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in board["rows"]] == ["madlab"]
    reason = f"an ensemble, the mean of 2 runs: {', '.join(names)}"
    assert board["apart"] == [{"run": path.parent.name, "reason": reason}]
    bench("runs")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "two seeds" in line)
    assert " ensemble " in line


def test_runs_that_have_no_mean_are_refused(
    assay: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = members(home)[:2]
    told = "a run is named twice. Name each run of an ensemble once."
    assert told in fails(capsys, "score", *first, *first)
    assert told in fails(capsys, "predict", *first, *first, "--sequences", "s")
    other = Path(shutil.copytree(first[1], "other"))
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["scored"]["test"] = "0" * 16
    (other / "manifest.json").write_text(json.dumps(manifest))
    message = fails(capsys, "score", *first, "--run", str(other))
    assert message.startswith("other has no predictions of the test rows of ")
    manifest["data"]["name"] = "dream"  # the measured assay: another unit than the simulated one
    (other / "manifest.json").write_text(json.dumps(manifest))
    Path("s").write_text("ACGT\n")
    message = fails(capsys, "predict", *first, "--run", str(other), "--sequences", "s")
    assert message == "runs on different data have no mean: dream, dream-simulated."
    for wrong in ([], [first[1], first[1]], [first[1], str(other)]):
        with pytest.raises(BenchError, match=r"several runs|named twice|no mean"):
            api.predict(wrong, ["ACGT"])
    with pytest.raises(BenchError, match="no predictions of the test rows"):
        api.evaluate([api.load_run(first[1]), api.load_run(other)])
    with pytest.raises(BenchError, match="a run has its own task"):
        api.evaluate(api.load_run(first[1]), "dream")
    assert "--log records predictions of other programs or the mean" in fails(
        capsys, "score", *first, "--log", "--name", "x"
    )


def test_python_takes_a_run_or_several_like_the_command_line(
    assay: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s").write_text("\n".join(sequences(assay, 3)))
    words, folders = members(home), members(home)[1::2]
    given: list[Run | Path]
    for one, typed in ((folders, words), (folders[:1], words[:2])):
        given = [api.load_run(one[0]), *map(Path, one[1:])]
        shown = [float(value) for _, value in predicted(capsys, *typed, "--sequences", "s")]
        assert api.predict(given, sequences(assay, 3)).tolist() == shown
        scores = api.evaluate(tuple(given), rows="all")
        assert finite(scores.as_json()) == report(capsys, "score", *typed, "--rows", "all")
    assert api.predict(folders[0], sequences(assay, 3)).tolist() == shown
    both = api.evaluate(folders)
    assert both.members == tuple(Path(folder).name for folder in folders)
    assert ", the mean of 2 runs, pearson_score=" in repr(both)
    assert not api.evaluate(api.load_run(folders[0])).members
