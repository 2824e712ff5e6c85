"""Results beside each other: a leaderboard, and two runs compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import paths
from bench.api.results import Run
from bench.console import SILENT, Console

if TYPE_CHECKING:
    import polars

    from bench.data.dataset import Dataset
    from bench.leaderboards.board import Leaderboard
    from bench.leaderboards.compare import RunComparison
    from bench.task import Task

_RESAMPLES = 10_000


@dataclass(frozen=True, repr=False)
class Ranking:
    """The models of a task in order, with what is known of the order.

    Attributes:
        board: Everything that tables and pages show.
    """

    board: Leaderboard

    def table(self) -> polars.DataFrame:
        """Return a table: a row a model, best first, with interval, ranks, scores and cost."""
        import polars

        from bench.leaderboards.output.formats import flat

        rows = [flat(row, self.board) for row in self.board.rows]
        return polars.from_dicts(rows, infer_schema_length=None) if rows else polars.DataFrame()

    def write_site(self, directory: str | Path) -> Path:
        """Write the leaderboard as pages that need no server; return the first page.

        Raises:
            BenchError: The folder cannot be written, or holds something else.
        """
        from bench.leaderboards.output.site import write_site

        write_site(self.board, Path(directory))
        return Path(directory) / "index.html"

    def markdown(self) -> str:
        """Return the table as Markdown, with notes on how to read it below."""
        from bench.leaderboards.output.formats import board_markdown

        return board_markdown(self.board)

    def __repr__(self) -> str:
        models = ", ".join(row.group.label for row in self.board.rows) or "no results"
        return f"Ranking({self.board.data!r} by {self.board.primary}: {models})"

    def _repr_html_(self) -> str:
        return str(self.table()._repr_html_())


def leaderboard(
    task: str | type[Task] | Dataset,
    *,
    data: str | Path | None = None,
    simulated: bool = False,
    score: str | None = None,
    protocol: str | None = None,
    models: Iterable[str] = (),
    group_by: Iterable[str] = (),
    fingerprint: str | None = None,
    task_options: Mapping[str, object] | None = None,
    resamples: int = _RESAMPLES,
    runs_dir: str | Path | None = None,
    console: Console = SILENT,
) -> Ranking:
    """Return the results on a task in order, with what is known of the order.

    Args:
        task: Task, as for :func:`bench.run`.
        data: Folder of the test rows; as for :func:`bench.run` if None.
        simulated: Whether to rank the results on the simulated assay instead.
        score: Score that ranks, such as "all/pearson"; the task's primary one if None.
        protocol: Recipe that results were trained by: "standard", "paper" or "open"; any if None.
        models: Names of the models to rank; all if empty.
        group_by: Settings that keep results apart, such as "model.dim"; others are averaged over.
        fingerprint: Fingerprint of the training rows; that of most results if None.
        task_options: Options of the task that change the test rows.
        resamples: Number of resamples of the bootstrap.
        runs_dir: Folder of all runs; ``$BENCH_HOME``, else ./runs, if None.
        console: Console that tells what reading the test rows takes.

    Raises:
        BenchError: There are no results, or no test rows to resample.
    """
    from bench.api.plugins import task_name
    from bench.config import spell
    from bench.leaderboards.board import make_leaderboard
    from bench.leaderboards.selection import Filters

    found = make_leaderboard(
        task_name(task),
        home=paths.runs_dir(None if runs_dir is None else Path(runs_dir)),
        filters=Filters(
            track=protocol,
            models=tuple(models),
            fingerprint=fingerprint,
            group_by=tuple(group_by),
        ),
        options={name: spell(value) for name, value in (task_options or {}).items()},
        simulated=simulated,
        data=None if data is None else Path(data),
        score=score,
        resamples=resamples,
        console=console,
    )
    return Ranking(found)


def compare(
    first: Run | str | Path,
    second: Run | str | Path,
    *,
    task: str | None = None,
    data: str | Path | None = None,
    subset: str = "all",
    resamples: int = _RESAMPLES,
    runs_dir: str | Path | None = None,
    console: Console = SILENT,
) -> RunComparison:
    """Return the differences of two runs, how sure they are, and a verdict in words.

    Args:
        first: One run, or its folder or name.
        second: The other.
        task: Task, where it is a table that has moved.
        data: Folder of the test rows; the one where the first run had them if None.
        subset: Subset in which to look for the sequences that the runs disagree on.
        resamples: Number of resamples of the bootstrap.
        runs_dir: Folder of all runs; ``$BENCH_HOME``, else ./runs, if None.
        console: Console that tells what reading the test rows takes.

    Raises:
        BenchError: A run cannot be found or compared; what differs is named.
    """
    from bench.leaderboards.compare import compare_runs

    names = [str(run.path) if isinstance(run, Run) else str(run) for run in (first, second)]
    return compare_runs(
        *names,
        home=paths.runs_dir(None if runs_dir is None else Path(runs_dir)),
        task_name=task,
        data=None if data is None else Path(data),
        subset=subset,
        resamples=resamples,
        console=console,
    )
