"""Site of a leaderboard: a folder that a browser opens from disk, without server or network.

index.html         the ranking, its conditions, plots
runs/RUN.html      a card for each run
leaderboard.json   the output of ``--format json``
page.js style.css plotly.min.js
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from bench.atomic import finite
from bench.extras import needed
from bench.leaderboards.board import Leaderboard
from bench.leaderboards.output.formats import board_json
from bench.leaderboards.output.site.curves import read_curves
from bench.leaderboards.output.site.index import index
from bench.leaderboards.output.site.run_card import Card, cards
from bench.leaderboards.output.site.site_folder import replacing

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent / "templates"
_COPIED = ("page.js", "style.css")
_LIBRARY = "plotly.min.js"
FILES = ("index.html", "runs", "leaderboard.json", _LIBRARY, *_COPIED)


def check_site_packages() -> None:
    """Check that the packages of :func:`write_site` are installed, before a ranking of minutes.

    Raises:
        BenchError: A package is missing.
    """
    needed("jinja2", "plotly", extra="pages", what="a leaderboard's page")


def write_site(board: Leaderboard, directory: Path) -> None:
    """Write the site into a folder: either completely or not at all.

    Args:
        board: Leaderboard to show.
        directory: Folder of the site: a new one, an empty one, or an earlier site to replace.

    Raises:
        BenchError: The folder holds other files, or cannot be written, or a package of the
            extra ``pages`` is missing.
    """
    check_site_packages()
    from plotly.offline import get_plotlyjs

    environment = _environment()
    found = list(cards(board))
    with replacing(directory, FILES) as fresh:
        content = index(board, found, read_curves(board))
        page = environment.get_template("index.html").render(content)
        (fresh / "index.html").write_text(page, encoding="utf-8")
        (fresh / "runs").mkdir()
        for name, text in _rendered(environment, board, found):
            (fresh / "runs" / name).write_text(text, encoding="utf-8")
        values = json.dumps(finite(board_json(board)), indent=1)
        (fresh / "leaderboard.json").write_text(values + "\n", encoding="utf-8")
        (fresh / _LIBRARY).write_text(get_plotlyjs(), encoding="utf-8")
        for name in _COPIED:
            copyfile(_HERE / name, fresh / name)


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data"] = _data
    environment.filters["number"] = format
    return environment


def _data(value: Any) -> str:
    """Return JSON for a script element, with "<" escaped, which could end the element."""
    return json.dumps(finite(value)).replace("<", "\\u003c")


def _rendered(
    environment: Environment, board: Leaderboard, found: list[Card]
) -> Iterator[tuple[str, str]]:
    template = environment.get_template("run.html")
    for card in found:
        yield card.file, template.render(card=card, board=board)
