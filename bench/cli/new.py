"""The command that writes a new plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.common import Folder

if TYPE_CHECKING:
    from bench.scaffold import Kind


@click.command()
@click.argument("kind", type=click.Choice(["model", "task"]))
@click.argument("name")
@click.option(
    "--in",
    "parent",
    type=Folder,
    default=Path(),
    help="Folder in which the package's folder is made.  [the current folder]",
)
def new(*, kind: Kind, name: str, parent: Path) -> None:
    """Write a package with a small model or task of your own: a file, its test, its entry point."""
    from bench.scaffold import new_plugin

    folder = new_plugin(kind, name, parent)
    file = folder / f"{name.replace('-', '_')}.py"
    click.echo(f"{file} is a {kind} that works. Next:", err=True)
    click.echo(f"  bench check {file}", err=True)
    click.echo(f"  pip install --editable {folder}", err=True)
