"""The commands, their errors and exit statuses.

Slow imports happen inside the commands that need them.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

import bench
from bench.children import MEETING
from bench.cli import check, data, leaderboard, new, reports, search, speed, training
from bench.cli.common import Commands, as_mistake, with_options
from bench.cli.environment import check_surroundings, set_environment
from bench.cli.signals import end_with_input, interruptible
from bench.cli.streams import ReaderGoneError, prepare_streams
from bench.console import Console

_BUG = (
    "bench: an error that bench does not expect: a bug in bench, in a plugin or in a library. "
    "Please report a bug in bench, with the lines above."
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Train, score and rank networks that read DNA and predict a number."""


for command in (
    *(training.run, training.score, training.predict, training.demo),
    *(search.search, speed.plan, speed.profile, check.check),
    *(leaderboard.leaderboard, leaderboard.compare, leaderboard.export, leaderboard.import_),
    *(reports.runs, reports.models, reports.tasks, new.new),
    *(data.data, reports.sync, reports.ui),
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line; an error of the user gives one line and exit status 2."""
    prepare_streams()
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
        check_surroundings()
        set_environment()
        with interruptible():
            status = cli.main(prog_name="bench", standalone_mode=False)
            sys.stdout.flush()
    except ReaderGoneError as error:  # `bench … | head`
        sys.exit(error.exit_status)
    except click.ClickException as error:
        click.echo(f"bench: {error.format_message()}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("bench: interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        known = as_mistake(error)
        if not _in_rank(known or error):
            if known is None:
                Console().show(error)
                click.echo(_BUG, err=True)
            else:
                click.echo(f"bench: {with_options(known)}", err=True)
        sys.exit(1 if known is None else known.exit_status)
    sys.exit(status if isinstance(status, int) else 0)


def _in_rank(error: Exception) -> bool:
    """Record an error for the process that started this rank; return False outside of a rank."""
    if MEETING not in os.environ:
        return False
    from bench.training.launch import record

    record(error)
    return True
