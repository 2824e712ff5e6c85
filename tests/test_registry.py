"""Plugins from all three places: built in, installed, and a user's own file."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.program import cli
from bench.errors import BenchError
from bench.model import Model
from bench.plugin_files import load_plugin_file
from bench.registry import MODELS, TASKS, Registry
from bench.task import Task

ROOT = Path(__file__).parents[1]
MODEL = """
from bench.cards import ModelCard, Source
from bench.model import Model

from bench.config import settings

@settings
class Settings:
    pass

class Mine(Model[Settings]):
    card = ModelCard(summary="mine", source=Source(citation="c", url="u", license="l"))
"""
TASK = """
from bench.cards import Source, TaskCard
from bench.task import Task

class MyTask(Task):
    card = TaskCard(summary="mine", version=1, row="r", target="t", primary="p",
                    source=Source(citation="c", url="u", license="l"))
"""


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Remove the plugins and modules that a test registered and imported."""
    monkeypatch.setattr(MODELS, "_extra", {})
    monkeypatch.setattr(TASKS, "_extra", {})
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def refusal(path: Path, text: str | None = None) -> str:
    """Return the message for a refused plugin file; nothing may stay registered."""
    if text is not None:
        path.write_text(text)
    before = MODELS.places(), TASKS.places()
    with pytest.raises(BenchError) as raised:
        load_plugin_file(path)
    message = str(raised.value)
    assert message.isprintable()
    assert str(path) in message
    assert (MODELS.places(), TASKS.places()) == before
    return message.replace(str(path), "FILE")


def built_in(folder: str) -> set[str]:
    files = {path.stem for path in (ROOT / folder).glob("[!_]*.py")}
    folders = {path.parent.name for path in (ROOT / folder).glob("[!_]*/__init__.py")}
    return {name.replace("_", "-") for name in files | folders}


def python(code: str) -> list[str]:
    """Run code in a fresh interpreter and return the modules it has imported."""
    code = f"import json, sys\nfrom bench.registry import MODELS, TASKS\n{code}\n"
    command = [sys.executable, "-c", f"{code}\nprint(json.dumps(list(sys.modules)))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout)
    return names


def test_every_file_and_folder_is_a_plugin_under_its_name_with_dashes() -> None:
    assert set(MODELS.places()) == built_in("models") >= {"proformer", "madlab", "kmer-ridge"}
    assert set(TASKS.places()) == built_in("tasks") >= {"dream"}
    places = MODELS.places()
    assert places["kmer-ridge"].module == "bench.models.kmer_ridge"
    assert {place.origin for place in places.values()} == {"built in"}


def test_listing_imports_no_plugin_and_no_library() -> None:
    imported = python("MODELS.places(), TASKS.places()")
    assert not [name for name in imported if name.startswith(("bench.models.", "bench.tasks."))]
    assert not {"torch", "numpy", "polars", "bench.model", "bench.task"} & set(imported)


def test_asking_for_one_plugin_imports_that_one() -> None:
    imported = python("MODELS.get('kmer-ridge')")
    plugins = [name for name in imported if name.startswith(("bench.models.", "bench.tasks."))]
    # Layers that models share come with the model.
    assert [name for name in plugins if not name.startswith("bench.models._layers")] == [
        "bench.models.kmer_ridge"
    ]
    assert "torch" not in python("TASKS.get('dream')")


@pytest.mark.parametrize("name", ["proformer", "madlab", "kmer-ridge"])
def test_a_built_in_name_gives_its_class(name: str) -> None:
    plugin = MODELS.get(name)
    assert issubclass(plugin, Model)
    assert plugin.__module__ == f"bench.models.{name.replace('-', '_')}"
    assert issubclass(TASKS.get("dream"), Task)


@pytest.mark.parametrize(
    ("registry", "name", "hint"),
    [
        (MODELS, "proforme", " Did you mean 'proformer'?"),
        (MODELS, "kmer_ridge", " Did you mean 'kmer-ridge'?"),
        (MODELS, "zzz", ""),
        (MODELS, "", ""),
        (TASKS, "draem", " Did you mean 'dream'?"),
        (MODELS, "x/legnet.py", " Add plugin=x/legnet.py, and name its model, not the file."),
    ],
)
def test_an_unknown_name_is_told_the_nearest(
    registry: Registry[object], name: str, hint: str
) -> None:
    with pytest.raises(BenchError) as raised:
        registry.get(name)
    kind = registry.kind
    count = len(built_in(f"{kind}s"))
    expected = f"no {kind} is called '{name}'.{hint} Run `bench {kind}s` to see all {count}."
    assert str(raised.value) == expected


def test_a_file_with_a_model_adds_a_model_under_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "my_own_net.py"
    path.write_text(MODEL)
    load_plugin_file(path)
    assert set(MODELS.places()) == built_in("models") | {"my-own-net"}
    assert set(TASKS.places()) == built_in("tasks")
    assert MODELS.places()["my-own-net"].origin == str(path)
    plugin = MODELS.get("my-own-net")
    assert issubclass(plugin, Model)
    assert (plugin.__name__, plugin.card.summary) == ("Mine", "mine")


def test_a_file_with_a_task_adds_a_task(tmp_path: Path) -> None:
    path = tmp_path / "my_assay.py"
    path.write_text(TASK)
    load_plugin_file(path)
    assert set(TASKS.places()) == built_in("tasks") | {"my-assay"}
    assert set(MODELS.places()) == built_in("models")
    assert TASKS.get("my-assay").__name__ == "MyTask"


def test_a_file_with_both_adds_both_under_one_name(tmp_path: Path) -> None:
    path = tmp_path / "my_pair.py"
    path.write_text(MODEL + TASK)
    load_plugin_file(path)
    assert MODELS.get("my-pair").__name__ == "Mine"
    assert TASKS.get("my-pair").__name__ == "MyTask"


def test_classes_imported_or_without_a_card_are_no_plugins(tmp_path: Path) -> None:
    path = tmp_path / "my_net.py"
    extra = "from bench.models.kmer_ridge import KmerRidge\nclass Base(Model):\n    pass\n"
    path.write_text(MODEL + extra)
    load_plugin_file(path)
    assert MODELS.get("my-net").__name__ == "Mine"


def test_a_second_name_for_the_class_is_no_second_model(tmp_path: Path) -> None:
    path = tmp_path / "my_net.py"
    path.write_text(f"{MODEL}\nOldName = Mine\n")
    load_plugin_file(path)
    assert MODELS.get("my-net").__name__ == "Mine"


@pytest.mark.parametrize("text", ["x = 1\n", "", "from bench.models.kmer_ridge import KmerRidge\n"])
def test_a_file_without_a_plugin_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path / "my_file.py", text) == (
        "plugin FILE: no class in it has a card and derives from bench.model.Model or "
        "bench.task.Task."
    )


