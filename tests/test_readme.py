"""Commands and code in the documents are true: they are taken from there and run."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.cli import cli
from bench.registry import MODELS

ROOT = Path(__file__).parents[1]


def commands(name: str) -> list[list[str]]:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    lines = [line.removeprefix("$ ") for line in text.splitlines() if "bench " in line]
    return [shlex.split(line)[1:] for line in lines]


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


def test_the_example_model_of_the_guide_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[0]
    (tmp_path / "tiny.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(MODELS, "_extra", {})
    (arguments,) = commands("CONTRIBUTING.md")
    arguments = ["run", *arguments] if arguments[0] != "run" else arguments
    short = [*arguments, "--no-tracking", "--rows", "2000", "--set", "recipe.batch_size=64"]
    done = CliRunner().invoke(cli, short, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "validation" in done.output
