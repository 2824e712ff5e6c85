"""Runs of weights that were trained elsewhere: scored, labelled, and refused where they must be."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bench import leaderboard, predict
from bench.cli.program import cli, main
from bench.registry import MODELS
from bench.results.manifest import Manifest
from bench.sharing.archive import export_runs, import_runs

TINY = [
    *("--set", "model.dim=16", "--set", "model.blocks=1", "--set", "model.attention_heads=1"),
    *("--set", "model.expression_heads=2", "--set", "model.length=20"),
]
TRAINING = [*("--set", "recipe.batch_size=64", "--max-steps", "6", "--seed", "3")]


def bench(*arguments: str) -> Any:
    return cli.main([*arguments], prog_name="bench", standalone_mode=False)


def only_run(home: Path = Path("runs")) -> tuple[Path, dict[str, Any]]:
    (manifest,) = home.glob("*/manifest.json")
    return manifest.parent, json.loads(manifest.read_text())


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of the user's own: 400 rows of 20 nt, whose target is the number of G."""
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACGT"), 20)) for _ in range(400)]
    splits = ["test", "validation", *["train"] * 6] * 50
    rows = zip(sequences, splits, strict=True)
    lines = [f"{row}\t{split}\t{row.count('G') + 7}" for row, split in rows]
    path = tmp_path_factory.mktemp("data") / "count.tsv"
    path.write_text("\n".join(["sequence\tsplit\ttarget", *lines, ""]))
    return path


