"""The ``bench`` command: parses, calls, prints. Whatever is heavy is imported by the command."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

import bench
from bench.cli import data, leaderboard, reports, search, speed, training
from bench.cli.common import Commands, with_options
from bench.cli.environment import set_environment
from bench.errors import BenchError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Train, score and honestly rank networks that read DNA and predict a number."""


for command in (
    *(training.run, training.score, training.predict, training.demo),
    *(search.search, speed.plan, speed.profile),
    *(leaderboard.leaderboard, leaderboard.compare, leaderboard.export, leaderboard.import_),
    *(reports.runs, reports.models, reports.tasks),
    *(data.data, reports.sync, reports.ui),
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line; a user's mistake is one line and exit status 2."""
    set_environment()
    try:
        _run()
    except SystemExit as end:
        ranks = sys.modules.get("bench.training.distributed")
        if ranks is not None and ranks.from_environment().size > 1:
            # Threads of a process group may outlive it, and abort a process that takes itself
            # apart as usual: seen once in forty runs of two ranks.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        raise


def _run() -> NoReturn:
    """Run the command line and exit."""
    try:
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
    except BrokenPipeError:  # `bench … | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # a full disk, a folder one may not read: not ours to trace
        told = BenchError(f"{error.filename or 'output'}: {error.strerror or error}")
        if not _in_rank(told):
            click.echo(f"bench: {told}", err=True)
        sys.exit(2)
    except Exception as error:
        if _in_rank(error):
            sys.exit(1)
        raise
    sys.exit(status if isinstance(status, int) else 0)


def _in_rank(error: Exception) -> bool:
    """Leave the error to the process that started this one as a rank, if it was so."""
    if "TORCHELASTIC_ERROR_FILE" not in os.environ:
        return False
    from bench.training.launch import record

    record(error, with_options(error) if isinstance(error, BenchError) else str(error))
    return True
