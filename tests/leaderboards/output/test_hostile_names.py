"""Pages with hostile names have the elements and attributes of pages with plain names, and no more.

The oracle is an HTML parser on both pages. No browser is used.
"""

import dataclasses
import html
import json
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest

from bench.describe.page import write_page
from bench.inert import for_terminal
from bench.leaderboards.board import Leaderboard
from bench.leaderboards.output.site import write_site
from bench.leaderboards.output.site.run_card import file_name
from bench.leaderboards.selection import Group
from bench.tuning import plots
from tests.describe.test_describe import TEST, TRAIN, VALIDATION, dataset, described
from tests.leaderboards.boards import board, entry, files
from tests.leaderboards.output.test_site import texts

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "</title></style></textarea><img src=x onerror=alert(3)>",
    '"><svg/onload=alert(4)>',
    "'><img src=x onerror=alert(5)>",
    '" onmouseover=alert(6) x="',
    "' onfocus=alert(7) autofocus x='",
    "` onclick=alert(8) `",
    "javascript:alert(9)",
    "<a href=javascript:alert(10)>x</a>",
    "<a href='https://example.org' target=_top>x</a>",
    "<iframe srcdoc='<script>alert(11)</script>'></iframe>",
    "<base href=https://example.org/>",
    "<meta http-equiv=refresh content='0;url=https://example.org'>",
    "<link rel=stylesheet href=https://example.org/x.css>",
    "<form action=https://example.org><button>x</button></form>",
    "<math><mi//xlink:href='data:x,<script>alert(12)</script>'>",
    "<!--",
    "-->",
    "<![CDATA[<script>alert(13)</script>]]>",
    "{{ 7 * 7 }}{% raw %}",
    "\\u003cscript>alert(14)\\u003c/script>",
    "&lt;script&gt;alert(15)&lt;/script&gt;",
    "&#x22; onload=alert(16)",
    "$\\href{javascript:alert(17)}{x}$",
    "\u2028alert(18)\u2029",
    "\x00<b>",
    "<span style='background:url(https://example.org/css)'>x</span>",
    "</style><style>*{background:url(https://example.org/css)}</style>",
    "x' style='background:url(https://example.org/css)",
    "%{customdata}<extra></extra><br>%{x:<img src=x>}",
    "![x](https://example.org/image)",
    "<object data=https://example.org></object><embed src=https://example.org>",
    "data:text/html,<script>alert(19)</script>",
    "__proto__",
    "x" * 5000 + "<b>",
]


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: set[str] = set()
        self.comments: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.addresses |= {value or "" for name, value in attrs if name in ("href", "src")}

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def made(names: Sequence[str], folder: Path) -> Leaderboard:
    """Return a leaderboard whose every free text is one of the names."""
    groups, apart = [], []
    for place, name in enumerate(names):
        left = files(
            folder / f"{place}",
            {
                "model": {"name": name, "origin": f"{name}.py", "config": {}},
                "data": {"notes": {name: name}, "name": name},
                "device": {"kind": name, "name": name},
                "request": {"model": name, "task": name, "recipe": name},
            },
            json.dumps({"step": 1, "metrics": {"validation/pearson": 0.5}}) + "\n",
        )
        about: dict[str, Any] = {
            "name": name,
            "tags": {
                "model": name,
                "verified": "true",
                "track": name,
                name: name,
                "tuned.trials": name,
                "tuned.device_hours": "1",
                "version.x": name,
            },
            "settings": {"seed": name, f"{name} ": name},
        }
        run = f"{name}-{place}"
        groups.append(Group(name, (entry(run, name, left, value=0.9 - place / 100, **about),)))
        apart.append((entry(f"{run}-apart", name, left, **about), name))
    return board(groups, apart)


def structures(names: Sequence[str], folder: Path) -> list[Structure]:
    """Return the structures of the pages of a site, in the order of the names."""
    shown = made(names, folder)
    write_site(shown, folder / "site")
    runs = [e.id for row in shown.rows for e in row.group.entries]
    runs += [e.id for e, _ in shown.selection.excluded]
    pages = [folder / "site" / "index.html", *(folder / "site/runs" / file_name(r) for r in runs)]
    assert len(set(pages)) == 1 + 2 * len(names)
    return [Structure(page) for page in pages]


def test_a_site_has_no_element_or_attribute_of_a_name(tmp_path: Path) -> None:
    plain = [f"name-{place}" for place in range(len(HOSTILE))]
    pairs = zip(
        structures(HOSTILE, tmp_path / "hostile"),
        structures(plain, tmp_path / "plain"),
        strict=True,
    )
    for hostile, usual in pairs:
        assert hostile.elements == usual.elements
        assert hostile.comments == []
        for address in hostile.addresses - usual.addresses:
            assert address.startswith("runs/"), address
            assert (tmp_path / "hostile/site" / address).is_file()


def test_a_description_has_no_element_or_attribute_of_a_name(tmp_path: Path) -> None:
    usual = described(dataset(TRAIN, VALIDATION, TEST))
    usual = dataclasses.replace(usual, url="", options={"x": 1}, notes={"x": "x"})
    write_page(usual, tmp_path / "plain.html")
    expected = Structure(tmp_path / "plain.html")
    whole = " ".join(HOSTILE)
    for name in (whole, "javascript:alert(1)", '" onload=alert(2) x="', "data:text/html,<b>"):
        texts: dict[str, Any] = dict.fromkeys(
            ("name", "summary", "row", "target", "citation", "url", "license", "fingerprint"), name
        )
        hostile = dataclasses.replace(usual, **texts, options={name: name}, notes={name: name})
        write_page(hostile, tmp_path / "hostile.html")
        found = Structure(tmp_path / "hostile.html")
        assert found.elements == expected.elements
        assert (found.comments, found.addresses) == (expected.comments, set())


def studied(names: Sequence[str], folder: Path) -> list[Path]:
    """Write the plots of a study whose every name is one of the names; return their pages."""
    study = optuna.create_study(study_name=names[0], direction="maximize")
    for value in (0.1, 0.2):
        trial = study.ask()
        for place, name in enumerate(names):
            trial.suggest_categorical(f"{name}{place}", [name, "b"])
        trial.report(value, 1)
        study.tell(trial, value)
    return plots.write(study, folder)


def drawn(page: Path) -> Iterator[str]:
    """Yield every text that a page hands to plotly.js."""
    read = json.JSONDecoder()
    source = re.split(r'Plotly\.newPlot\(\s*"[^"]*",\s*', page.read_text(encoding="utf-8"))[-1]
    data, end = read.raw_decode(source)
    layout, _ = read.raw_decode(source[end:].lstrip(", \n"))
    yield from texts([data, layout])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", range(0, len(HOSTILE), 12))
def test_plots_of_a_study_draw_no_markup_of_a_name(start: int, tmp_path: Path) -> None:
    names = HOSTILE[start : start + 12]
    usual = [Structure(page).elements for page in studied(["plain"], tmp_path / "a")]
    pages = studied(names, tmp_path / "b")
    assert [Structure(page).elements for page in pages] == usual
    assert len(pages) == 4
    for page in pages:
        found = list(drawn(page))
        for text in found:
            rest = text.replace("<br>", "").replace("<extra></extra>", "")
            assert not set(rest) & set("<>$"), text
        assert f"{for_terminal(names[0])}: {page.stem}" in map(html.unescape, found)
    labels = {html.unescape(text) for text in drawn(pages[-1])}  # importances, by whole name
    assert {for_terminal(f"{name}{place}") for place, name in enumerate(names)} <= labels
