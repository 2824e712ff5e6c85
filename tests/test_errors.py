"""Error messages with two spellings: argument names in Python, options on the command line."""

import ast
import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from bench.cli import program
from bench.cli.common import with_options
from bench.config import split_assignments, typed_value
from bench.errors import (
    BenchError,
    DivergedError,
    OutOfMemoryError,
    PrunedError,
    RankError,
    StoppedError,
    TrialError,
    argument,
    as_parts,
    from_parts,
)
from bench.genomics.build_options import BuildOptions
from bench.recipe import Recipe
from bench.registry import TASKS
from bench.results.options import Request
from bench.results.run_folder import find_run
from bench.search_space import parsed
from bench.sources import locate
from bench.training.device import out_of_memory
from bench.training.distributed import Ranks
from bench.training.launch import _first_failure, launch, record
from bench.training.loop import _diverged
from bench.training.micro_batches import MicroBatches
from bench.training.schedule import Plan
from bench.tuning.definition import Search
from bench.tuning.feasibility import Probe, check
from bench.tuning.trial import InfeasibleError, LostError
from tests.conftest import ROOT

Dream: Any = TASKS.get("dream")


def _build(**options: Any) -> BuildOptions:
    file = Path("x")
    return BuildOptions(signal=file, peaks=file, genome=file, **options)


def _without_memory() -> None:
    with out_of_memory(64, torch.device("cpu")):
        raise MemoryError


def _diverge() -> None:
    raise _diverged("the loss became nan by step 7", Recipe(lr=0.001))


def _raise(error: Exception) -> None:
    raise error


Case = tuple[BenchError, str, str, str | None, Any]  # texts in Python, as options; field; hint


def _refused_space() -> None:
    space = parsed(["recipe.batch_size=1024"], {"recipe": Recipe})
    search = Search(request=Request(model="proformer", task="dream"), space=space)

    class Short:
        def facts(self, request: Request) -> None:
            batch_size = int(request.overrides["recipe"]["batch_size"])
            Plan.of(Recipe(batch_size=batch_size), 600)

    check(search, cast("Probe", Short()))


