"""The ``bench`` command: parses, calls, prints. Whatever is heavy is imported by the command."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

import bench
from bench.cli import data, reports, training
from bench.cli.options import Commands
from bench.errors import BenchError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Train, score and honestly rank networks that read DNA and predict a number."""


for command in (
    *(training.run, training.score, training.predict, training.demo),
    *(reports.runs, reports.models, reports.tasks),
    *(data.data, reports.sync, reports.ui),
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line; a user's mistake is one line and exit status 2."""
    if (os.cpu_count() or 1) <= 4:
        # OpenMP threads that spin while they wait make a step ten times slower as soon as another
        # program wants one of few cores. Read when torch is loaded, so it is set here.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = cli.main(prog_name="bench", standalone_mode=False)
    except BenchError as error:
        click.echo(f"bench: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
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
        click.echo(f"bench: {error.filename or 'output'}: {error.strerror or error}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
