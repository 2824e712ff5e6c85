"""Tables for a terminal; plain text where the output is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bench.scoring import Scores


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[str] = ()
) -> None:
    """Print a table to standard output; columns named in ``numbers`` are set flush right."""
    right = set(numbers)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        name = column in right
        table.add_column(column, justify="right" if name else "left", no_wrap=name)
    for row in rows:
        table.add_row(*row)
    # Without a terminal nothing may be cut: a file or a pager has no width.
    width = None if sys.stdout.isatty() else 160
    Console(width=width, highlight=False, markup=False).print(table)


def figures_table(manifest: Mapping[str, Any]) -> None:
    """Print the figures of one run: a row a set of sequences, a column a metric."""
    figures, scored = manifest["metrics"], manifest["scored"]
    counts = {"validation": manifest["data"]["rows"]["validation"]}
    counts |= {f"test/{name}": n for name, n in scored["n"].items()}
    rows = [
        [
            key.removeprefix("test/"),
            "-" if n is None else f"{n:,}",
            figure(figures.get(f"{key}/pearson")),
            figure(figures.get(f"{key}/spearman")),
        ]
        for key, n in counts.items()
    ]
    overall = {
        key.removeprefix("test/"): value
        for key, value in figures.items()
        if key.startswith("test/") and key.count("/") == 1
    }
    title = f"{manifest['data']['name']}, {scored['rows']} rows"
    _print_scores(title, rows, overall, scored["problems"])


def scores_table(data: str, scores: Scores) -> None:
    """Print scores: a row a subset, a column a metric, then the task's overall scores."""
    rows = [
        [name, "-", "-", "-"]
        if found is None
        else [name, f"{found.n:,}", figure(found.pearson), figure(found.spearman)]
        for name, found in scores.subsets.items()
    ]
    _print_scores(f"{data}, {scores.rows} rows", rows, scores.overall, scores.problems)


def _print_scores(
    title: str,
    rows: Sequence[Sequence[str]],
    overall: Mapping[str, float | None],
    problems: Iterable[str],
) -> None:
    columns = [title, "n", "Pearson", "Spearman"]
    print_table(columns, rows, numbers=columns[1:])
    for name, value in overall.items():
        print(f"{name.replace('_', ' ').title()}: {figure(value)}")
    for problem in problems:
        print(f"  {problem}")


def runs_table(manifests: Iterable[Mapping[str, Any]]) -> None:
    """Print runs, one a row: what ran, what came out, what it cost, where it lies."""
    metrics = {
        "validation r": "validation/pearson",
        "validation rho": "validation/spearman",
        "test r": "test/all/pearson",
        "test rho": "test/all/spearman",
    }
    rows = []
    for manifest in manifests:
        figures, model = manifest.get("metrics", {}), manifest.get("model", {})
        parameters = model.get("parameters")
        rows.append(
            [
                model.get("name", "?"),
                *(figure(figures.get(name)) for name in metrics.values()),
                "-" if parameters is None else f"{parameters:,}",
                _speed(manifest),
                manifest["id"],  # holds the data's name and the seed
            ]
        )
    numbers = [*metrics, "parameters", "sequences/s"]
    print_table(["model", *numbers, "run"], rows, numbers=numbers)


def _speed(manifest: Mapping[str, Any]) -> str:
    """Say how fast a run trained, or why there is nothing to say."""
    if manifest["status"] != "finished":
        return str(manifest["status"])
    if not manifest.get("verified", True):
        return "unverified"
    speed = manifest.get("cost", {}).get("sequences_per_second")
    return "-" if speed is None else f"{speed:,.0f}"


def figure(value: float | None) -> str:
    """Format a correlation; a figure that does not exist is a dash."""
    return "-" if value is None or value != value else f"{value:.4f}"


def stock_table(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print data files, one a row: whose, what was checked, how large, where."""
    columns = ["task", "file", "state", "size", "where"]
    print_table(
        columns,
        [
            [
                row["task"],
                row["name"],
                row["kind"],
                _bytes(row["size"]) if row["size"] else "-",
                "-" if row["kind"] == "missing" else row["path"],
            ]
            for row in rows
        ],
        numbers=["size"],
    )


def checked_table(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print checked files, one a row: what they were held against, and what came of it."""
    columns = ["task", "file", "size", "sha256", "held against", "found"]
    print_table(
        columns,
        [
            [
                row["task"],
                row["name"],
                "-" if row["size"] is None else _bytes(row["size"]),
                (row["sha256"] or "-")[:12],
                row["against"],
                row["fault"] or "as it should be",
            ]
            for row in rows
        ],
        numbers=["size"],
    )


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