@pytest.fixture(scope="session")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small trained run."""
    home = tmp_path_factory.mktemp("trained")
    bench("run", *ours(table), *TRAINING, "--home", str(home))
    return only_run(home)[0]


def ours(table: Path) -> list[str]:
    return ["--model", "proformer", "--task", str(table), "--no-tracking", *TINY]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA", "BENCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENCH_CACHE", f"{tmp_path}-cache")


def test_the_weights_of_a_run_have_its_predictions_and_scores(
    table: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = trained / "model.safetensors"
    command = ["run", *ours(table), "--weights", str(weights)]
    bench(*command)
    told = capsys.readouterr()
    assert "weights of model.safetensors, as they are: nothing is trained here" in told.err
    folder, manifest = only_run()
    before = json.loads((trained / "manifest.json").read_text())
    np.testing.assert_array_equal(
        np.load(folder / "predictions.npy"), np.load(trained / "predictions.npy")
    )
    tested = {name: v for name, v in before["metrics"].items() if name.startswith("test/")}
    assert manifest["metrics"] == tested
    assert manifest["target"] == before["target"]
    assert not (folder / "losses.npy").exists()
    capsys.readouterr()
    bench(*command)  # the same again
    assert "the run finished before" in capsys.readouterr().err
    assert only_run()[0] == folder


def test_a_run_of_weights_says_so_wherever_it_is_shown(
    table: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = Path("theirs.safetensors")
    weights.write_bytes((trained / "model.safetensors").read_bytes())
    bench("run", *ours(table), "--weights", str(weights))
    folder, manifest = only_run()
    assert manifest["weights"] == {
        "file": "theirs.safetensors",
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "scale": "the file",
    }
    assert manifest["verified"] is False
    assert (manifest["seed"], manifest["plan"], manifest["track"]) == (None, None, "open")
    assert manifest["recipe"]["name"] == "none"
    assert "lr" not in manifest["recipe"]
    assert manifest["data"]["fingerprint"] is None
    assert manifest["data"]["rows"].keys() == {"test", "cropped_test"}
    assert Manifest.from_json(manifest).to_json() == manifest
    bench("runs")
    assert "unverified" in capsys.readouterr().out
    board = leaderboard(str(table), resamples=100)
    assert "proformer (unverified: weights of theirs.safetensors)" in board.markdown()
    assert board.board.selection.fingerprint == ""
    board.write_site("site")
    (page,) = [path.read_text() for path in Path("site").rglob(f"*{folder.name}*.html")]
    assert "theirs.safetensors" in page
    assert manifest["weights"]["sha256"] in page
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    tested = [sequence for sequence, split, _ in rows if split == "test"]
    np.testing.assert_allclose(
        predict(folder, tested), np.load(folder / "predictions.npy"), rtol=1e-6
    )


def test_weights_without_a_scale_take_that_of_the_training_rows(table: Path, trained: Path) -> None:
    save_file(load_file(trained / "model.safetensors"), "plain.safetensors")
    bench("run", *ours(table), "--weights", "plain.safetensors")
    folder, manifest = only_run()
    before = json.loads((trained / "manifest.json").read_text())
    assert manifest["weights"]["scale"] == "training rows"
    assert manifest["target"] == before["target"]
    np.testing.assert_array_equal(
        np.load(folder / "predictions.npy"), np.load(trained / "predictions.npy")
    )


def test_the_scale_of_the_file_is_the_unit_of_the_predictions(table: Path, trained: Path) -> None:
    texts = {"target_scale": "100.5 0.25"}
    save_file(load_file(trained / "model.safetensors"), "w.safetensors", texts)
    bench("run", *ours(table), "--weights", "w.safetensors")
    folder, manifest = only_run()
    before = json.loads((trained / "manifest.json").read_text())["target"]
    assert manifest["target"] == {"mean": 100.5, "deviation": 0.25}
    standardized = np.load(trained / "predictions.npy") - before["mean"]
    expected = 100.5 + 0.25 * standardized / before["deviation"]
    np.testing.assert_allclose(np.load(folder / "predictions.npy"), expected, rtol=1e-12)


def test_a_model_that_is_fitted_at_once_takes_weights(table: Path) -> None:
    ridge = ["run", "--model", "kmer-ridge", "--task", str(table), "--no-tracking"]
    bench(*ridge, "--home", "a")
    fitted, _ = only_run(Path("a"))
    bench(*ridge, "--home", "b", "--weights", str(fitted / "model.safetensors"))
    first, second = (np.load(only_run(Path(h))[0] / "predictions.npy") for h in ("a", "b"))
    np.testing.assert_array_equal(first, second)


def test_a_shared_run_of_weights_is_still_one(table: Path, trained: Path) -> None:
    bench("run", *ours(table), "--weights", str(trained / "model.safetensors"))
    folder, manifest = only_run()
    export_runs((folder.name,), Path("shared.zip"), Path("runs"))
    import_runs(Path("shared.zip"), Path("there"), task_name=str(table))
    assert only_run(Path("there"))[1]["weights"] == manifest["weights"]


def changed(trained: Path, **tensors: torch.Tensor | None) -> None:
    """Write the weights of the run with some tensors replaced, added or removed."""
    state = load_file(trained / "model.safetensors")
    for name, tensor in tensors.items():
        state.pop(name, None)
        if tensor is not None:
            state[name] = tensor
    save_file(state, "w.safetensors", {"target_scale": "0 1"})


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"position": None}, "does not fit Proformer with these settings: it has no position."),
        ({"position": torch.zeros(2, 16)}, "position is (2, 16), and (40, 16) is needed."),
        ({"more": torch.zeros(1)}, "its more is unknown."),
        ({"strand": torch.full((2, 16), torch.nan)}, "strand has values that are not finite."),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_written(
    table: Path, trained: Path, capsys: pytest.CaptureFixture[str],
    tensors: dict[str, torch.Tensor | None], reason: str,
) -> None:  # fmt: skip
    changed(trained, **tensors)
    told = fails(capsys, "run", *ours(table), "--weights", "w.safetensors")
    assert told.startswith("--weights w.safetensors ")
    assert told.endswith(reason)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "gone.safetensors: No such file or directory."),
        (b"", "is not a whole safetensors file"),
        (b"\x80\x04pickle" * 9, "is not a whole safetensors file"),
    ],
)
def test_files_that_are_no_weights_are_told_in_a_line(
    table: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    name = "gone.safetensors" if content is None else "w.safetensors"
    if content is not None:
        Path(name).write_bytes(content)
    told = fails(capsys, "run", *ours(table), "--weights", name)
    assert told.startswith(f"--weights {name}")
    assert reason in told
    assert not Path("runs").exists()


@pytest.mark.parametrize("scale", ["x 1", "1 0", "nan 1", "0 inf", "1", "1 2 3", ""])
def test_a_scale_that_is_none_is_refused(
    table: Path, trained: Path, capsys: pytest.CaptureFixture[str], scale: str
) -> None:
    texts = {"target_scale": scale}
    save_file(load_file(trained / "model.safetensors"), "w.safetensors", texts)
    told = fails(capsys, "run", *ours(table), "--weights", "w.safetensors")
    assert told == "--weights: the scale of the targets is not valid."


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("--seed", "1"), "--seed"),
        (("--epochs", "2"), "--epochs"),
        (("--max-steps", "2"), "--max-steps"),
        (("--max-time", "2"), "--max-time"),
        (("--fraction", "0.5"), "--fraction"),
        (("--compile",), "--compile"),
        (("--set", "recipe.lr=1"), "--set recipe.lr"),
        (("--set", "recipe.strands=both"), "--set recipe.strands"),
    ],
)
def test_options_of_a_training_are_refused(
    table: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, ...], named: str
) -> None:
    told = fails(capsys, "run", *ours(table), "--weights", "w.safetensors", *option)
    assert told == f"--weights scores weights as they are and trains nothing: leave out {named}."


def test_settings_of_predictions_are_taken_and_recorded(table: Path, trained: Path) -> None:
    weights = str(trained / "model.safetensors")
    bench("run", *ours(table), "--weights", weights, "--set", "recipe.precision=float32")
    assert only_run()[1]["recipe"]["precision"] == "float32"


def test_every_field_of_the_recipe_is_one_of_training_or_of_prediction() -> None:
    from bench.config import as_dict
    from bench.recipe import Recipe
    from bench.runner.imported import _PREDICTION

    assert set(_PREDICTION) < set(as_dict(Recipe()))
    assert MODELS.get("deepatt").import_weights is not MODELS.get("madlab").import_weights


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail as a user's mistake; return its one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("bench: ")
    return last.removeprefix("bench: ")
