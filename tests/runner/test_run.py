"""Whole runs through the command line, as a user types them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli.program import cli, main
from bench.registry import TASKS
from bench.sources.locate import simulated
from tests import reference

TINY = [
    *("--set", "model.dim=16", "--set", "model.blocks=1", "--set", "model.attention_heads=1"),
    *("--set", "recipe.batch_size=64", "--max-steps", "6"),
]


@pytest.fixture(scope="session")
def assay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated assay of 2,000 promoters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return simulated(TASKS.get("dream"), "dream", rows=2000, seed=0)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.delenv("BENCH_HOME", raising=False)
    monkeypatch.setenv("BENCH_CACHE", f"{tmp_path}-cache")


def bench(*arguments: str) -> Any:
    return cli.main([*arguments], prog_name="bench", standalone_mode=False)


def only_run(home: Path = Path("runs")) -> tuple[Path, dict[str, Any]]:
    (manifest,) = home.glob("*/manifest.json")
    return manifest.parent, json.loads(manifest.read_text())


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail as a user's mistake; return its one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("bench: ")
    assert "Traceback" not in last
    return last.removeprefix("bench: ")


def test_scores_are_those_of_the_stored_predictions(assay: Path) -> None:
    bench(
        *("run", "--model", "kmer-ridge", "--task", "dream"), "--data", str(assay), "--no-tracking"
    )
    folder, manifest = only_run()
    assert manifest["status"] == "finished"
    assert manifest["data"]["name"] == "dream-simulated"
    wanted = reference.score_private(
        reference.read_truth(assay),
        np.load(folder / "predictions.npy").astype(float).tolist(),
        reference.read_units(assay),
        reference.read_public(assay),
    )
    metrics = manifest["metrics"]
    assert metrics["test/pearson_score"] == pytest.approx(wanted[0], abs=1e-12)
    assert metrics["test/spearman_score"] == pytest.approx(wanted[1], abs=1e-12)
    for name, (n, r, rho) in wanted[2].items():
        assert manifest["scored"]["n"][name] == n
        assert metrics[f"test/{name}/pearson"] == pytest.approx(r, abs=1e-12)
        assert metrics[f"test/{name}/spearman"] == pytest.approx(rho, abs=1e-12)


def test_a_run_reaches_mlflow_with_its_settings_curves_and_files(assay: Path) -> None:
    import mlflow

    arguments = ["run", "--model", "proformer", "--task", "dream", "--data", str(assay), *TINY]
    bench(*arguments, "--seed", "3")
    folder, manifest = only_run()
    client = mlflow.MlflowClient(f"sqlite:///{Path('runs').absolute() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dream-simulated")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["model.dim"] == "16"
    assert run.data.params["seed"] == "3"
    scores = {k: v for k, v in manifest["metrics"].items() if k.startswith("test/")}
    assert len(scores) == 20
    assert {k: v for k, v in run.data.metrics.items() if k.startswith("test/")} == scores
    assert run.data.tags["scored.rows"] == "private"
    assert run.data.metrics["cost/parameters"] == manifest["model"]["parameters"]
    assert run.inputs is not None
    assert run.inputs.dataset_inputs[0].dataset.digest == manifest["data"]["fingerprint"]
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curve = client.get_metric_history(run.info.run_id, "validation/pearson")
    assert [(p.step, p.value) for p in curve] == [
        (line["step"], line["metrics"]["validation/pearson"]) for line in logged
    ]
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files >= {"manifest.json", "predictions.npy", "model.safetensors"}


def test_a_server_that_is_away_loses_nothing(
    assay: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    bench("run", "--model", "kmer-ridge", "--task", "dream", "--data", str(assay))
    assert "`bench sync` sends it later" in capsys.readouterr().err
    assert only_run()[1]["status"] == "finished"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    bench("sync")
    bench("sync")  # again: nothing is sent twice
    client = mlflow.MlflowClient(f"sqlite:///{Path('runs').absolute() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dream-simulated")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert len(client.get_metric_history(run.info.run_id, "validation/pearson")) == 1


def test_the_same_seed_gives_the_same_predictions(assay: Path) -> None:
    arguments = ["run", "--model", "madlab", "--task", "dream", "--data", str(assay)]
    small = ["--set", "model.hidden=12", "--set", "recipe.batch_size=64", "--max-steps", "4"]
    for home in ("a", "b"):
        bench(*arguments, *small, "--no-tracking", "--home", home)
    first, second = (np.load(only_run(Path(h))[0] / "predictions.npy") for h in ("a", "b"))
    assert np.array_equal(first, second)


def test_a_run_that_diverges_is_recorded_as_failed_and_has_no_score(
    assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "--model", "proformer", "--task", "dream", "--data", str(assay), *TINY]
    message = fails(capsys, *arguments, "--set", "recipe.lr=1e30", "--no-tracking")
    assert "Recorded as failed in" in message
    manifest = only_run()[1]
    assert manifest["status"] == "failed"
    assert "metrics" not in manifest


RUN = ("run", "--model", "kmer-ridge", "--task", "dream")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--model", "profomer", "--task", "dream"), "Did you mean 'proformer'?"),
        (("run", "--model", "proformer", "--task", "drem"), "Did you mean 'dream'?"),
        ((*RUN, "--set", "model.kk=3"), "model has no setting 'kk'. Did you mean 'k'?"),
        ((*RUN, "--set", "model.k=three"), "model.k is a whole number; got 'three'."),
        ((*RUN, "--set", "recipe.optimizer=sgd"), "one of adam, adamw, lion, rmsprop; got 'sgd'."),
        ((*RUN, "--recipe", "papers"), "There are: standard, paper."),
        ((*RUN, "--device", "tpu9"), "Try auto, cpu, cuda or cuda:1."),
        ((*RUN, "--plugin", "none.py"), "--plugin none.py: no such file."),
        ((*RUN, "--data", "nowhere"), "--data nowhere: no such folder."),
        (RUN, "`bench data get dream` fetches it (so does --download)"),
        ((*RUN, "--rows", "5000"), "--rows goes with --simulate."),
        (("run", "--task", "dream"), "--model is missing"),
        (("runs",), "Try `bench demo`."),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert expected in fails(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_run_folder_is_one_line(
    assay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    message = fails(capsys, *RUN, "--data", str(assay), "--home", str(tmp_path / "taken"))
    assert "cannot write runs to" in message


def test_a_subset_position_out_of_range_is_named(
    assay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    (folder / "test_subset_ids").mkdir(parents=True)
    for name in ("train_sequences.txt", "filtered_test_data_with_MAUDE_expression.txt"):
        (folder / name).symlink_to(assay / name)
    (folder / "test_subset_ids" / "yeast_seqs.csv").write_text("pos\n3\n90000\n")
    message = fails(capsys, *RUN, "--data", str(folder))
    assert "yeast_seqs.csv, row 3: '90000' is not a row number" in message


def test_encoded_data_gives_the_same_run_as_the_raw_files(assay: Path) -> None:
    bench("data", "encode", "dream", "--data", str(assay), "--out", "encoded")
    bench(*RUN, "--data", str(assay), "--no-tracking", "--home", "raw")
    bench(*RUN, "--data", "encoded", "--no-tracking", "--home", "again")
    raw, again = only_run(Path("raw"))[1], only_run(Path("again"))[1]
    assert raw["data"]["fingerprint"] == again["data"]["fingerprint"]
    assert raw["metrics"] == again["metrics"]


FEW = """
import sys
class Few:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)  # of the import system, up to the file that imports
        while "importlib" in frame.f_globals["__name__"]:
            frame = frame.f_back
        theirs = {"bench", *KNOWN, *sys.stdlib_module_names}
        if frame.f_globals["__name__"].startswith("bench") and name.split(".")[0] not in theirs:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Few())
