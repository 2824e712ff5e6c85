"""The plots of a study, as HTML pages that need no server and no network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from optuna import visualization
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study

from bench.extras import needed
from bench.inert import for_terminal
from bench.tuning.summary import ranked

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_OBJECTIVE = "validation Pearson"


def write(study: Study, folder: Path) -> list[Path]:
    """Write plots of history, curves, parallel coordinates and importances; return their files.

    A plot without content is not written: importances need two trials with different scores.

    Raises:
        BenchError: The package that draws the plots is not installed.
    """
    needed("plotly", extra="search", what="a plot of a study")
    trials = ranked(study)
    plots: dict[str, Callable[[], Figure]] = {}
    if trials:
        plots["history"] = lambda: visualization.plot_optimization_history(
            study, target_name=_OBJECTIVE
        )
        plots["curves"] = lambda: visualization.plot_intermediate_values(study)
        plots["parallel-coordinates"] = lambda: visualization.plot_parallel_coordinate(
            study, target_name=_OBJECTIVE
        )
    if len({trial.value for trial in trials}) > 1:
        plots["importances"] = lambda: visualization.plot_param_importances(
            study, target_name=_OBJECTIVE
        )
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        for name, plot in plots.items():
            figure = plot()
            # plotly.js takes a title for HTML of a few tags, links among them.
            figure.update_layout(title=f"{escape(for_terminal(study.study_name))}: {name}")
            pages.append(folder / f"{name}.html")
            figure.write_html(pages[-1], include_plotlyjs=True)
    return pages
