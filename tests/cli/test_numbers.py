"""Numbers on the command line: what is no number of a sensible size is refused by one line.

The options are those that the commands declare; they are parsed, and no command runs.
"""

import math
from collections.abc import Iterator

import click
import pytest

import bench
from bench.cli.program import cli
from bench.config import typed_value
from bench.errors import BenchError
from bench.recipe import Recipe
from bench.results.options import Request
from bench.runner.request import resolve

NINES = "9" * 30
NEVER = ("nan", "inf", "-inf", "-1", "1e400", "", " ", "0x10", "9" * 5000)
NUMERIC = (click.types.IntParamType, click.types.FloatParamType)
LISTS = [("search", "--seeds"), ("plan", "--devices")]


def commands(group: click.Group, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


def numeric() -> Iterator[tuple[str, str, click.Command, bool]]:
    """Yield the words of a command, an option, the command, and whether a number is whole."""
    for names, command in commands(cli):
        for option in command.params:
            if isinstance(option.type, NUMERIC):
                whole = isinstance(option.type, click.types.IntParamType)
                yield " ".join(names), option.opts[0], command, whole
    for name, flag in LISTS:
        yield name, flag, cli.commands[name], True


CASES = [pytest.param(*case, id=f"{case[0]} {case[1]}") for case in numeric()]


def refused(command: click.Command, *words: str) -> str | None:
    """Return the message about the first wrong word; None if only other options are missing."""
    try:
        command.make_context("x", list(words))
    except click.MissingParameter:
        return None
    except click.ClickException as error:
        return error.format_message()
    except BenchError as error:
        return str(error)
    return None


def test_the_commands_have_numeric_options() -> None:
    found = {(name, flag) for name, flag, _, _ in numeric()}
    assert len(found) > 45
    assert found >= {("run", "--seed"), ("run", "--max-time"), ("ui", "--port")}
    assert found >= {("data simulate", "--rows"), ("compare", "--resamples"), *LISTS}


@pytest.mark.parametrize(("name", "flag", "command", "whole"), CASES)
def test_what_is_no_number_of_a_sensible_size_is_refused(
    name: str, flag: str, command: click.Command, whole: bool
) -> None:
    for value in (*NEVER, *([NINES] if whole else [])):
        message = refused(command, f"{flag}={value}")
        assert message, value
        assert flag in message, value
        assert "\n" not in message, value


@pytest.mark.parametrize("value", ["1_000", "１２"])
def test_numbers_that_python_reads_are_numbers(value: str) -> None:
    command = cli.commands["run"]
    context = command.make_context("run", [f"--seed={value}", f"--max-time={value}"])
    assert context.params["seed"] == int(value)
    assert context.params["max_seconds"] == 60 * float(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("seed", value) for value in (-1, 2**63, 10**30, 1.0, math.nan, "1", True, None)),
        *(("max_seconds", value) for value in (-1.0, math.nan, math.inf, "5", 10**400)),
        *(("checkpoint_minutes", value) for value in (-1, math.nan, math.inf)),
        *(("fraction", value) for value in (0, 1.5, math.nan, -0.1)),
        *(("simulate_rows", value) for value in (999, 10**30, 2000.0)),
        *(("epochs", value) for value in (0, 10**30, 1.5)),
        *(("max_steps", value) for value in (0, 10**30)),
        *(("batch_per_device", value) for value in (0, 10**30)),
    ],
)
def test_the_same_holds_in_python(name: str, value: object, tmp_path: object) -> None:
    options: dict[str, object] = {name: value, "runs_dir": str(tmp_path)}
    with pytest.raises(BenchError, match=f"^{name} ") as raised:
        bench.run("proformer", "dream", **options)  # type: ignore[arg-type]
    assert raised.value.field == name
    assert len(str(raised.value)) < 200


def test_numbers_within_the_bounds_are_taken() -> None:
    good = {"seed": 2**63 - 1, "max_seconds": 0, "fraction": 1, "max_steps": 1, "epochs": 10**6}
    resolve(Request(model="proformer", task="dream", **good))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [NINES, "9" * 5000, 10**400, -(10**30)])
def test_settings_have_no_numbers_of_more_than_63_bits(value: object) -> None:
    with pytest.raises(BenchError, match=r"^recipe\.epochs"):
        typed_value(Recipe, "epochs", value, section="recipe")