CASES: dict[str, tuple[Callable[[], object], type[BenchError], str, str, str | None, Any]] = {
    "an argument": (
        lambda: locate.find(Dream, "dream", Path("/none")),
        BenchError,
        "data /none: no such folder.",
        "--data /none: no such folder.",
        *("data", None),
    ),
    "an argument of two words": (
        lambda: Dream(Dream.Options()).read_test(Path("/none")),
        BenchError,
        "/none: no filtered_test_data_with_MAUDE_expression.txt. "
        "`bench data get dream` fetches it; test_data names another folder.",
        "/none: no filtered_test_data_with_MAUDE_expression.txt. "
        "`bench data get dream` fetches it; --test-data names another folder.",
        *("test_data", None),
    ),
    "two arguments": (
        lambda: launch(2, "cpu:0", []),
        BenchError,
        "device cpu:0 is one device. Leave out its number, or devices.",
        "--device cpu:0 is one device. Leave out its number, or --devices.",
        *("device", None),
    ),
    "an argument that has another name as an option": (
        lambda: split_assignments(["nix.x=1"]),
        BenchError,
        "settings nix.x=1: no section 'nix'. Sections are model, task and recipe.",
        "--set nix.x=1: no section 'nix'. Sections are model, task and recipe.",
        *("settings", None),
    ),
    "an argument without an option": (
        lambda: find_run("x", Path("/none"), "runs"),
        BenchError,
        "runs x: no such run. `bench runs` lists them.",
        "RUN x: no such run. `bench runs` lists them.",
        *("runs", None),
    ),
    "a setting": (
        lambda: typed_value(Recipe, "lr", "no", section="recipe"),
        BenchError,
        "recipe.lr is a number; got 'no'.",
        "recipe.lr is a number; got 'no'.",
        *("recipe.lr", None),
    ),
    "a space": (
        lambda: parsed(["recipe.lr=2..1"], {"recipe": Recipe}),
        BenchError,
        "the space of recipe.lr starts at 2.0, above its end, 1.0. Try space recipe.lr=1.0..2.0.",
        "the space of recipe.lr starts at 2.0, above its end, 1.0. Try --space recipe.lr=1.0..2.0.",
        *("recipe.lr", None),
    ),
    "a hint that is a setting": (
        lambda: Plan.of(Recipe(batch_size=1024), 600),
        BenchError,
        "600 training rows make no batch of 1024. Try recipe.batch_size=512.",
        "600 training rows make no batch of 1024. Try --set recipe.batch_size=512.",
        *("recipe.batch_size", {"recipe.batch_size": 512}),
    ),
    "a hint that is an argument": (
        lambda: MicroBatches.of(512, Ranks(), 100),
        BenchError,
        "a batch of 512 rows cannot be split evenly into micro-batches of 100 rows. "
        "Try batch_per_device=64.",
        "a batch of 512 rows cannot be split evenly into micro-batches of 100 rows. "
        "Try --batch-per-device 64.",
        *("batch_per_device", {"batch_per_device": 64}),
    ),
    "arguments inside a sentence": (
        lambda: _build(width=100, center=21),
        BenchError,
        "center 21 cannot be centered in width 100: make both even or both odd. Try center=22.",
        "--center 21 cannot be centered in --width 100: make both even or both odd. "
        "Try --center 22.",
        *("center", {"center": 22}),
    ),
    "several hints": (
        lambda: _raise(BenchError("no.", hint={"resume": True, "model.dim": 8, "max_memory": 0.5})),
        BenchError,
        "no. Try resume=True or model.dim=8 or max_memory=0.5.",
        "no. Try --resume or --set model.dim=8 or --max-memory 0.5.",
        *("resume", {"resume": True, "model.dim": 8, "max_memory": 0.5}),
    ),
    "a hint that is a setting of another type": (
        lambda: _raise(BenchError("no.", hint={"recipe.standardize": True, "task.rows": None})),
        BenchError,
        "no. Try recipe.standardize=True or task.rows.",
        "no. Try --set recipe.standardize=true or --set task.rows.",
        *("recipe.standardize", {"recipe.standardize": True, "task.rows": None}),
    ),
    "a value of a search space that is refused": (
        _refused_space,
        BenchError,
        "the space of recipe.batch_size holds 1024, which is refused: "
        "600 training rows make no batch of 1024. Try recipe.batch_size=512.",
        "the space of recipe.batch_size holds 1024, which is refused: "
        "600 training rows make no batch of 1024. Try --set recipe.batch_size=512.",
        *("recipe.batch_size", None),
    ),
    "a field that is not the first argument named": (
        lambda: _raise(BenchError(f"{argument('download', True)} or so.", field="data")),
        BenchError,
        "download=True or so.",
        "--download or so.",
        *("data", None),
    ),
    "no argument": (
        lambda: _raise(BenchError("the disk\n is full.")),
        BenchError,
        "the disk is full.",
        "the disk is full.",
        *(None, None),
    ),
    "too little memory": (
        _without_memory,
        OutOfMemoryError,
        "cpu is out of memory with 64 sequences at once. "
        "Try batch_per_device=32: the same batch in smaller micro-batches.",
        "cpu is out of memory with 64 sequences at once. "
        "Try --batch-per-device 32: the same batch in smaller micro-batches.",
        *("batch_per_device", "Try batch_per_device=32: the same batch in smaller micro-batches."),
    ),
    "a training that diverged": (
        _diverge,
        DivergedError,
        "the loss became nan by step 7. Try recipe.lr=0.0003.",
        "the loss became nan by step 7. Try --set recipe.lr=0.0003.",
        *("recipe.lr", {"recipe.lr": 0.0003}),
    ),
    "a training that was stopped": (
        lambda: _raise(StoppedError(15, "stopped after step 7.")),
        StoppedError,
        "stopped after step 7.",
        "stopped after step 7.",
        *(None, None),
    ),
    "a rank that failed": (
        lambda: _raise(RankError("rank 1 was killed by SIGKILL.", 2)),
        RankError,
        "rank 1 was killed by SIGKILL.",
        "rank 1 was killed by SIGKILL.",
        *(None, None),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """An error of library code, its two texts, its field and its hint."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    fail, kind, *expected = CASES[request.param]
    with pytest.raises(BenchError) as raised:
        fail()
    assert type(raised.value) is kind
    return raised.value, *expected


def test_library_and_command_line_name_arguments_in_their_own_words(case: Case) -> None:
    error, library, command_line, field, hint = case
    assert (str(error), with_options(error)) == (library, command_line)
    assert (error.field, error.hint) == (field, hint)
    assert repr(error) == f"{type(error).__name__}({library!r})"


def test_an_error_that_is_pickled_or_wrapped_keeps_its_words_field_and_hint(case: Case) -> None:
    error, library, command_line, field, hint = case
    same = pickle.loads(pickle.dumps(error))
    wrapped = error.wrapped("run x: ", " Nothing was imported.")
    for other in (same, wrapped):
        assert type(other) is type(error)
        assert (other.field, other.hint, other.exit_status) == (field, hint, error.exit_status)
    assert (str(same), with_options(same)) == (library, command_line)
    assert str(wrapped) == f"run x: {library} Nothing was imported."
    assert with_options(wrapped) == f"run x: {command_line} Nothing was imported."


def test_an_error_that_another_rank_sends_keeps_its_words_field_and_hint(case: Case) -> None:
    error, library, command_line, field, hint = case
    sent = json.loads(json.dumps(as_parts(error)))
    other = from_parts(sent)
    assert isinstance(other, BenchError)
    assert type(other) is type(error)
    assert (str(other), with_options(other)) == (library, command_line)
    assert (other.field, other.hint, other.exit_status) == (field, hint, error.exit_status)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (PrunedError("behind"), PrunedError, "behind"),
        (InfeasibleError("memory", 0.5, "too large"), TrialError, "too large"),
        (LostError(), TrialError, ""),
        (KeyError("x\ny"), RankError, "another rank failed: KeyError: 'x\\ny'"),
    ],
)
def test_an_error_of_no_sent_class_becomes_the_nearest(
    error: Exception, kind: type[Exception], text: str
) -> None:
    other = from_parts(json.loads(json.dumps(as_parts(error))))
    assert (type(other), str(other)) == (kind, text)
    assert getattr(other, "exit_status", 1) == 1


def test_no_class_is_made_of_a_name_that_another_rank_sends() -> None:
    for name in ("SystemExit", "OSError", "Exception"):
        with pytest.raises(KeyError):
            from_parts({"kind": name, "text": "x", "state": {}})


def test_exit_statuses() -> None:
    assert BenchError("no.").exit_status == 2
    assert pickle.loads(pickle.dumps(StoppedError(15, "stopped."))).exit_status == 143
    assert pickle.loads(pickle.dumps(StoppedError(15, "stopped."))).number == 15
    assert pickle.loads(pickle.dumps(RankError("killed.", 9))).exit_status == 9


def test_a_ranks_report_keeps_words_field_and_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_MEETING", str(tmp_path))
    monkeypatch.setenv("RANK", "1")
    record(BenchError(f"{argument('data')} x is short.", hint={"recipe.batch_size": 4}))
    found = _first_failure([-15, 2], tmp_path)
    assert isinstance(found, RankError)
    assert str(found) == "data x is short. Try recipe.batch_size=4."
    assert with_options(found) == "--data x is short. Try --set recipe.batch_size=4."
    assert (found.field, found.hint) == ("data", {"recipe.batch_size": 4})
    assert found.exit_status == 2


def test_the_command_line_prints_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise BenchError(f"{argument('data')} x\nis short.", hint={"max_steps": 4})

    monkeypatch.setattr(program.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        program._run()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "bench: --data x is short. Try --max-steps 4.\n"


# Single words of command lines that these files put together.
COMMAND_LINES = {
    "bench/results/command.py": "bench run, to repeat a run",
    "bench/contract/suite.py": "pytest, which runs the checks",
    "bench/results/environment.py": "git",
    "bench/api/training.py": "bench run, once a rank",
    "bench/results/options.py": "the table of the options of a run",
    "bench/runner/resume.py": "bench run, to go on with a run",
    "bench/tracking/mlflow_store.py": "mlflow server",
    "bench/tuning/processes.py": "bench search, once a worker",
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def option_texts(source: str) -> Iterator[str]:
    """Yield the string literals that name an option, other than docstrings and `bench …`."""
    tree = ast.parse(source)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in bare else None
        if isinstance(text, str) and OPTION.search(re.sub(r"`bench [^`]*`", "", text)):
            yield text


def test_option_texts_are_found() -> None:
    source = """
        def f(x):
            "Docstrings may say --data."
            say("give --data", f"{x}: --out {x}", "`bench search --status` tells", "a -- b", "--x")
    """
    found = list(option_texts("if True:\n" + source))
    assert sorted(found) == ["--x", ": --out ", "give --data"]


def test_library_code_names_no_option() -> None:
    wrong = []
    for folder in ("bench", "models", "tasks", "leaderboards"):
        for path in sorted((ROOT / folder).rglob("*.py")):  # does not follow the symlinks in bench/
            name = path.relative_to(ROOT).as_posix()
            if name.startswith("bench/cli/"):
                continue
            for text in option_texts(path.read_text(encoding="utf-8")):
                word = name in COMMAND_LINES and OPTION.fullmatch(text)
                if not word:
                    wrong.append(f"{name}: {text!r}")
    assert not wrong, "name arguments by bench.errors.argument:\n" + "\n".join(wrong)
