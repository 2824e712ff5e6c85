"""The command that checks models and tasks before anybody trains them."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.common import Folder, as_json, plugins, print_json
from bench.errors import BenchError
from bench.inert import for_terminal

if TYPE_CHECKING:
    from bench.contract.report import Finding, Report
    from bench.contract.targets import Target

_OF_PYTEST = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")  # for the user's own tests


@click.command()
@click.argument("what", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Check all registered models and tasks.")
@click.option("--quick", is_flag=True, help="Leave out what takes long: compiling a model.")
@click.option("--data", type=Folder, help="Folder of a task's files; else they are simulated.")
@plugins
@as_json
def check(
    *, what: tuple[str, ...], everything: bool, quick: bool, data: Path | None, as_json: bool
) -> int:
    """Find what will go wrong later in a model or a task, in about a minute.

    WHAT is a name, my_model.py, my_model.py:MyNet, or the file of a table. The exit status is 1 if
    a check fails.
    """
    targets = _targets(what, everything)
    if data is not None and [target.kind for target in targets] != ["task"]:
        raise BenchError("--data names the files of one task. Name this task.")
    reports = [_report(target, data, quick=quick, quiet=as_json) for target in targets]
    if as_json:
        values: list[dict[str, Any]] = [report.as_json() for report in reports]
        print_json(values[0] if len(what) == 1 == len(values) else values)
    return 0 if all(report.passed for report in reports) else 1


def _targets(what: tuple[str, ...], everything: bool) -> list[Target]:
    from bench.contract.targets import every, find

    if everything == bool(what):
        raise BenchError("bench check takes a name or a file, or --all.")
    return every() if everything else [target for text in what for target in find(text)]


def _report(target: Target, data: Path | None, *, quick: bool, quiet: bool) -> Report:
    """Check one model or task, and print a line for every check."""
    from bench.contract.suite import check as checked

    if not quiet:
        click.echo(f"{target.kind} {for_terminal(target.name)}")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as cache,
        _surroundings(cache if data is None and target.simulates else None),
    ):
        if target.kind == "model":
            logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # a check tells of these
            _start_server()
        report = checked(target, full=not quick, data=data, told=_silent if quiet else _tell)
    if not quiet:
        click.echo(f"{_summary(report)}\n")
    return report


def _start_server() -> None:
    """Start the server of a model's processes; Ctrl-C in the terminal is for this process alone."""
    from multiprocessing import resource_tracker

    from bench.contract import ranks

    resource_tracker.ensure_running()  # first: its start unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        ranks.prepare()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _surroundings(cache: str | None) -> Iterator[None]:
    """Change the environment for a block: pytest without options, another cache if one is given.

    Processes that start in it import nothing from the current folder, such as a user's torch.py.
    """
    before = dict(os.environ)
    for name in _OF_PYTEST:
        os.environ.pop(name, None)
    os.environ["PYTHONSAFEPATH"] = "1"
    if cache is not None:  # what is read of simulated files is not kept
        os.environ["BENCH_CACHE"] = cache
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _silent(found: Finding) -> None:
    """Tell nothing: the report is printed as JSON at the end."""


def _tell(found: Finding) -> None:
    """Print the line of a check."""
    outcome = "FAILED" if found.outcome == "failed" else found.outcome
    line = f"  {outcome:<9}{found.check:<34}{for_terminal(found.text)}".rstrip()
    if sys.stdout.isatty():  # folded between words, below the name of the check
        width = shutil.get_terminal_size().columns
        line = textwrap.fill(line, width, subsequent_indent=" " * 13, break_on_hyphens=False)
    click.secho(line, fg="red" if found.outcome == "failed" else None)


def _summary(report: Report) -> str:
    count = sum(found.outcome == "passed" for found in report.findings)
    told = f"{count} checks passed"
    if report.failed:
        told += f", {len(report.failed)} FAILED: {', '.join(report.failed)}"
    return f"  {told} ({report.seconds:.0f} s)"
