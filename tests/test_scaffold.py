"""New plugins work as they are written, from their file and as an installed distribution."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.scaffold import Kind, new_plugin
from tests.conftest import ROOT

KINDS: tuple[Kind, ...] = ("model", "task")


def run(*command: str, folder: Path, path: Path | None = None) -> str:
    """Run a command with another folder in front of the modules' path; return what it prints."""
    places = [str(place) for place in (path, ROOT) if place is not None]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_own_test_and_lint(kind: Kind, tmp_path: Path) -> None:
    folder = new_plugin(kind, "my-first2", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        ".gitignore",
        "README.md",
        "my_first2.py",
        "pyproject.toml",
        "test_my_first2.py",
    ]
    text = "".join(path.read_text() for path in folder.iterdir())
    assert "class MyFirst2(" in text
    assert not any(word in text for word in ("my_plugin", "my-plugin", "MyPlugin"))
    assert "1 passed" in run("pytest", "-q", folder=folder)
    run("ruff", "check", "--isolated", "--select=E,F,B,UP", "--line-length=100", folder=folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_found_after_its_wheel_is_installed(kind: Kind, tmp_path: Path) -> None:
    folder = new_plugin(kind, "my-own", tmp_path)
    build = ("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", ".")
    run(*build, "--wheel-dir", str(tmp_path), folder=folder)
    (wheel,) = tmp_path.glob("my_own-0.1.0-*.whl")
    place = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(place)  # what pip does with a wheel of pure Python
    listed = run("bench", f"{kind}s", "--json", folder=tmp_path, path=place)
    assert '"my-own"' in listed
    assert '"from": "my-own"' in listed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyNet", "Try my-net"),
        ("my_net", "Try my-net"),
        ("1st", "Try st"),
        ("", "lower-case letters"),
        ("../up", "Try up"),
        ("class", "a word of Python's own"),
        ("proformer", "exists"),
        ("json", "module called 'json'"),
        ("numpy", "module called 'numpy'"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((BenchError, OSError), match=message):
        new_plugin("model", name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "my-net").mkdir()
    (tmp_path / "my-net" / "notes.txt").write_text("a year of work")
    with pytest.raises(BenchError, match="exists"):
        new_plugin("model", "my-net", tmp_path)
    assert [path.name for path in (tmp_path / "my-net").iterdir()] == ["notes.txt"]
