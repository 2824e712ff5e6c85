"""The measures of a checkout on small trees whose figures were counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from tests.test_house import circle_arrows, fault, wrong_arrows
from tests.tools import house, imports

Files = dict[str, str]


def write(root: Path, files: Files) -> dict[str, imports.Module]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return imports.read(root)


def values(root: Path) -> dict[str, float]:
    return {figure.key: figure.value for figure in house.measure(root)}


def names(root: Path, key: str) -> list[str]:
    return next(figure.names for figure in house.measure(root) if figure.key == key)


# The graph


def test_folders_behind_symlinks_are_read_once_under_the_name_they_are_imported_by(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"bench/__init__.py": "", "models/__init__.py": "", "models/net/deep.py": ""})
    (tmp_path / "bench" / "models").symlink_to("../models")
    (tmp_path / "bench" / "linked.py").symlink_to("__init__.py")
    assert sorted(imports.read(tmp_path)) == ["bench", "bench.models", "bench.models.net.deep"]


def test_an_import_in_a_function_closes_a_circle_and_one_for_types_does_not(tmp_path: Path) -> None:
    circle = {
        "bench/a.py": "from bench import b\n",
        "bench/b.py": "def f():\n    from bench.a import g\n",
        "bench/c.py": "import typing\nif typing.TYPE_CHECKING:\n    from bench.d import X\n",
        "bench/d.py": "from bench.c import Y\n",
        "bench/e.py": "if TYPE_CHECKING:\n    pass\nelse:\n    import bench.f\n",
        "bench/f.py": "from bench.e import Z\n",
    }
    modules = write(tmp_path, circle)
    at_runtime = [["bench.a", "bench.b"], ["bench.e", "bench.f"]]
    assert imports.circles(imports.arrows(modules)) == at_runtime
    assert imports.circles(imports.arrows(modules, typing=True)) == [
        at_runtime[0],
        ["bench.c", "bench.d"],
        at_runtime[1],
    ]
    assert imports.arrows(modules, inside=False)["bench.b"] == frozenset()
    assert circle_arrows(modules) == [
        "bench/a.py -> bench/b.py",
        "bench/b.py -> bench/a.py",
        "bench/e.py -> bench/f.py",
        "bench/f.py -> bench/e.py",
    ]


PACKAGE = {
    "bench/__init__.py": "__version__ = '1'\n",
    "bench/p/__init__.py": "from bench.p.a import A\nfrom .b import B as C\ndef own(): ...\n",
    "bench/p/a.py": "class A: ...\n",
    "bench/p/b.py": "class B: ...\n",
}


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("from bench.p import a", ["bench.p.a"]),
        ("from . import a", ["bench.p.a"]),
        ("from .a import A", ["bench.p.a"]),
        ("from .. import p\np.b.B", ["bench.p.b"]),
        ("from bench.p import A", ["bench.p.a"]),
        ("from bench.p import C", ["bench.p.b"]),
        ("from bench.p import own", ["bench.p"]),
        ("from bench.p import *", ["bench.p"]),
        ("from bench import p\np.A", ["bench.p.a"]),
        ("from bench import p as q\nq.own().x\nq.C", ["bench.p", "bench.p.b"]),
        ("from bench import p\nprint(p)", ["bench.p"]),
        ("import bench.p\nbench.p.C(1)", ["bench.p.b"]),
        ("import bench.p.b as q", ["bench.p.b"]),
        ("import bench\nbench.__version__", ["bench"]),
        ("import bench\nbench.p.a.A", ["bench.p.a"]),
        ("from importlib import import_module\nimport_module('bench.p.a')", ["bench.p.a"]),
        ("import json\nfrom os import path", []),
    ],
)
def test_an_arrow_leads_to_the_file_in_which_the_name_is_written(
    tmp_path: Path, text: str, targets: list[str]
) -> None:
    modules = write(tmp_path, {**PACKAGE, "bench/p/user.py": text + "\n"})
    assert sorted(imports.arrows(modules)["bench.p.user"]) == targets


def test_a_package_and_its_files_make_a_circle_only_by_names_written_in_the_package(
    tmp_path: Path,
) -> None:
    uses_sibling = {**PACKAGE, "bench/p/a.py": "from bench.p import b, C\nclass A: ...\n"}
    assert imports.circles(imports.arrows(write(tmp_path, uses_sibling))) == []
    uses_package = {**PACKAGE, "bench/p/a.py": "from bench.p import own\nclass A: ...\n"}
    assert imports.circles(imports.arrows(write(tmp_path, uses_package))) == [
        ["bench.p", "bench.p.a"]
    ]


def test_a_lazy_name_is_followed_by_the_import_that_type_checkers_read(tmp_path: Path) -> None:
    door = "if TYPE_CHECKING:\n    from bench.api import run\ndef __getattr__(name): ...\n"
    modules = write(
        tmp_path,
        {"bench/__init__.py": door, "bench/api.py": "", "bench/cli.py": "from bench import run\n"},
    )
    graph = imports.arrows(modules)
    assert graph["bench.cli"] == {"bench.api"}
    assert graph["bench"] == frozenset()


@pytest.mark.parametrize("seed", range(20))
def test_circles_are_the_strongly_connected_components_that_scipy_finds(seed: int) -> None:
    size = 12
    matrix = np.random.default_rng(seed).random((size, size)) < 0.12
    graph = {str(row): frozenset(map(str, np.flatnonzero(matrix[row]))) for row in range(size)}
    _, labels = connected_components(csr_array(matrix), connection="strong")
    expected = {frozenset(map(str, np.flatnonzero(labels == label))) for label in set(labels)}
    parts = imports.components(graph)
    assert set(map(frozenset, parts)) == expected
    assert sum(map(len, parts)) == size
    place = {node: number for number, part in enumerate(parts) for node in part}
    assert all(place[b] <= place[a] for a, others in graph.items() for b in others)


def test_the_longest_chain_counts_a_circle_as_one_layer() -> None:
    edges = {"top": "xa", "a": "b", "b": "ac", "c": "d", "d": "", "x": "d", "alone": ""}
    graph = {node: frozenset(others) for node, others in edges.items()}
    assert imports.longest_chain(graph) == [["top"], ["a", "b"], ["c"], ["d"]]


def test_handing_a_name_on_is_no_use_of_it(tmp_path: Path) -> None:
    modules = write(
        tmp_path,
        {
            **PACKAGE,
            "bench/p/__init__.py": "from bench.p.a import A\nfrom bench.p.b import B\nx = B()\n",
            "bench/user.py": "from bench.p import A\n",
            "bench/p/two.py": "",
            "bench/v.py": "import bench.p.two\n",
            "bench/w.py": "import bench.p.two\nimport bench.v\n",
        },
    )
    assert imports.single_importers(modules) == {
        "bench.p.a": "bench.user",
        "bench.p.b": "bench.p",
        "bench.v": "bench.w",
    }


# Names, docstrings, lengths


def test_names_and_files_that_exist_twice(tmp_path: Path) -> None:
    text = "class Same: ...\ndef _hidden(): ...\nclass K:\n    def method(self): ...\n"
    write(
        tmp_path,
        {
            "bench/__init__.py": "def only(): ...\n",
            "bench/one.py": text,
            "bench/p/__init__.py": "",
            "leaderboards/one.py": "def Same(): ...\ndef method(): ...\ndef _hidden(): ...\n",
        },
    )
    assert names(tmp_path, "stems_twice") == ["one: bench/one.py, leaderboards/one.py"]
    assert names(tmp_path, "names_twice") == ["Same: bench/one.py, leaderboards/one.py"]
    assert names(tmp_path, "loose") == ["bench.one"]


DOCUMENTED = '''
class K:
    """Hold.

    Attributes:
        a: What it is.
            Where: goes on, and is no entry.
        b: Off the path; begins with no word of the list.
        c, d: Of the file.
    """

def f(e, *g):
    """Return.

    Args:
        e: Whether it rains.
        *g (int): Wherever.

    Returns:
        h: What is no argument.

    Args: What is no heading.
        i: What is no entry.
    """
'''


def test_argument_lines_without_a_noun(tmp_path: Path) -> None:
    write(tmp_path, {"bench/one.py": DOCUMENTED})
    figures = values(tmp_path)
    assert figures["argument_lines"] == 5
    assert names(tmp_path, "of_what_where") == [
        "bench/one.py: K(a): What it is.",
        "bench/one.py: K(c, d): Of the file.",
    ]
    assert figures["no_noun"] == 3  # "Whether" is how a truth value is described


def test_lengths_of_functions_and_files(tmp_path: Path) -> None:
    short = "@decorated\ndef f():\n    return 1\n"  # 2 lines: a decorator is none
    long = "async def g():\n" + "    x = 1\n" * 40  # 41 lines
    fits = "class K:\n    def h(self):\n" + "        x = 1\n" * 39  # 40 lines
    write(
        tmp_path,
        {
            "bench/a.py": short + long + fits,
            "bench/b.py": "x = 1\n" * 301,
            "bench/c.py": "x = 1\n" * 300,
        },
    )
    figures = values(tmp_path)
    assert (figures["functions"], figures["function_median"]) == (3, 40)
    assert names(tmp_path, "functions_long") == ["bench/a.py:4 g 41"]
    assert names(tmp_path, "files_long") == ["bench/b.py 301"]
    assert figures["lines"] == 3 + 41 + 41 + 301 + 300


ENGINE = '''"""The dream in a docstring does not count."""
x = "proformer"  # counts; madlab in a comment does not
y = f"{x} on dream-simulated"
z = """first line
the SNVs in the second line of a text
"""
class DreamBoard: "proformer"
def read(snvs, kmer_ridge_options): ...
size = (17,13)
cache = "dream-bench"
daydream = "dreams gm128789"
help = "GM12878 \\
counts"
tiny_net = 1; "# no comment: tiny-net"
layers = "layer" and 'layers'
_helper = layers  # dream
'''


def test_lines_that_name_a_plugin_are_those_of_code(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "bench/one.py": ENGINE,
            "bench/demo.py": "x = 'dream'\n",
            "models/tiny_net.py": "x = 'tiny_net'\n",
            "models/layers/one.py": "",
            "models/_helper/two.py": "",
            "tasks/__init__.py": "x = 'dream'\n",
            "leaderboards/one.py": "x = 'tiny-net'\n",
        },
    )
    found = [int(line.split(":")[1]) for line in names(tmp_path, "plugins_named")]
    assert found == [2, 3, 5, 7, 8, 9, 12, 14, 15]
    assert names(tmp_path, "plugins_named_demo") == ["bench/demo.py:1: x = 'dream'"]
    assert names(tmp_path, "plugins_named_boards") == ["leaderboards/one.py:1: x = 'tiny-net'"]


# The report


def test_the_report_is_lines_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"bench/one.py": "import bench.two\n", "bench/two.py": ""})
    house.main([str(tmp_path), "--names"])
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("      2  loose modules in bench/")
    assert [line.strip() for line in lines[start + 1 : start + 3]] == ["bench.one", "bench.two"]
    house.main([str(tmp_path), "--json"])
    table = json.loads(capsys.readouterr().out)
    assert table["layers"] == {"value": 2, "names": ["bench.one", "bench.two"]}
    with pytest.raises(SystemExit):
        house.main([str(tmp_path / "missing")])


# The table of layers


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("bench.cli.run", "bench.api", None),
        ("bench.search.worker", "bench.search.slots", None),
        ("bench.runner.run", "bench.errors", None),
        ("bench.scoring.open_test", "bench.sources.locate", None),
        ("bench.sources.locate", "bench.scoring.open_test", "same layer"),
        ("bench.model", "bench.task", "same layer"),
        ("bench.results.folder", "bench.runner.run", "results is below runner"),
        ("bench.api", "bench", "api is below bench"),
        ("bench.drawer", "bench.errors", "drawer has no layer"),
        ("bench.errors", "bench.drawer", "drawer has no layer"),
        ("bench.registry", "bench.models.tiny", "nobody imports models/"),
        ("bench.models", "bench.tasks.dream", "nobody imports tasks/"),
        ("bench.models.tiny", "bench.model", None),
        ("bench.models.tiny", "bench.registry", "models/ may not import registry"),
        ("bench.tasks.dream.files", "bench.sources.download.remote", None),
        ("bench.tasks.dream", "bench.tasks.dream.files", None),
        ("bench.tasks.dream", "bench.leaderboards.board", "tasks/ may not import leaderboards"),
        ("bench.models.tiny", "bench.models._layers.keras", None),
        ("bench.models._layers.keras", "bench.models.tiny", "two plugins"),
        ("bench.models.tiny", "bench.models.other", "two plugins"),
    ],
)
def test_the_table_allows_and_forbids(source: str, target: str, reason: str | None) -> None:
    said = fault(source, target)
    assert said is None if reason is None else reason in str(said)


def test_a_wrong_arrow_is_named_file_by_file(tmp_path: Path) -> None:
    modules = write(
        tmp_path,
        {
            "bench/errors.py": "",
            "bench/results/folder.py": "from bench import errors\nfrom bench.runner import run\n",
            "bench/runner/run.py": "from bench.models.tiny import Tiny\n",
            "models/tiny.py": "from bench.errors import BenchError\n",
        },
    )
    assert wrong_arrows(modules) == [
        "bench/results/folder.py -> bench/runner/run.py: results is below runner",
        "bench/runner/run.py -> models/tiny.py: nobody imports models/",
    ]
