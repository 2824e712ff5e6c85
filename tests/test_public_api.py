"""The front door: which names it has, that they load late, and that one table holds the options."""

import dataclasses
import inspect
import subprocess
import sys

import pytest

import bench
from bench import api
from bench.cli.program import cli
from bench.results.options import Request, run_options

NAMES = {
    *("run", "load_run", "list_runs", "predict", "evaluate", "search", "leaderboard", "compare"),
    *("Run", "Ranking", "SearchResult", "Dataset", "Split", "TestSet", "BenchError", "__version__"),
    *("Model", "FittedModel", "Batch", "ModelCard", "Source", "Layout", "Recipe", "Preset"),
    *("Task", "TaskCard", "Metric", "setting", "settings", "Choice", "Range"),
}
HEAVY = {"torch", "numpy", "polars", "mlflow", "optuna", "scipy", "sklearn", "click", "rich"}
OTHERWISE = {
    "overrides": ("model_options", "recipe_options", "task_options"),
    "resume": (),  # bench.run goes on with the same run by itself
    "study": (),  # a search says these two
    "tuned": (),
}
"""Fields of a request that bench.run takes under other names, or not at all."""


def test_the_public_names_are_these() -> None:
    assert set(bench.__all__) == NAMES
    assert set(dir(bench)) >= NAMES
    for name in NAMES:
        assert getattr(bench, name) is not None
        assert getattr(bench, name).__doc__ or name == "__version__"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = bench.trian


def test_importing_bench_loads_nothing_heavy() -> None:
    code = f"import sys, bench; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_public_name_survives_its_submodules() -> None:
    code = (
        "import bench, bench.tuning.run_search, bench.runner.run, bench.leaderboards.compare\n"
        "print(callable(bench.search), callable(bench.run), callable(bench.compare))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


def test_run_takes_what_the_table_of_options_says() -> None:
    taken = inspect.signature(api.run).parameters
    wanted = {"devices": 1, "track": False, "console": None}  # how it runs, and not what
    for field in dataclasses.fields(Request):
        if field.name in OTHERWISE:
            wanted |= dict.fromkeys(OTHERWISE[field.name])
        elif field.default is not dataclasses.MISSING:
            wanted[field.name] = field.default
    given = {name: p.default for name, p in taken.items() if name not in ("model", "task")}
    assert given == wanted


@pytest.mark.parametrize("command", ["run", "plan", "profile"])
def test_the_command_line_has_every_option_of_the_table(command: str) -> None:
    alone = {"weights", "max_seconds", "checkpoint_minutes", "resume", "force"}
    wanted = {
        known.flag: known.name
        for known in run_options()
        if known.flag and (command == "run" or known.name not in alone)
    }
    found = {option.opts[0]: option.name for option in cli.commands[command].params}
    assert wanted.items() <= found.items()


def test_the_arguments_of_run_are_documented() -> None:
    text = inspect.getdoc(api.run) or ""
    for name in inspect.signature(api.run).parameters:
        assert f"    {name}: " in text, name