def test_a_file_with_two_models_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / "my_two.py", MODEL + MODEL.replace("Mine", "Other"))
    assert message == "FILE defines Mine and Other: put each model in a file of its own."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\nraise RuntimeError('a\\nb')\n", "RuntimeError: a b (FILE:2)"),
        ("def f():\n    return 1 / 0\nf()\n", "ZeroDivisionError: division by zero (FILE:2)"),
        ("import absent_library\n", "ModuleNotFoundError: No module named 'absent_library' ("),
        ("def f(:\n    pass\n", "SyntaxError: invalid syntax (my_broken.py, line 1) ("),
        ("x = '\0'\n", "SyntaxError: source code string cannot contain null bytes ("),
    ],
)
def test_a_file_that_fails_says_how_and_where(tmp_path: Path, text: str, expected: str) -> None:
    assert refusal(tmp_path / "my_broken.py", text).startswith(f"plugin FILE: {expected}")
    assert "my_broken" not in sys.modules


@pytest.mark.parametrize("name", ["absent.py", "folder.py"])
def test_a_plugin_file_has_to_be_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    assert refusal(tmp_path / name) == "plugin FILE: no such file."


@pytest.mark.parametrize("name", ["numpy.py", "json.py", "bench.py", "my_model.txt", "my_model"])
def test_a_plugin_file_is_called_like_no_installed_module(tmp_path: Path, name: str) -> None:
    before = sys.modules.get(Path(name).stem)
    expected = (
        "plugin FILE: rename the file to NAME.py; NAME is an identifier, and not the name of an "
        "installed module."
    )
    assert refusal(tmp_path / name, MODEL) == expected
    assert sys.modules.get(Path(name).stem) is before


def test_a_plugin_file_may_lie_in_a_folder_of_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `python -m bench` sees the folder that `bench new` writes."""
    monkeypatch.syspath_prepend(tmp_path)
    for folder in ("own_name", "own_name/own_name"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "own_name" / "own_name.py"
    path.write_text(MODEL)
    load_plugin_file(path)
    assert "own-name" in MODELS.places()
    assert "rename the file" in refusal(tmp_path / "own_name" / "own_name" / "own_name.py", MODEL)


@pytest.mark.parametrize("name", ["my.model.py", ".hidden.py", "__main__.py"])
def test_a_file_name_that_is_no_module_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # as in the `bench` script
    assert refusal(tmp_path / name, MODEL).startswith("plugin FILE: rename the file")


@pytest.mark.parametrize(
    ("file", "text", "kind", "name"),
    [
        ("proformer.py", MODEL, "model", "proformer"),
        ("kmer_ridge.py", MODEL, "model", "kmer-ridge"),
        ("dream.py", TASK, "task", "dream"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    tmp_path: Path, file: str, text: str, kind: str, name: str
) -> None:
    expected = f"FILE: a {kind} called '{name}' exists. Rename the file."
    assert refusal(tmp_path / file, text) == expected


def test_a_file_refused_for_its_task_leaves_no_model_behind(tmp_path: Path) -> None:
    message = refusal(tmp_path / "dream.py", MODEL + TASK)
    assert message == "FILE: a task called 'dream' exists. Rename the file."


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my_net.py").write_text(MODEL)
    load_plugin_file(tmp_path / "a" / "my_net.py")
    with pytest.raises(BenchError, match="name the file"):
        load_plugin_file(tmp_path / "b" / "my_net.py")


def test_the_command_line_loads_plugin_files_before_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "my_assay.py"
    path.write_text(TASK)
    done = CliRunner().invoke(cli, ["tasks", "--json", "--plugin", str(path)])
    assert done.exit_code == 0, done.exception
    rows = {row["task"]: row for row in json.loads(done.stdout)}
    assert rows.keys() == built_in("tasks") | {"my-assay"}
    assert (rows["my-assay"]["from"], rows["my-assay"]["summary"]) == (str(path), "mine")


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, points: str) -> None:
    """Add a distribution that has only entry points to the import path."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()


