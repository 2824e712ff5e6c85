"""Declared requirements match the imports, and a missing extra gives a one-line message."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.imports import Module, read

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORTED_AS = {
    "scikit-learn": "sklearn",
    "optuna-dashboard": "optuna_dashboard",
    "typing-extensions": "typing_extensions",
}
OWN = {"bench", "tests"}


def names(requirements: list[str]) -> set[str]:
    """Return the distributions that are required, without versions and extras."""
    return {re.split(r"[^\w-]", text)[0] for text in requirements}


def imported_as(requirements: list[str]) -> set[str]:
    """Return the names under which distributions are imported."""
    return {IMPORTED_AS.get(name, name) for name in names(requirements)}


EXTRAS = {
    name: imported_as(requirements)
    for name, requirements in PROJECT["optional-dependencies"].items()
    if name not in ("all", "dev")
}
PLAIN = imported_as(PROJECT["dependencies"])
OPTIONAL = set().union(*EXTRAS.values())


def checks(module: Module) -> Iterator[tuple[set[str], str]]:
    """Yield packages and extra of every call of ``needed`` in a file."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "needed":
            (extra,) = (word.value for word in node.keywords if word.arg == "extra")
            yield {ast.literal_eval(item) for item in node.args}, ast.literal_eval(extra)


def imports(module: Module) -> Iterator[tuple[str, bool]]:
    """Yield every other package that a file imports, and whether this happens in a function."""
    for item in module.imports:
        package = item.target.partition(".")[0]
        if package not in OWN | set(sys.stdlib_module_names):
            yield package, item.inside or item.typing


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return list(read(ROOT).values())


def test_every_import_is_declared(modules: list[Module]) -> None:
    found = {(package, str(m.path)) for m in modules for package, _ in imports(m)}
    assert {package for package, _ in found} >= {"torch", "polars", "jinja2", "pybigtools"}
    assert [pair for pair in sorted(found) if pair[0] not in PLAIN | OPTIONAL] == []


def test_an_optional_package_is_imported_in_functions_and_checked_in_the_same_file(
    modules: list[Module],
) -> None:
    wrong = []
    for module in modules:
        checked = {package for packages, _ in checks(module) for package in packages}
        for package, inside in imports(module):
            if package in OPTIONAL - PLAIN and not (inside and package in checked):
                wrong.append(f"{module.path} imports {package}")
    assert wrong == []


def test_a_check_names_an_extra_that_has_the_package(modules: list[Module]) -> None:
    found = [check for module in modules for check in checks(module)]
    assert len(found) > 5
    assert [(packages, extra) for packages, extra in found if not packages <= EXTRAS[extra]] == []


def test_every_requirement_is_used(modules: list[Module]) -> None:
    used = {package for module in modules for package, _ in imports(module)}
    used |= set().union(*(packages for module in modules for packages, _ in checks(module)))
    assert (PLAIN | OPTIONAL) - used == set()


def test_all_has_every_extra_and_every_requirement_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"]
    assert extras["all"] == [f"dream-bench[{','.join(EXTRAS)}]"]
    assert "dream-bench[all]" in extras["dev"]
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().split()}
    required = set().union(names(PROJECT["dependencies"]), *map(names, extras.values()))
    assert required - pinned == {"dream-bench"}


HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Hidden())
sys.argv = ["bench", *{arguments}]
from bench.cli import main
main()
"""


def without(hidden: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that cannot import some packages."""
    code = HIDE.format(hidden=sorted(hidden), arguments=list(arguments))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA", "BENCH_HOME"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


DESCRIBE = ("data", "describe", "dream", "--data", "absent", "--out", "page.html")
SITE = ("leaderboard", "--task", "dream", "--data", "absent", "--html", "site")
FILES = ("--signal", "s.bw", "--peaks", "p.bed", "--genome", "g.fa", "--out", "out")
PEAK = ("--plugin", str(ROOT / "tests/tuning/peak.py"), "--model", "peak", "--task", "dream")
SIMULATED = ("--simulate", "--rows", "2000")
LINES: dict[str, list[tuple[tuple[str, ...], str, str]]] = {
    "jinja2": [
        (DESCRIBE, "a description's page", "pages"),
        (SITE, "a leaderboard's page", "pages"),
    ],
    "matplotlib": [(DESCRIBE, "a description's page", "pages")],
    "plotly": [(SITE, "a leaderboard's page", "pages")],
    "pybigtools": [
        (("data", "build", "atac", *FILES), "a bigWig file", "genomics"),
        (("data", "simulate", "gm12878-atac", "--out", "out"), "a bigWig file", "genomics"),
    ],
    "optuna_dashboard": [(("search", "--dashboard"), "the dashboard of a study", "dashboard")],
    "psycopg": [
        (
            ("search", "--status", "--storage", "postgresql://me@127.0.0.1:1/x"),
            "a study in PostgreSQL",
            "postgresql",
        )
    ],
    "h5py": [
        (
            ("run", "--model", "deepatt", "--task", "dream", *SIMULATED, "--weights", "w.h5"),
            "a weights file of Keras",
            "weights",
        )
    ],
    "cmaes": [
        (
            ("search", *PEAK, *SIMULATED, "--sampler", "cmaes", "--trials", "1"),
            "the sampler cmaes",
            "search",
        )
    ],
}


def test_every_optional_package_has_a_command_below() -> None:
    assert LINES.keys() == OPTIONAL


@pytest.mark.parametrize(
    ("package", "command", "what", "extra"),
    [(package, *case) for package, cases in LINES.items() for case in cases],
)
def test_a_missing_package_is_one_line_and_nothing_is_written(
    package: str, command: tuple[str, ...], what: str, extra: str
) -> None:
    magic = bytes.fromhex("26fc8f88")  # the first and the last bytes of a bigWig
    Path("s.bw").write_bytes(magic + bytes(60) + magic)
    done = without({package}, *command)
    line = f"bench: {what} needs {package}: pip install 'dream-bench[{extra}]'.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    assert [str(path) for path in Path().iterdir()] == ["s.bw"]


def test_packages_that_are_missing_together_are_told_together() -> None:
    line = "bench: a description's page needs jinja2 and matplotlib: "
    assert without(OPTIONAL, *DESCRIBE).stderr.startswith(line)


def test_the_usual_commands_need_no_extra() -> None:
    run = ("run", "--model", "kmer-ridge", "--task", "dream", *SIMULATED)
    board = ("leaderboard", "--task", "dream", "--simulated", "--resamples", "100")
    for command in [("--help",), ("models",), ("tasks",), run, ("runs",), board]:
        done = without(OPTIONAL, *command)
        assert (done.returncode, "needs" in done.stderr) == (0, False), done.stderr


def test_a_search_without_plotly_says_so_and_has_no_plots() -> None:
    command = ("search", *PEAK, *SIMULATED, "--trials", "1", "--max-steps", "2")
    done = without(OPTIONAL, *command)
    assert done.returncode == 0, done.stderr
    assert "a plot of a study needs plotly: pip install 'dream-bench[search]'." in done.stderr
    assert [path.name for path in Path("runs/studies").rglob("trials.csv")] == ["trials.csv"]
    assert not list(Path("runs/studies").rglob("plots"))
