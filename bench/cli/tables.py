"""Tables for a terminal, or plain text for a file or a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.cli.columns import print_table
from bench.inert import for_terminal
from bench.metrics import STANDARD
from bench.registry import get_task

if TYPE_CHECKING:
    from bench.describe.facts import Description
    from bench.leaderboards.board import Leaderboard
    from bench.leaderboards.compare import RunComparison
    from bench.metrics import Metric
    from bench.results.manifest import Manifest
    from bench.scoring.scorer import Scores
    from bench.tuning.summary import Summary


def print_line(text: str) -> None:
    """Print a line to standard output; names of other people cannot act on the terminal."""
    print(for_terminal(text))


def run_scores_table(manifest: Manifest) -> None:
    """Print the scores of one run: a row for each set of sequences, a column for each metric."""
    values, scored = manifest.metrics, manifest.scored
    counts: dict[str, int | None] = {
        name: n for name, n in manifest.data.rows.items() if name == "validation"
    }
    counts |= {f"test/{name}": n for name, n in scored.n.items()}
    metrics = get_task(manifest.task.name).all_metrics()
    rows = [
        [
            key.removeprefix("test/"),
            "-" if n is None else f"{n:,}",
            *(_cell(values.get(f"{key}/{m.name}"), m.form) for m in metrics),
        ]
        for key, n in counts.items()
    ]
    overall = {
        key.removeprefix("test/"): value
        for key, value in values.items()
        if key.startswith("test/") and key.count("/") == 1
    }
    title = f"{manifest.data.name}, {scored.rows} rows"
    _print_scores(title, metrics, rows, overall, scored.problems)


def scores_table(data: str, scores: Scores) -> None:
    """Print scores: a row for each subset, a column for each metric, then the overall scores.

    Args:
        data: Name of the data.
        scores: Scores.
    """
    if members := scores.members:
        print_line(f"ensemble, the mean of {len(members)} runs: {', '.join(members)}")
    rows = [
        [name, *("-" for _ in ("n", *scores.metrics))]
        if found is None
        else [name, f"{found.n:,}", *(_cell(found.values[m.name], m.form) for m in scores.metrics)]
        for name, found in scores.subsets.items()
    ]
    title = f"{data}, {scores.rows} rows"
    _print_scores(title, scores.metrics, rows, scores.overall, scores.problems)


def _print_scores(
    title: str,
    metrics: Sequence[Metric],
    rows: Sequence[Sequence[str]],
    overall: Mapping[str, float | None],
    problems: Iterable[str],
) -> None:
    columns = [title, "n", *(metric.label for metric in metrics)]
    print_table(columns, rows, numbers=columns[1:])
    for name, value in overall.items():
        print_line(f"{name.replace('_', ' ').title()}: {_cell(value)}")
    for problem in problems:
        print_line(f"  {problem}")


def runs_table(manifests: Iterable[Manifest]) -> None:
    """Print a row for each run: model, scores, parameters, speed and name."""
    metrics = {
        f"{rows} {metric.symbol}": f"{key}/{metric.name}"
        for rows, key in (("validation", "validation"), ("test", "test/all"))
        for metric in STANDARD
    }
    rows = []
    for manifest in manifests:
        parameters = manifest.model.parameters
        rows.append(
            [
                manifest.model.name or "?",
                *(_cell(manifest.metrics.get(name)) for name in metrics.values()),
                "-" if parameters is None else f"{parameters:,}",
                _speed(manifest),
                manifest.id,  # contains the name of the data and the seed
            ]
        )
    numbers = [*metrics, "parameters", "sequences/s"]
    print_table(["model", *numbers, "run"], rows, numbers=numbers)


def _speed(manifest: Manifest) -> str:
    """Return the training speed of a run (sequences/s), or the reason why it has none."""
    if manifest.status != "finished":
        return manifest.status
    if not manifest.verified:
        return "ensemble" if manifest.model.members else "unverified"
    speed = manifest.cost.sequences_per_second
    return "-" if speed is None else f"{speed:,.0f}"


def _cell(value: float | None, form: str = ".4f") -> str:
    """Return a score as text; a dash if it does not exist."""
    return "-" if value is None or value != value else format(value, form)


def inventory_table(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print a row for each data file: task, name, state, size and path."""
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
    """Print a row for each checked file: size, hash, the kind of hash compared, and the result."""
    columns = ["task", "file", "size", "sha256", "compared with", "result"]
    print_table(
        columns,
        [
            [
                row["task"],
                row["name"],
                "-" if row["size"] is None else _bytes(row["size"]),
                (row["sha256"] or "-")[:12],
                row["against"],
                row["fault"] or "correct",
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


def plans_table(plans: Sequence[Mapping[str, Any]]) -> None:
    """Print the cost of a run: a row for each quantity, a column for each number of devices."""
    columns = [f"{plan['device']['count']} x {plan['device']['name']}" for plan in plans]
    hours, giga = 3600, 1e9
    rows: list[tuple[str, Callable[[Mapping[str, Any]], str]]] = [
        ("sequences at once, per device", lambda plan: f"{plan['rows_at_once']:,}"),
        ("largest number that fits", lambda plan: _known(plan["largest_batch_per_device"], ",.0f")),
        (
            "training GFLOP per sequence",
            lambda plan: _known(plan["training_flops_per_sequence"], ",.3g", giga),
        ),
        ("sequences/s", lambda plan: f"{plan['sequences_per_second']:,.0f}"),
        ("GFLOP/s per device", lambda plan: _known(plan["flops_per_second"], ",.4g", giga)),
        (
            "share of matrix product rate",
            lambda plan: _known(plan["share_of_matmul_rate"], ".0%"),
        ),
        ("peak memory, GB", lambda plan: f"{plan['peak_memory_bytes'] / giga:.2f}"),
        ("steps", lambda plan: f"{plan['plan']['steps']:,}"),
        ("hours", lambda plan: f"{plan['seconds'] / hours:,.3g}"),
        ("device-hours", lambda plan: f"{plan['device_hours']:,.3g}"),
    ]
    model = plans[0]["model"]
    title = f"{model['name']}, {model['parameters']:,} parameters, batch {plans[0]['batch_size']:,}"
    table = [[name, *(show(plan) for plan in plans)] for name, show in rows]
    print_table([title, *columns], table, numbers=columns)


def profile_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the most expensive operations of a training step."""
    columns = ["operation", "calls", "ms per step", "share"]
    table = [
        [row["operation"], f"{row['calls']:,}", f"{row['milliseconds']:.2f}", f"{row['share']:.1%}"]
        for row in rows
    ]
    print_table(columns, table, numbers=columns[1:])


def _known(value: float | None, form: str, unit: float = 1.0) -> str:
    return "-" if value is None else format(value / unit, form)


def leaderboard_table(board: Leaderboard) -> None:
    """Print a leaderboard, the excluded results with reasons, and the published figures."""
    from bench.leaderboards.output import formats
    from bench.leaderboards.published.published import published_comparisons

    shown = formats.filled_columns(board)
    words = ("model", "recipe", "tuned", "date", "run")
    rows = [[cell(row) for cell in shown.values()] for row in board.rows]
    print_line(f"{board.data}, version {board.task_class.card.version}")
    numbers = [name for name in shown if name not in words]
    print_table(list(shown), rows, numbers=numbers, key="model" if "model" in shown else None)
    for entry, reason in board.selection.excluded:
        print_line(f"  excluded: {entry.id}: {reason}")
    for note in formats.board_notes(board):
        print_line(f"  {note}")
    if published := published_comparisons(board):
        headings, lines, below = formats.published_table(published)
        print_table(headings, lines, numbers=["measured", "published", "difference"])
        for note in below:
            print_line(f"  {note}")


def comparison_table(comparison: RunComparison) -> None:
    """Print a run comparison: metrics, the verdict, and the rows of largest disagreement."""
    for name, entry in (("A", comparison.a), ("B", comparison.b)):
        print_line(f"{name}: {entry.name}, {entry.id}")
    columns = [comparison.data, "A", "B", "A - B", "simultaneous 95%", "simultaneous p", "better"]
    rows = [
        [
            d.figure,
            *(_cell(d.a, d.form), _cell(d.b, d.form), f"{d.difference:+{d.form}}"),
            f"{d.low:+{d.form}} to {d.high:+{d.form}}",
            *(f"{d.p:.4f}", d.better or "-"),
        ]
        for d in comparison.differences
    ]
    print_table(columns, rows, numbers=columns[1:6])
    print_line(comparison.verdict)
    for note in comparison.notes:
        print_line(f"  {note}")
    columns = [f"largest disagreements, {comparison.subset}", "truth", "A", "B", "distance"]
    rows = [
        [
            " ".join(f"row {row + 1}" for row in d.rows),
            *(f"{value:.3f}" for value in (d.truth, d.a, d.b, d.apart)),
        ]
        for d in comparison.disagreements
    ]
    print_table(columns, rows, numbers=columns[1:])
    for d in comparison.disagreements:
        for row, sequence in zip(d.rows, d.sequences, strict=True):
            print_line(f"  row {row + 1}: {sequence}")


def description_tables(description: Description) -> None:
    """Print the tables and verdicts of a description of data."""
    from bench.describe.page import tables, verdicts

    title = f"{description.name}, version {description.version}"
    if description.simulated:
        title = f"SIMULATED: {title}"
    print_table([title], [[description.summary], [f"fingerprint {description.fingerprint}"]])
    for name, (columns, rows) in tables(description).items():
        print_table([columns[0] or name, *columns[1:]], rows, numbers=columns[1:])
    print_table(["verdict"], [[text] for text in verdicts(description)])


def study_table(summary: Summary) -> None:
    """Print the summary of a study: trials by state, the best trial, device-hours."""
    from bench.config import spell

    goal = "" if summary.wanted is None else f" of {summary.wanted:,}"
    print_line(f"{summary.name}: {summary.finished:,}{goal} trials finished")
    rows = [[state, f"{count:,}"] for state, count in summary.counts.items()]
    print_table(["trials", "count"], rows, numbers=["count"])
    for limit, count in summary.reasons.items():
        print_line(f"  infeasible by {limit}: {count:,}")
    best = summary.best
    if best is not None:
        values = "  ".join(f"{n}={spell(v)}" for n, v in sorted(best.params.items()))
        print_line(f"best validation Pearson: {_cell(best.value)}, trial {best.number}: {values}")
    print_line(f"device-hours: {summary.device_hours:.2f}")
    if summary.stopped:
        print_line(f"stopped: {summary.stopped}")