def test_a_broken_distribution_breaks_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fake_good.py").write_text(MODEL)
    (tmp_path / "fake_broken.py").write_text("1 / 0\n")
    points = "good-net = fake_good:Mine\nbroken-net = fake_broken:Mine\nlost-net = fake_lost\n"
    install(tmp_path, monkeypatch, "fake", f"[bench.models]\n{points}")
    places = MODELS.places()
    names = built_in("models") | {"good-net", "broken-net", "lost-net"}
    assert list(places) == sorted(names)
    assert {places[name].origin for name in ("good-net", "broken-net")} == {"fake"}
    assert not {"fake_good", "fake_broken"} & sys.modules.keys()
    assert MODELS.get("good-net").__module__ == "fake_good"
    assert MODELS.get("kmer-ridge").__module__ == "bench.models.kmer_ridge"
    for name, reason in [
        ("broken-net", f"ZeroDivisionError: division by zero ({tmp_path}/fake_broken.py:1)"),
        ("lost-net", "ModuleNotFoundError: No module named 'fake_lost' ("),
    ]:
        with pytest.raises(BenchError) as raised:
            MODELS.get(name)
        expected = f"model '{name}' (fake) cannot be imported: {reason}"
        assert str(raised.value).startswith(expected)


def test_an_entry_point_names_the_class_or_the_only_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fake_one.py").write_text(MODEL)
    (tmp_path / "fake_two.py").write_text(MODEL + MODEL.replace("Mine", "Other"))
    (tmp_path / "fake_task.py").write_text(TASK)
    points = "one = fake_one\nsecond = fake_two:Other\nboth = fake_two\nnone = fake_one:Absent\n"
    groups = f"[bench.models]\n{points}\n[bench.tasks]\nmine = fake_task:MyTask\n"
    install(tmp_path, monkeypatch, "fake", groups)
    assert MODELS.get("one").__name__ == "Mine"
    assert MODELS.get("second").__name__ == "Other"
    assert TASKS.get("mine").__name__ == "MyTask"
    for name, module, count in [("both", "fake_two", 2), ("none", "fake_one", 0)]:
        with pytest.raises(BenchError) as raised:
            MODELS.get(name)
        assert str(raised.value) == (
            f"model '{name}' (fake): {module} must define one class with a card, derived from "
            f"bench.model.Model; it has {count}."
        )


def test_one_name_in_two_places_is_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "rival", "[bench.models]\nproformer = rival:Net\n")
    for attempt in (MODELS.places, lambda: MODELS.get("madlab")):
        with pytest.raises(BenchError) as raised:
            attempt()
        assert str(raised.value) == (
            "two models are called 'proformer': one built in, one rival. Rename one of them."
        )
    assert "dream" in TASKS.places()


def test_two_distributions_with_one_name_are_both_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        install(tmp_path, monkeypatch, name, f"[bench.tasks]\nassay = {name}:Assay\n")
    with pytest.raises(BenchError, match=r"two tasks are called 'assay'") as raised:
        TASKS.places()
    assert "one first" in str(raised.value)
    assert "one second" in str(raised.value)


def test_a_file_may_not_take_a_distributions_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "fake", "[bench.models]\nmy-net = fake_good:Mine\n")
    (tmp_path / "elsewhere").mkdir()
    message = refusal(tmp_path / "elsewhere" / "my_net.py", MODEL)
    assert message == "FILE: a model called 'my-net' exists. Rename the file."


def test_a_user_error_in_a_plugin_is_passed_on_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from bench.errors import BenchError\nraise BenchError('install fast-fft.')\n"
    (tmp_path / "fake_picky.py").write_text(text)
    install(tmp_path, monkeypatch, "fake", "[bench.models]\npicky = fake_picky:Mine\n")
    with pytest.raises(BenchError, match=r"^install fast-fft\.$"):
        MODELS.get("picky")
