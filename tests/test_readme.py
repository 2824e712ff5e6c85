"""Commands and code in the documents are true: they are taken from there and run."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bench.cli.program import cli
from bench.registry import MODELS, TASKS
from tests.tools.documents import blocks, commands


@pytest.mark.parametrize("arguments", commands("README.md"), ids=" ".join)
def test_every_command_of_the_readme_parses(arguments: list[str], tmp_path: Path) -> None:
    """Options and choices are right; what would take long or needs data stops at a bad folder."""
    replaced = [str(tmp_path / "absent") if a == "FOLDER" else a for a in arguments]
    assert cli.commands  # the group is loaded
    name, *rest = replaced
    command = cli.commands[name]
    while isinstance(command, click.Group):
        name, *rest = rest
        command = command.commands[name]
    context = command.make_context(name, rest)
    assert context.params


def test_the_encoding_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in commands("README.md")[-3:]:
        short = [*arguments, "--max-steps", "2"] if arguments[0] == "run" else arguments
        done = CliRunner().invoke(cli, short, catch_exceptions=False)
        assert done.exit_code == 0, done.output


@pytest.fixture
def dream_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder with simulated files in dream/ that pass for measured ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_HOME", raising=False)
    words = ["data", "simulate", "dream", "--rows", "2000", "--out", "dream"]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    Path("dream/simulated.json").unlink()
    monkeypatch.setattr(MODELS, "_at_hand", {})
    monkeypatch.setattr(TASKS, "_at_hand", {})
    proformer = MODELS.get("proformer")
    smoke = replace(proformer.presets["smoke"], max_steps=4)  # a minute is too long here
    monkeypatch.setattr(proformer, "presets", {**proformer.presets, "smoke": smoke})


def test_the_python_of_the_readme_runs(
    dream_folder: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line is executed; the values of its expressions are checked as a reader sees them."""
    names: dict[str, Any] = {"__name__": "__main__"}
    values: dict[str, Any] = {}
    for block in blocks("README.md", "python"):
        for statement in ast.parse(block).body:
            text = ast.unparse(statement)
            if isinstance(statement, ast.Expr):
                values[text] = eval(text, names)
            else:
                exec(compile(ast.Module([statement], []), "README.md", "exec"), names)
    run, mine, other = (names[name] for name in ("run", "mine", "other"))
    assert -1 <= values["run.metrics['test/pearson_score']"] <= 1
    assert run.manifest.model.config["dim"] == 32
    assert run.manifest.recipe.settings["lr"] == 3e-4
    assert values["run.predictions"].shape == (8000,)
    assert values["run.predict(['ACGT' * 20])"].shape == (1,)
    assert len(values["run.history"]) > 0
    assert len(values["bench.list_runs(task='dream')"]) == 1
    assert not names["net"].training
    assert len(mine.predictions) == 200
    assert other.metrics["test/pearson_score"] == names["scores"].overall["pearson_score"]
    assert values["board.table()"]["model"].to_list() == ["kmer-ridge", "proformer"]
    assert Path("site/index.html").is_file()
    assert values["bench.compare(run, other).verdict"].startswith("B is better on pearson_score by")
    assert set(values["found.best"]) >= {"model.k", "model.alpha"}
    assert len(values["found.trials()"]) == 3
    assert capsys.readouterr().out == ""
