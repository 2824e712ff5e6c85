"""Commands about data: fetch, check, describe, simulate, encode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.common import Commands, Folder, as_json, plugins, print_json
from bench.errors import BenchError


@click.group(cls=Commands)
def data() -> None:
    """Get, simulate and encode data."""


@data.command()
@click.argument("task")
@click.option("--mirror", metavar="URL", help="Fetch URL/NAME in place of the published address.")
@click.option("--from", "source", type=Folder, help="Copy from a folder that has the files.")
@plugins
def get(*, task: str, mirror: str | None, source: Path | None) -> None:
    """Fetch a task's published files into the cache; goes on where it stopped."""
    from bench.console import Console
    from bench.registry import get_task
    from bench.sources.locate import fetch

    folder = fetch(get_task(task), task, Console(), mirror=mirror, source=source)
    click.echo(f"{folder}: complete. `bench run --task {task}` finds it there.")


@data.command("list")
@plugins
@as_json
def list_data(*, as_json: bool) -> None:
    """Show what data is here, where, how large, and how far it was checked."""
    from bench.cli import tables
    from bench.sources import inventory

    rows = inventory.listed()
    print_json(rows) if as_json else tables.stock_table(rows)


@data.command()
@click.argument("task", required=False)
@plugins
@as_json
def verify(*, task: str | None, as_json: bool) -> None:
    """Read every fetched file again and hold it against its hash, published or recorded."""
    from bench.cli import tables
    from bench.sources import inventory

    rows = inventory.verified(task)
    print_json(rows) if as_json else tables.checked_table(rows)
    wrong = sum(row["fault"] is not None for row in rows)
    if wrong:
        raise BenchError(f"{wrong} of {len(rows)} files are not what they should be.")


@data.command()
@click.argument("task")
@click.option("--data", "directory", type=Folder, help="Folder of the data.  [as for `bench run`]")
@click.option("--test-data", type=Folder, help="Folder of the test files, if another.")
@click.option("--set", "assignments", multiple=True, metavar="task.FIELD=VALUE")
@click.option("--out", type=Folder, help="Write a page with pictures to this file.")
@plugins
@as_json
def describe(
    *,
    task: str,
    directory: Path | None,
    test_data: Path | None,
    assignments: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Describe a task's data: lengths, letters, targets, repeats, and what leaks into the test."""
    from bench.config import override, split_assignments
    from bench.console import Console
    from bench.describe import facts, page
    from bench.registry import get_task
    from bench.sources.locate import find, load

    if out is not None:
        page.check_page_packages()
    values = split_assignments(assignments)["task"]
    task_class = get_task(task)
    instance = task_class(override(task_class.Options(), values, section="task"))
    folder = find(task_class, task, directory)
    found = facts.describe(load(instance, task, folder, test_data, Console()), instance)
    if out is not None:
        page.write_page(found, out)
        click.echo(f"{out}: open it in a browser.", err=True)
    if as_json:
        click.echo(facts.as_json(found))
    else:
        from bench.cli.tables import description_tables

        description_tables(found)


@data.group(cls=Commands)
def build() -> None:
    """Build a data set from raw genomic files."""


@build.command()
@click.option("--signal", type=Folder, required=True, help="A bigWig.")
@click.option("--peaks", type=Folder, required=True, help="BED or narrowPeak; summits count.")
@click.option("--genome", type=Folder, required=True, help="FASTA, plain or gzipped; no index.")
@click.option("--blacklist", type=Folder, help="BED of places to avoid.")
@click.option("--out", type=Folder, required=True, help="A new folder.")
@click.option("--windows", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--width", type=click.IntRange(1), default=100, show_default=True, help="Letters.")
@click.option(
    "--center",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Letters in the middle of a window whose mean signal is the target.",
)
@click.option(
    "--flank",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="Letters on each side of a summit where windows lie.",
)
@click.option(
    "--background",
    type=click.FloatRange(0, 0.9),
    default=0.0,
    show_default=True,
    help="Share of windows away from all peaks.",
)
@click.option(
    "--transform", type=click.Choice(["none", "log1p", "asinh"]), default="none", show_default=True
)
@click.option(
    "--split",
    type=click.Choice(["chromosome", "paper"]),
    default="chromosome",
    show_default=True,
    help="Whole chromosomes or blocks held out, or 20% at random, which leaks.",
)
@click.option(
    "--chromosomes",
    type=click.Choice(["as-is", "add-chr", "drop-chr"]),
    default="as-is",
    show_default=True,
    help="How names in the peaks are changed.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@as_json
def atac(*, out: Path, as_json: bool, **options: Any) -> None:
    """Draw windows around peaks; the target is the mean signal of their central letters."""
    from bench.console import Console
    from bench.genomics import BuildOptions
    from bench.genomics import build as build_windows

    manifest = build_windows(BuildOptions(**options), out, Console(quiet=as_json))
    if as_json:
        print_json(manifest)
    else:
        click.echo(f"{out}: {manifest['windows']['written']:,} windows. Use it by --data {out}.")


@data.command()
@click.argument("task")
@click.option("--rows", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=Folder, required=True, help="A new folder.")
@plugins
@as_json
def simulate(*, task: str, rows: int, seed: int, out: Path, as_json: bool) -> None:
    """Write simulated raw files in a task's own layout."""
    from bench.registry import get_task
    from bench.sources.locate import write_simulation

    facts = write_simulation(get_task(task), out, rows=rows, seed=seed)
    if as_json:
        print_json(facts)
    else:
        click.echo(f"{out}: SIMULATED {task}")
        for fact, value in facts.items():
            click.echo(f"  {fact.replace('_', ' ')}: {value}")


@data.command()
@click.argument("task")
@click.option("--data", "directory", type=Folder, help="Folder of the raw files.")
@click.option("--test-data", type=Folder, help="Folder of the test files, if another.")
@click.option("--set", "assignments", multiple=True, metavar="task.FIELD=VALUE")
@click.option("--out", type=Folder, required=True, help="A new folder.")
@plugins
def encode(
    *,
    task: str,
    directory: Path | None,
    test_data: Path | None,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """Encode raw files for machines that have neither polars nor the files."""
    from bench.config import override, split_assignments
    from bench.console import Console
    from bench.registry import get_task
    from bench.sources.locate import find, load

    if out.exists():
        raise BenchError(f"--out {out} exists. Name a new folder.")
    values = split_assignments(assignments)["task"]
    task_class = get_task(task)
    options = override(task_class.Options(), values, section="task")
    folder = find(task_class, task, directory)
    dataset = load(task_class(options), task, folder, test_data, Console())
    dataset.save(out)
    click.echo(f"{out}: {dataset.name}, fingerprint {dataset.fingerprint}. Use it by --data {out}.")
