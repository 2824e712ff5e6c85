"""Options, output and error texts that several commands share."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.config import LARGEST_WHOLE
from bench.errors import BenchError, first_line, lacks_memory
from bench.inert import for_terminal
from bench.results.options import run_options

F = TypeVar("F", bound=Callable[..., Any])
Folder = click.Path(path_type=Path)


class Whole(click.IntRange):
    """Whole numbers of at most 63 bits: libraries and tables hold no larger ones."""

    name = "integer"  # click says "integer range" of a number without bounds, too

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of a text."""
        number: int = super().convert(_short(value), param, ctx)
        if number > LARGEST_WHOLE:
            self.fail(f"{number} is larger than {LARGEST_WHOLE}.", param, ctx)
        return number


class Number(click.FloatRange):
    """Finite numbers."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number of a text."""
        number: float = super().convert(_short(value), param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def _short(value: Any) -> Any:
    """Return a value of the command line, cut where a message would be a page long."""
    return f"{value[:40]}…" if isinstance(value, str) and len(value) > 100 else value


class Commands(click.Group):
    """A group whose help lists the commands in the order of their definition."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of their definition."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; click would end without a word where a connection breaks."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise BenchError(f"{error.filename or 'a connection'}: {error.strerror}") from error


def renames(**earlier: str) -> type[click.Command]:
    """Return a class of commands that accept earlier names of options, with a notice.

    Args:
        earlier: Text of today's option, by the earlier name.
    """

    class Renaming(click.Command):
        """A command with options that had other names in the last release."""

        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            """Replace earlier names by those of today, then parse."""
            words: list[str] = []
            for word in args:
                name, equals, value = word.partition("=")
                known = name.startswith("--") and earlier.get(name[2:])
                if known:
                    click.echo(f"bench: {name} is called {known} now.", err=True)
                words += [*known.split(), *([value] if equals else [])] if known else [word]
            return super().parse_args(ctx, words)

    return Renaming


def plugins(command: F) -> F:
    """Add the option --plugin, which registers a user's file before the command runs."""

    def load(ctx: click.Context, option: click.Parameter, paths: tuple[Path, ...]) -> None:
        """Register the files; torch is imported only if there are any."""
        if paths:
            from bench.plugin_files import load_plugin_file

            for path in paths:
                load_plugin_file(path)

    return click.option(
        "--plugin",
        type=Folder,
        multiple=True,
        expose_value=False,
        callback=load,
        is_eager=True,
        help="Python file with a model or a task of your own; may be repeated.",
    )(command)


as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
home_option = click.option(
    "--home", type=Folder, help="Folder of all runs.  [BENCH_HOME, else ./runs]"
)


_OPTIONS = {
    **{known.name: known.flag for known in run_options() if known.flag},
    "settings": "--set",
    "simulate_rows": "--simulate",
    "source": "--from",
    "prediction_source": "--source",
    "runs": "RUN",
}
"""Options of the command line whose names differ from those of the arguments."""


def with_options(error: BenchError) -> str:
    """Return the text of an error with arguments written as options of this command line.

    ``batch_per_device=8`` is ``--batch-per-device 8`` here, and ``model.dim=64`` is
    ``--set model.dim=64``.
    """
    return for_terminal(" ".join(error.render(_option).split()))


def _option(name: str, value: str | None) -> str:
    if "." in name:
        plain = value.lower() if value in ("True", "False", "None") else value
        return f"--set {name}" if plain is None else f"--set {name}={plain}"
    option = _OPTIONS.get(name, "--" + name.replace("_", "-"))
    return option if value in (None, "True") else f"{option} {value}"


def as_mistake(error: Exception) -> BenchError | None:
    """Return an error with one line for the user; None for an error that nobody foresaw."""
    if isinstance(error, BenchError):
        return error
    within = getattr(error, "inner_exception", None)
    if isinstance(within, OSError):  # of torch.compile, which cannot write its files
        error = within
    if isinstance(error, OSError):  # a full disk or a missing permission needs no traceback
        reason = error.strerror or first_line(error)
        return BenchError(reason if error.filename is None else f"{error.filename}: {reason}")
    if lacks_memory(error):
        return BenchError(f"out of memory: {first_line(error)}")
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return BenchError("no further thread can be started. Try `ulimit -u`: the limit is low.")
    return None


def print_json(value: Any) -> None:
    """Print a value as JSON; NaN becomes null."""
    from bench.atomic import finite

    click.echo(json.dumps(finite(value), indent=1))


def launched(devices: int, device: str) -> bool:
    """Run this command in one process for each device; return False at once for a single device."""
    from bench.cli.signals import SignalStop
    from bench.training.launch import launch

    return launch(devices, device, sys.argv[1:], SignalStop())
