"""The options of a run on the command line, made from the table in :mod:`bench.results.options`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

import click

from bench.cli.common import F, Folder, Number, Whole, plugins
from bench.config import split_assignments
from bench.errors import BenchError
from bench.results.options import Request, RunOption, run_options

_SIMULATED_ROWS = 100_000
_SIMULATE = click.option(
    "--simulate", is_flag=True, help="Use a simulated assay in place of real data."
)
_OF_RUN_ALONE = ("weights", "max_seconds", "checkpoint_minutes", "resume", "force")


def takes(*names: str, **meanings: str) -> Callable[[F], F]:
    """Return a decorator that adds options of a run to a command.

    Args:
        names: Names in the table of the options to add; ``simulate_rows`` adds ``--simulate``, too.
        meanings: Help texts in place of the table's, by name.
    """

    def add(command: F) -> F:
        table = {known.name: known for known in run_options()}
        for name in reversed(names):
            command = _click_option(table[name], meanings.get(name))(command)
            if name == "simulate_rows":
                command = _SIMULATE(command)
        return command

    return add


def takes_a_run(command: F) -> F:
    """Add the options of a run to a command, except those about repeating and stopping it."""
    named = [known for known in run_options() if known.flag is not None]
    shared = [known.name for known in named if known.name not in _OF_RUN_ALONE]
    return takes(*shared)(plugins(command))


def takes_all_of_a_run(command: F) -> F:
    """Add every option of a run to a command."""
    return takes(*(known.name for known in run_options() if known.flag))(plugins(command))


def make_request(
    *, model: str | None, task: str | None, simulate: bool, overrides: tuple[str, ...], **typed: Any
) -> Request:
    """Return the request for the values of :func:`takes_a_run`'s options.

    Raises:
        BenchError: The model or the task is missing, or options contradict each other.
    """
    if model is None or task is None:
        missing = "--model" if model is None else "--task"
        raise BenchError(f"{missing} is missing: bench run --model NAME --task NAME.")
    rows = typed.pop("simulate_rows")
    if rows is not None and not simulate:
        raise BenchError("--rows goes with --simulate. For a part of real data: --fraction.")
    return Request(
        model=model,
        task=task,
        overrides=split_assignments(overrides),
        simulate_rows=(rows or _SIMULATED_ROWS) if simulate else None,
        **typed,
    )


def typed_options(ctx: click.Context) -> list[str]:
    """Return the typed options that a resumed run has recorded already."""
    here = {known.name for known in run_options() if not known.decides} - {"download", "force"}
    return [
        option.opts[0]
        for option in ctx.command.params
        if (option.name in _names() or option.name == "simulate")
        and option.name not in here
        and ctx.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
    ]


def only_local(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the options that do not decide the result of a run."""
    local = {known.name for known in run_options() if not known.decides} - {"download"}
    return {name: value for name, value in typed.items() if name in local}


@cache
def _names() -> frozenset[str]:
    return frozenset(known.name for known in run_options())


def _click_option(known: RunOption, meaning: str | None) -> Callable[[F], F]:
    """Return the click option for an entry of the table."""
    kind = _kind(known.name)
    declared: dict[str, Any] = {"help": meaning or known.meaning}
    if known.name == "overrides":
        declared |= {"multiple": True}
    elif kind is bool:
        declared |= {"is_flag": True}
    else:
        declared |= {"type": _click_type(known, kind), "show_default": known.shown}
        declared |= {"default": known.default if known.shown else None}
    if known.metavar is not None:
        declared |= {"metavar": known.metavar}
    if known.name == "max_seconds":
        declared |= {"callback": _seconds}
    return click.option(str(known.flag), known.name, **declared)


def _seconds(ctx: click.Context, option: click.Parameter, minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60


def _kind(name: str) -> Any:
    """Return the type of an option's value, without None."""
    hint = get_type_hints(Request)[name]
    arms = [arm for arm in get_args(hint) if arm is not NoneType]
    return arms[0] if NoneType in get_args(hint) else hint


def _click_type(known: RunOption, kind: Any) -> click.ParamType[Any]:
    if known.name == "resume":
        return click.STRING
    if kind is int:
        low, high = (None if end is None else int(end) for end in (known.low, known.high))
        return Whole(low, high)
    if kind is float:
        return Number(known.low, known.high, min_open=known.high is not None)
    return click.STRING if kind is str else Folder
