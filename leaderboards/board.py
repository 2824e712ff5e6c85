"""A leaderboard: the models of one task in order of a score, with intervals and comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.console import SILENT, Console
from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.leaderboards.artifacts import stored_predictions
from bench.leaderboards.entries import Entry, read_entries
from bench.leaderboards.ranking import Board, RankedModel, rank
from bench.leaderboards.selection import Filters, Group, Selection, select
from bench.leaderboards.statistics.bootstrap import RESAMPLES
from bench.leaderboards.statistics.clusters import link_equal
from bench.leaderboards.statistics.sample_cache import cached_samples
from bench.leaderboards.statistics.sufficient_statistics import make_resampling_plan
from bench.metrics import STANDARD, Metric
from bench.paths import cache_dir
from bench.registry import get_task
from bench.scoring.comparability import available_parts
from bench.scoring.open_test import OpenTest, open_test
from bench.task import ScoreInfo, Task


@dataclass(frozen=True)
class Row:
    """One row of the leaderboard: a model.

    Attributes:
        ranked: Rank and intervals of the model.
        group: Runs of the model.
    """

    ranked: RankedModel
    group: Group

    def mean(self, metric: str) -> float:
        """Return the mean of a logged metric over the model's runs; NaN if a run has none."""
        values = [entry.figures.get(metric, math.nan) for entry in self.group.entries]
        return sum(values) / len(values)

    @property
    def newest(self) -> Entry:
        """The model's newest run."""
        return self.group.entries[0]

    @property
    def tuned(self) -> str:
        """Trials and hours of the search for the model's settings; empty if none is recorded."""
        tags = self.newest.tags
        if "tuned.trials" not in tags:
            return ""
        try:
            hours = f"{float(tags['tuned.device_hours']):.3g}"
        except (KeyError, ValueError):  # another program wrote the tags
            hours = "?"
        return f"{tags['tuned.trials']} trials, {hours} h"


@dataclass(frozen=True)
class Leaderboard:
    """All values that a table or a page of a leaderboard shows.

    Attributes:
        task: Name of the task as typed, or a table's path.
        data: Name that results are filed under.
        task_class: Class of the task.
        test: The test rows.
        rows: Rows of the leaderboard, the best first.
        board: Comparisons of all pairs; None where no model ranks.
        selection: Runs that rank, and runs that are excluded.
        primary: Name of the score that ranks.
        part: Part of the test rows that is scored, such as "private".
        second: Name of a score that a table shows beside it; None for none.
        remarks: Remarks on the subsets of the test rows, one line each.
    """

    task: str
    data: str
    task_class: type[Task]
    test: TestSet
    rows: tuple[Row, ...]
    board: Board | None
    selection: Selection
    primary: str
    part: str
    second: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def score(self) -> ScoreInfo:
        """The score that ranks."""
        return self.task_class.score_info(self.primary)


def make_leaderboard(
    task_name: str,
    *,
    home: Path,
    filters: Filters,
    options: Mapping[str, str],
    simulated: bool = False,
    data: Path | None = None,
    score: str | None = None,
    resamples: int = RESAMPLES,
    console: Console = SILENT,
) -> Leaderboard:
    """Read the results of a task and rank them.

    Args:
        task_name: Name of the task, or a table's path.
        home: Folder of all runs.
        filters: Filters of the runs to show.
        options: Options of the task, where they change the test rows.
        simulated: True to rank results on the simulated assay, which never share a leaderboard
            with real ones.
        data: Folder of the test rows; as for ``bench run`` if None.
        score: Name of the score to rank by, such as "all/mse"; the task's primary one if None.
        resamples: Number of resamples of the bootstrap.
        console: Console that shows the progress of reading the test rows.

    Raises:
        BenchError: There are no results, or no test rows to resample.
    """
    task_class = get_task(task_name)
    name = task_class.filed_as(task_name) + ("-simulated" if simulated else "")
    entries = read_entries(home, name, console)
    if data is None and simulated:
        data = _simulated_folder(task_name, entries)
    opened = open_test(task_name, options=options, data=data, console=console)
    here = replace(opened.comparability(), data=None)
    selection = select(entries, here, filters)
    selection = _with_predictions(selection, len(opened.test), console)
    primary, missing = score or task_class.card.primary, opened.test.missing
    if score is None and missing:
        raise BenchError(
            f"{opened.folder}: {' and '.join(missing.values())} missing, so there is no {primary}.",
            hint={"score": f"all/{STANDARD[0].name}"},
        )
    rows, board = _ranked(opened, selection, primary, resamples)
    assert here.rows is not None, opened.folder
    return Leaderboard(
        task=task_name,
        data=name,
        task_class=task_class,
        test=opened.test,
        rows=rows,
        board=board,
        selection=selection,
        primary=primary,
        part=here.rows,
        second=_second(opened.task, primary),
        remarks=opened.task.remarks(opened.test, here.rows),
    )


