"""Pages with hostile names in a real browser, with scripts on: no name runs or is fetched.

The oracle is what Chromium tells of a page; a page without escapes shows that it would tell.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.api.html import as_html
from bench.describe.page import write_page
from bench.leaderboards.output.site import write_site
from tests.browser import FOUND, Browser, Seen, browser
from tests.describe.test_describe import TEST, TRAIN, VALIDATION, dataset, described
from tests.leaderboards.output.test_hostile_names import HOSTILE, made, studied

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOUND, reason="no chromium is installed"),
]
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


def told(seen: Seen) -> dict[str, Any]:
    """Return all that a page should not do."""
    return {
        name: value
        for name, value in dataclasses.asdict(seen).items()
        if value and name not in ("links", "touched")
    }


def test_a_page_without_escapes_is_told_of(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "raw.html"
    page.write_text("<!doctype html><body>" + "\n".join(h for h in HOSTILE if h != "<!--"))
    seen = chromium.visit(page, tmp_path)
    for number in (1, 2, 3, 4, 5, 11):
        assert any(text == f"alert {number}" for text in seen.ran), number
    assert {"https://example.org/x.css", "https://example.org/css"} <= set(seen.requests)
    assert "https://example.org/" in seen.left
    page.write_text("<!doctype html><a href='javascript:window.__pwned=1'>x</a>")
    assert chromium.visit(page, tmp_path).ran == ["canary 1"]
    assert chromium.value(WIDE) == 0
    page.write_text(f"<!doctype html>{'x' * 5000}")
    chromium.visit(page, tmp_path)
    assert chromium.value(WIDE) > 0


def test_a_site_runs_and_fetches_nothing(chromium: Browser, tmp_path: Path) -> None:
    write_site(made(HOSTILE, tmp_path / "runs"), tmp_path / "site")
    runs = sorted((tmp_path / "site/runs").iterdir())
    for page in (tmp_path / "site/index.html", *runs[::9]):
        seen = chromium.visit(page, tmp_path / "site")
        seen.links = [link for link in seen.links if not link.startswith("https://zenodo.org/")]
        for place in (seen.requests, seen.left):  # the source of the task's data
            place[:] = [address for address in place if "//zenodo.org/" not in address]
        assert told(seen) == {}, page
        assert seen.touched > (200 if page.name == "index.html" else 0)
        assert chromium.value(WIDE) == 0


def test_a_description_runs_and_fetches_nothing(chromium: Browser, tmp_path: Path) -> None:
    usual, name = described(dataset(TRAIN, VALIDATION, TEST)), " ".join(HOSTILE)
    texts: dict[str, Any] = dict.fromkeys(
        ("name", "summary", "row", "target", "citation", "url", "license", "fingerprint"), name
    )
    named: dict[str, Any] = {
        field: {name: name} for field in ("options", "notes", "missing", "lacking")
    }
    units = {
        part: {name + group: unit for group, unit in groups.items()}
        for part, groups in usual.units.items()
    }
    hostile = dataclasses.replace(usual, **texts, **named, units=units)
    write_page(hostile, tmp_path / "page.html")
    assert told(chromium.visit(tmp_path / "page.html", tmp_path)) == {}
    assert chromium.value(WIDE) == 0


@pytest.mark.filterwarnings("ignore")
def test_plots_of_a_study_run_and_fetch_nothing(chromium: Browser, tmp_path: Path) -> None:
    names = [name for name in HOSTILE if "<a " in name or "url(" in name]
    for page in studied(names, tmp_path):
        seen = chromium.visit(page, tmp_path)
        assert told(seen) == {}, page
        assert (seen.links, seen.touched > 10) == ([], True)


def test_a_table_of_a_notebook_runs_and_fetches_nothing(chromium: Browser, tmp_path: Path) -> None:
    tables = [as_html(name, {name: name}) for name in HOSTILE]
    (tmp_path / "page.html").write_text("\n".join(tables), encoding="utf-8")
    seen = chromium.visit(tmp_path / "page.html", tmp_path)
    assert (told(seen), seen.links) == ({}, [])
