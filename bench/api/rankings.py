"""Leaderboards and run comparisons."""

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
    """The leaderboard of a task: its results in order, with intervals and ranks.

    Attributes:
        board: Data of all tables and pages.
    """

    board: Leaderboard

    def table(self) -> polars.DataFrame:
        """Return a table with a row for each model, best first: interval, ranks, scores, cost."""
        import polars

        from bench.leaderboards.output.formats import flat

        rows = [flat(row, self.board) for row in self.board.rows]
        return polars.from_dicts(rows, infer_schema_length=None) if rows else polars.DataFrame()

    def write_site(self, directory: str | Path) -> Path:
        """Write the leaderboard as pages that need no server; return the first page.

        Raises:
            BenchError: The folder cannot be written, or holds other files.
        """
        from bench.leaderboards.output.site import write_site

        write_site(self.board, Path(directory))
        return Path(directory) / "index.html"

    def markdown(self) -> str:
        """Return the table as Markdown, followed by notes that explain it."""
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
    """Return the leaderboard of a task.

    Args:
        task: Task, as for :func:`bench.run`.
        data: Folder of the test rows; that of :func:`bench.run` if None.
        simulated: Whether to rank the results on the simulated assay instead.
        score: Score that ranks, such as "all/pearson"; the task's primary one if None.
        protocol: Recipe that results were trained by: "standard", "paper" or "open"; any if None.
        models: Names of the models to rank; all if empty.
        group_by: Settings that separate results, such as "model.dim"; results are averaged over the
            others.
        fingerprint: Fingerprint of the training rows; the most common one if None.
        task_options: Options of the task that change the test rows.
        resamples: Number of bootstrap samples.
        runs_dir: Folder of all runs; ``$BENCH_HOME``, else ./runs, if None.
        console: Console for progress.

    Raises:
        BenchError: There are no results, or the test rows are not on this machine.
    """
    from bench.api.plugins import task_name
    from bench.config import spell
    from bench.leaderboards.board import make_leaderboard
    from bench.leaderboards.selection import Filters

    found = make_leaderboard(
        task_name(task),
        home=paths.runs_dir(paths.as_path(runs_dir)),
        filters=Filters(
            track=protocol,
            models=tuple(models),
            fingerprint=fingerprint,
            group_by=tuple(group_by),
        ),
        options={name: spell(value) for name, value in (task_options or {}).items()},
        simulated=simulated,
        data=paths.as_path(data),
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
    """Return the comparison of two runs: differences of metrics, intervals and a verdict.

    Args:
        first: First run, or its folder or name.
        second: Second run, or its folder or name.
        task: Path of the task's table, if it has moved.
        data: Folder of the test rows; the one that the first run records if None.
        subset: Subset whose sequences with the largest disagreement are listed.
        resamples: Number of bootstrap samples.
        runs_dir: Folder of all runs; ``$BENCH_HOME``, else ./runs, if None.
        console: Console for progress.

    Raises:
        BenchError: A run cannot be found, or the runs cannot be compared; the message names the
            difference.
    """
    from bench.leaderboards.compare import compare_runs

    names = [str(run.path) if isinstance(run, Run) else str(run) for run in (first, second)]
    return compare_runs(
        *names,
        home=paths.runs_dir(paths.as_path(runs_dir)),
        task_name=task,
        data=paths.as_path(data),
        subset=subset,
        resamples=resamples,
        console=console,
    )