"""
"""Code that hides every package from bench that is not in KNOWN; torch may import what it likes."""


def test_a_network_trains_with_the_six_packages_that_the_readme_names(assay: Path) -> None:
    bench("data", "encode", "dream", "--data", str(assay), "--out", "encoded")
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (installed,) = re.findall(r"^\$ pip install (torch .*)", readme, flags=re.MULTILINE)
    assert len(installed.split()) == 6
    network = ["bench", "run", "--model", "proformer", "--task", "dream", "--data", "encoded"]
    code = (
        f"KNOWN = {installed.split()}\n{FEW}\nsys.argv = {[*network, *TINY, '--no-tracking']}\n"
        "from bench.cli import main; main()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert only_run()[1]["status"] == "finished"


def test_models_and_recipes_need_torch_numpy_and_safetensors_only() -> None:
    code = (
        f"KNOWN = ['torch', 'numpy', 'safetensors']\n{FEW}\n"
        "import bench, bench.training.loop\n"
        "from bench.registry import MODELS\n"
        "found = [issubclass(MODELS.get(name), bench.Model) for name in MODELS.places()]\n"
        "print(bench.Recipe(), *found)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-3:] == ["True"] * 3


def test_help_and_import_load_nothing_heavy() -> None:
    heavy = ["torch", "mlflow", "optuna", "polars", "scipy", "numpy", "sklearn", "rich"]
    code = (
        "import sys; import bench; from bench.cli.program import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "command", [("models",), ("tasks",), ("models", "madlab"), ("tasks", "dream")]
)
def test_what_reports_also_reports_json(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    bench(*command)
    assert "dream" in capsys.readouterr().out or command == ("models",)
    bench(*command, "--json")
    assert json.loads(capsys.readouterr().out)


def test_real_promoters_give_the_ridge_its_known_score(real_data: Path) -> None:
    """Independent work on the same files found .72 on the random subset."""
    bench(*RUN, "--data", str(real_data / "dream"), "--no-tracking")
    manifest = only_run()[1]
    assert manifest["data"]["rows"]["test"] == 71_103
    assert manifest["metrics"]["test/random/pearson"] >= 0.70
    assert len([name for name in manifest["metrics"] if name.count("/") == 2]) == 16


def test_the_truth_of_the_test_rows_changes_nothing_but_the_scores(
    assay: Path, tmp_path: Path
) -> None:
    """Training, the choice of weights and the predictions do not use it."""
    other = shutil.copytree(assay, tmp_path / "other")
    path = other / "filtered_test_data_with_MAUDE_expression.txt"
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line.split()[0]}\t{-row % 7}\n" for row, line in enumerate(lines)))
    arguments = ["run", "--model", "proformer", "--task", "dream", *TINY, "--no-tracking"]
    for home, folder in (("a", assay), ("b", other)):
        bench(*arguments, "--data", str(folder), "--home", home)
    (first, a), (second, b) = only_run(Path("a")), only_run(Path("b"))
    for name in ("predictions.npy", "model.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert a["metrics"]["validation/pearson"] == b["metrics"]["validation/pearson"]
    assert a["metrics"]["test/all/pearson"] != b["metrics"]["test/all/pearson"]
