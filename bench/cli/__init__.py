"""The ``bench`` command. Slow imports happen inside the commands that need them."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

import bench
from bench.children import MEETING
from bench.cli import data, leaderboard, reports, search, speed, training
from bench.cli.common import Commands, with_options
from bench.cli.environment import set_environment
from bench.cli.signals import end_with_input
from bench.errors import BenchError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Train, score and rank networks that read DNA and predict a number."""


for command in (
    *(training.run, training.score, training.predict, training.demo),
    *(search.search, speed.plan, speed.profile),
    *(leaderboard.leaderboard, leaderboard.compare, leaderboard.export, leaderboard.import_),
    *(reports.runs, reports.models, reports.tasks),
    *(data.data, reports.sync, reports.ui),
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line; an error of the user gives one line and exit status 2."""
    end_with_input()
    try:
        _run()
    except SystemExit as end:
        ranks = sys.modules.get("bench.training.distributed")
        if ranks is not None and ranks.connected():
            # Threads of a process group may outlive the group and abort the process while it
            # exits normally: seen once in forty runs of two ranks.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        raise


def _run() -> NoReturn:
    """Run the command line and exit."""
    try:
        set_environment()
        status = cli.main(prog_name="bench", standalone_mode=False)
    except BenchError as error:
        if not _in_rank(error):
            click.echo(f"bench: {with_options(error)}", err=True)
        sys.exit(error.exit_status)
    except click.ClickException as error:
        message = error.format_message()
        click.echo(f"bench: {message}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("bench: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # `bench … | head`: the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # a full disk or a missing permission needs no traceback
        plain = BenchError(f"{error.filename or 'output'}: {error.strerror or error}")
        if not _in_rank(plain):
            click.echo(f"bench: {plain}", err=True)
        sys.exit(2)
    except Exception as error:
        if _in_rank(error):
            sys.exit(1)
        raise
    sys.exit(status if isinstance(status, int) else 0)


def _in_rank(error: Exception) -> bool:
    """Record an error for the process that started this rank; return False outside of a rank."""
    if MEETING not in os.environ:
        return False
    from bench.training.launch import record

    record(error)
    return True
