"""A leaderboard: the models of one task in order, with what is known of the order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.config import override
from bench.console import SILENT, Screen
from bench.data.dataset import TestSet
from bench.errors import BenchError, argument
from bench.leaderboards.entries import Entry, read_entries, read_predictions
from bench.leaderboards.ranking import Board, Standing, rank
from bench.leaderboards.selection import Filters, Group, Selection, select
from bench.leaderboards.statistics.bootstrap import RESAMPLES
from bench.leaderboards.statistics.clusters import link_equal
from bench.leaderboards.statistics.sample_cache import cached_draws
from bench.leaderboards.statistics.sufficient_statistics import make_design
from bench.paths import cache_dir
from bench.registry import get_task
from bench.scoring.scorer import VERSION
from bench.sources.locate import find, load_test
from bench.task import Task


@dataclass(frozen=True)
class Row:
    """One model on the board.

    Attributes:
        standing: Its place and intervals.
        group: Its runs.
    """

    standing: Standing
    group: Group

    def mean(self, figure: str) -> float:
        """Return the mean of a logged figure over the model's runs; NaN where one lacks it."""
        values = [entry.figures.get(figure, math.nan) for entry in self.group.entries]
        return sum(values) / len(values)

    @property
    def newest(self) -> Entry:
        """The model's last run."""
        return self.group.entries[0]

    @property
    def tuned(self) -> str:
        """What was spent on the search for its settings; empty if nobody says so."""
        tags = self.newest.tags
        if "tuned.trials" not in tags:
            return ""
        hours = float(tags.get("tuned.device_hours", "nan"))
        return f"{tags['tuned.trials']} trials, {hours:.3g} h"


@dataclass(frozen=True)
class Leaderboard:
    """All that a table or a page shows.

    Attributes:
        task: As typed.
        data: What results are filed under.
        task_class: Of the task.
        test: The test rows.
        rows: Best first.
        board: Comparisons of all pairs; None where nothing ranks.
        selection: What ranks, what stands apart.
        primary: The figure that ranks.
    """

    task: str
    data: str
    task_class: type[Task]
    test: TestSet
    rows: tuple[Row, ...]
    board: Board | None
    selection: Selection
    primary: str


def make_leaderboard(
    task_name: str,
    *,
    home: Path,
    filters: Filters,
    options: Mapping[str, str],
    simulated: bool = False,
    data: Path | None = None,
    figure: str | None = None,
    resamples: int = RESAMPLES,
    screen: Screen = SILENT,
) -> Leaderboard:
    """Read results of a task and rank them.

    Args:
        task_name: The task's name, or a table's path.
        home: Folder of all runs.
        filters: What to show.
        options: Of the task, where they change the test rows.
        simulated: Rank results on the simulated assay; they never stand beside real ones.
        data: Folder of the test rows; as for ``bench run`` if None.
        figure: To rank by, such as "all/pearson"; the task's primary one if None.
        resamples: Of the bootstrap.
        screen: Where to tell of what reading the test rows takes.

    Raises:
        BenchError: There are no results, or no test rows to resample.
    """
    task_class = get_task(task_name)
    task = task_class(override(task_class.Options(), options, section="task"))
    name = task_class.filed_as(task_name) + ("-simulated" if simulated else "")
    entries = read_entries(home, name)
    folder = data or _folder(task_class, task_name, entries, simulated=simulated)
    test = load_test(task, task_name, folder, screen)
    selection = select(entries, _lock(task, test), filters)
    primary = figure or task_class.card.primary
    if figure is None and test.missing:
        raise BenchError(
            f"{folder}: {' and '.join(test.missing.values())} missing, so there is no {primary}.",
            hint={"figure": "all/pearson"},
        )
    rows, board = _ranked(task, test, folder, selection, primary, resamples)
    return Leaderboard(task_name, name, task_class, test, rows, board, selection, primary)


def _folder(task: type[Task], task_name: str, entries: Sequence[Entry], *, simulated: bool) -> Path:
    """Find the test rows: a simulated assay's where its newest run has them."""
    if not simulated:
        return find(task, task_name, None)
    for entry in entries:
        folder = Path(entry.tags.get("test_folder", ""))
        if folder.is_absolute() and folder.is_dir():
            return folder
    raise BenchError(
        f"the simulated test rows of '{task_name}' are not here. Name them by {argument('data')}."
    )


def _lock(task: Task, test: TestSet) -> dict[str, str]:
    part = task.row_sets[0]
    if task.lacking(test, part) is not None:
        part = next(part for part in task.row_sets if task.lacking(test, part) is None)
    return {
        "task.version": str(task.card.version),
        "scored.version": str(VERSION),
        "scored.rows": part,
        "scored.test": test.fingerprint,
        "scored.subsets": test.subsets_fingerprint,
    }


def _ranked(
    task: Task,
    test: TestSet,
    folder: Path,
    selection: Selection,
    figure: str,
    resamples: int,
) -> tuple[tuple[Row, ...], Board | None]:
    if not selection.groups:
        return (), None
    design = make_design(
        test.target,
        task.units(test, _lock(task, test)["scored.rows"]),
        [link_equal(test.sequences.hashes()), task.links(test, folder)],
    )
    entries = [entry for group in selection.groups for entry in group.entries]
    draws = cached_draws(
        cache_dir(),
        design,
        ((entry.id, read_predictions(entry)) for entry in entries),
        figure=figure,
        scored=f"{type(task).__name__} {task.card.version}",
        combine=task.overall,
        resamples=resamples,
    )
    board = rank(draws, figure, {e.id: g.label for g in selection.groups for e in g.entries})
    groups = {group.label: group for group in selection.groups}
    return tuple(Row(place, groups[place.model]) for place in board.standings), board
