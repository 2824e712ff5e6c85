"""Pages with hostile names have the elements and attributes of pages with plain names, and no more.

The oracle is an HTML parser on both pages. No browser is used.
"""

import dataclasses
import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest

from bench.describe.page import write_page
from bench.leaderboards.board import Leaderboard
from bench.leaderboards.output.site import write_site
from bench.leaderboards.output.site.run_card import file_name
from bench.leaderboards.selection import Group
from bench.tuning import plots
from tests.describe.test_describe import TEST, TRAIN, VALIDATION, dataset, described
from tests.leaderboards.boards import board, entry, files

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


@pytest.mark.filterwarnings("ignore")
def test_plots_of_a_study_have_no_element_of_a_name(tmp_path: Path) -> None:
    counts: list[list[Any]] = []
    for names in (["plain"] * len(HOSTILE), HOSTILE):
        study = optuna.create_study(study_name=names[1], direction="maximize")
        for value in (0.1, 0.2, 0.3):
            trial = study.ask()
            for place, name in enumerate(names[:12]):
                trial.suggest_categorical(f"{name}{place}", [name, "b"])
            trial.report(value, 1)
            study.tell(trial, value)
        pages = plots.write(study, tmp_path / str(len(counts)))
        counts.append([Structure(page).elements for page in pages])
    assert counts[0] == counts[1]
