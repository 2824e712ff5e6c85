"""Runs of somebody else, and the files of an export."""

import zipfile
from pathlib import Path

import pytest

from bench.cli.program import cli
from bench.registry import TASKS
from bench.sharing import archive
from bench.sources.locate import write_simulation

Files = dict[str, bytes]


@pytest.fixture(scope="session")
def assay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "assay"
    write_simulation(TASKS.get("dream"), folder, rows=1500, seed=1)
    return folder


@pytest.fixture(scope="session")
def home(assay: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, one of them a network's."""
    home = tmp_path_factory.mktemp("theirs")
    run = ["run", "--task", "dream", "--data", str(assay), "--no-tracking", "--home", str(home)]
    cli.main([*run, "--model", "kmer-ridge"], standalone_mode=False)
    small = ["--set", "model.hidden=12", "--set", "model.blocks=0", "--max-steps", "3"]
    small += ["--set", "recipe.batch_size=64"]
    cli.main([*run, "--model", "madlab", *small], standalone_mode=False)
    return home


@pytest.fixture(scope="session")
def shared(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What an export of the network's run holds."""
    out = tmp_path_factory.mktemp("out") / "results.zip"
    archive.export_runs(["madlab"], out, home)
    with zipfile.ZipFile(out) as file:
        return {name: file.read(name) for name in file.namelist()}
