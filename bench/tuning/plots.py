"""The plots of a study, as HTML pages that need no server and no network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna import visualization
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study

from bench.atomic import write_text
from bench.extras import needed
from bench.inert import for_plotly, for_terminal
from bench.tuning.summary import ranked

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_OBJECTIVE = "validation Pearson"
_OWN = ("<br>", "<extra></extra>")  # tags that Optuna writes
# An explicit list: some of plotly's default buttons open other sites, and its logo is a link.
_OPTIONS = {
    "displaylogo": False,
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
}
# The page is one file: nothing is fetched, whatever plotly.js makes of a text.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'\">"
)


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
            figure.update_layout(title=f"{study.study_name}: {name}")
            pages.append(folder / f"{name}.html")
            write_text(pages[-1], _page(figure))
    return pages


def _page(figure: Figure) -> str:
    """Return a figure as a page that draws its texts unchanged."""
    from plotly.io import to_html

    page = to_html(_inert(figure.to_dict()), config=_OPTIONS, validate=False)
    return str(page).replace("<head>", f"<head>{_POLICY}", 1)


def _inert(value: Any) -> Any:
    """Return nested values of a figure, with every text of a study escaped for plotly.js."""
    if isinstance(value, Mapping):
        return {name: _inert(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_inert(item) for item in value]
    if not isinstance(value, str):
        return value
    text = for_plotly(for_terminal(value))
    for tag in _OWN:
        text = text.replace(for_plotly(tag), tag)
    return text