def _with_predictions(selection: Selection, rows: int, console: Console) -> Selection:
    """Return a selection in which the runs without readable predictions are excluded.

    They are read twice, now and when they are ranked, because all of them need not fit in memory.
    """
    excluded = list(selection.excluded)
    groups = []
    for group in selection.groups:
        kept = []
        for entry in group.entries:
            try:
                stored_predictions(entry, rows)
                kept.append(entry)
            except BenchError as error:
                console.warn(f"run {error}")
                excluded.append((entry, "no predictions to rank"))
        if kept:
            groups.append(replace(group, entries=tuple(kept)))
    return replace(selection, groups=tuple(groups), excluded=tuple(excluded))


def _simulated_folder(task_name: str, entries: Sequence[Entry]) -> Path:
    """Return the folder of the simulated test rows that the newest run used.

    Raises:
        BenchError: No run has such a folder on this machine.
    """
    for entry in entries:
        folder = Path(entry.tags.get("test_folder", ""))
        if folder.is_absolute() and folder.is_dir():
            return folder
    raise BenchError(
        f"the simulated test rows of '{task_name}' are not here. Name them by {argument('data')}."
    )


def _second(task: Task, primary: str) -> str | None:
    """Return the score after the primary one in the task's own order; None for no such score."""
    further = [metric for metric in task.all_metrics() if metric not in STANDARD]
    names = [f"all/{metric.name}" for metric in (*further, *STANDARD)]
    for order in (list(task.overall_scores({})), names):
        if primary in order[:-1]:
            return order[order.index(primary) + 1]
    return None


def _ranked(
    opened: OpenTest, selection: Selection, score: str, resamples: int
) -> tuple[tuple[Row, ...], Board | None]:
    if not selection.groups:
        return (), None
    task, test = opened.task, opened.test
    plan = make_resampling_plan(
        test.target,
        task.scoring_groups(test, available_parts(task, test)[0]),
        [link_equal(test.sequences.hashes()), task.linked_rows(test, opened.folder)],
        _needed(task, score),
    )
    entries = [entry for group in selection.groups for entry in group.entries]
    resampled = cached_samples(
        cache_dir(),
        plan,
        ((entry.id, stored_predictions(entry, len(test))) for entry in entries),
        score=score,
        scored=f"{type(task).__name__} {task.card.version}",
        combine=task.overall_scores,
        resamples=resamples,
    )
    board = rank(
        resampled,
        score,
        {e.id: g.label for g in selection.groups for e in g.entries},
        score=task.score_info(score),
    )
    groups = {group.label: group for group in selection.groups}
    return tuple(Row(place, groups[place.model]) for place in board.ranked_models), board


def _needed(task: Task, score: str) -> tuple[Metric, ...]:
    """Return the metrics to resample: the standard ones, and those that the score needs."""
    wanted = score.rpartition("/")[2]
    metrics = task.all_metrics()
    if wanted not in {metric.name for metric in metrics}:  # an overall score may use any metric
        return metrics
    return tuple(metric for metric in metrics if metric in STANDARD or metric.name == wanted)
