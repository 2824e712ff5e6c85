"""Commands about data: fetch, check, describe, simulate, encode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.common import Commands, Finite, Folder, as_json, plugins, print_json
from bench.errors import BenchError


@click.group(cls=Commands)
def data() -> None:
    """Get, simulate and encode data."""


@data.command()
@click.argument("task")
@click.option(
    "--mirror", metavar="URL", help="Address of a mirror: files are fetched from URL/NAME."
)
@click.option("--from", "source", type=Folder, help="Folder to copy the files from.")
@plugins
def get(*, task: str, mirror: str | None, source: Path | None) -> None:
    """Fetch a task's published files into the cache; a stopped download is continued."""
    from bench.console import Console
    from bench.registry import get_task
    from bench.sources.locate import fetch

    folder = fetch(get_task(task), task, Console(), mirror=mirror, source=source)
    click.echo(f"{folder}: complete. `bench run --task {task}` finds it there.")


@data.command("list")
@plugins
@as_json
def list_data(*, as_json: bool) -> None:
    """List the data files: task, state of checks, size and path."""
    from bench.cli import tables
    from bench.sources import inventory

    rows = inventory.listed()
    print_json(rows) if as_json else tables.inventory_table(rows)


@data.command()
@click.argument("task", required=False)
@plugins
@as_json
def verify(*, task: str | None, as_json: bool) -> None:
    """Read every fetched file again and compare its hash with the published or recorded one."""
    from bench.cli import tables
    from bench.sources import inventory

    rows = inventory.verified(task)
    print_json(rows) if as_json else tables.checked_table(rows)
    wrong = sum(row["fault"] is not None for row in rows)
    if wrong:
        raise BenchError(f"{wrong} of {len(rows)} files are missing or differ from their hash.")


@data.command()
@click.argument("task")
@click.option("--data", "directory", type=Folder, help="Folder of the data.  [as for `bench run`]")
@click.option("--test-data", type=Folder, help="Folder of the test files, if another.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="task.FIELD=VALUE",
    help="Option of the task; may be repeated.",
)
@click.option("--out", type=Folder, help="File for a web page with plots.")
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
    """Describe a task's data: lengths, bases, targets, repeats, and leaks into the test rows."""
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
@click.option("--signal", type=Folder, required=True, help="bigWig file of the signal.")
@click.option(
    "--peaks",
    type=Folder,
    required=True,
    help="BED or narrowPeak file of the peaks; summits are used where given.",
)
@click.option(
    "--genome",
    type=Folder,
    required=True,
    help="FASTA file of the genome, plain or gzipped; no index is needed.",
)
@click.option("--blacklist", type=Folder, help="BED file of regions to avoid.")
@click.option("--out", type=Folder, required=True, help="Path of a new folder.")
@click.option(
    "--windows",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="Number of windows.",
)
@click.option(
    "--width",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Length of a window (nt).",
)
@click.option(
    "--center",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Length of the window's centre (nt), whose mean signal is the target.",
)
@click.option(
    "--flank",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="Distance from a summit (nt) within which windows lie.",
)
@click.option(
    "--background",
    type=Finite(0, 0.9),
    default=0.0,
    show_default=True,
    help="Share of windows that lie away from all peaks.",
)
@click.option(
    "--transform",
    type=click.Choice(["none", "log1p", "asinh"]),
    default="none",
    show_default=True,
    help="Transform of the target.",
)
@click.option(
    "--split",
    type=click.Choice(["chromosome", "paper"]),
    default="chromosome",
    show_default=True,
    help="Rows held out: whole chromosomes or blocks, or 20% at random, which leaks.",
)
@click.option(
    "--chromosomes",
    type=click.Choice(["as-is", "add-chr", "drop-chr"]),
    default="as-is",
    show_default=True,
    help="Change of the chromosome names in the peaks.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the random numbers.",
)
@as_json
def atac(*, out: Path, as_json: bool, **options: Any) -> None:
    """Sample windows around peaks; the target is the mean signal of their centres."""
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
@click.option(
    "--rows",
    type=click.IntRange(1000),
    default=100_000,
    show_default=True,
    help="Number of training rows.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the random numbers.",
)
@click.option("--out", type=Folder, required=True, help="Path of a new folder.")
@plugins
@as_json
def simulate(*, task: str, rows: int, seed: int, out: Path, as_json: bool) -> None:
    """Write simulated raw files in the format of a task."""
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
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="task.FIELD=VALUE",
    help="Option of the task; may be repeated.",
)
@click.option("--out", type=Folder, required=True, help="Path of a new folder.")
@plugins
def encode(
    *,
    task: str,
    directory: Path | None,
    test_data: Path | None,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """Encode raw files for machines that have neither polars nor the raw files."""
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
