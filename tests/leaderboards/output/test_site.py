"""The page for an HTML parser: complete, without links to the network, equal to the JSON."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.atomic import finite
from bench.errors import BenchError
from bench.leaderboards.board import Leaderboard
from bench.leaderboards.output import site
from bench.leaderboards.output.formats import board_json
from bench.leaderboards.output.site import write_site
from bench.leaderboards.output.site.curves import read_curves
from bench.leaderboards.output.site.index import index
from bench.leaderboards.selection import Group
from tests.leaderboards.boards import board, entry, files

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    '"><b onmouseover=alert(3)>',
    '{{ 7 * 7 }} \' & <a href="https://example.org">',
]
_VOID = {"meta", "link", "input"}
_OURS = ("<br>", "<extra></extra>")


class Parsed(HTMLParser):
    """Elements, texts and data of one page; an element that is not closed is an error."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text, self.script = "", ""
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.script += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@pytest.fixture
def three(tmp_path: Path) -> Leaderboard:
    curve = "".join(
        json.dumps({"step": step, "time": 1, "metrics": {"validation/pearson": step / 1000}}) + "\n"
        for step in (100, 200, 300)
    )
    left = files(tmp_path / "left", {}, curve)
    groups = [
        Group("slow", (entry("a", "slow", left, value=0.7), entry("b", "slow", left, value=0.701))),
        Group("fast", (entry("c", "fast", tmp_path / "nothing", value=0.4),)),
        Group("best", (entry("d", "best", left, value=0.9),)),
    ]
    return board(groups, [(entry("e", "slow", left), "other test rows")])


@pytest.fixture
def hostile(tmp_path: Path) -> Leaderboard:
    left = files(tmp_path / "left", {"data": {"notes": {HOSTILE[0]: HOSTILE[1]}}})
    groups = [
        Group(
            f"{text} width={text}",
            (
                entry(
                    f"../../{text}",
                    text,
                    left,
                    value=0.5 + place / 10,
                    name=text,
                    tags={"model": text, "verified": "true", text: text, "track": text},
                    settings={"seed": text, text: text},
                ),
            ),
        )
        for place, text in enumerate(HOSTILE)
    ]
    return board(groups, [(entry(HOSTILE[0], HOSTILE[0], left), HOSTILE[1])])


def pages(folder: Path) -> Iterator[tuple[Path, Parsed]]:
    for path in [folder / "index.html", *(folder / "runs").iterdir()]:
        yield path, Parsed(path)


def texts(value: Any) -> Iterator[str]:
    """Yield every text in nested JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def test_pages_are_whole_and_shut(three: Leaderboard, tmp_path: Path) -> None:
    write_site(three, tmp_path / "site")
    found = dict(pages(tmp_path / "site"))
    assert len(found) == 1 + 5
    for path, parsed in found.items():
        ids = parsed.values("id")
        assert len(ids) == len(set(ids))
        assert set(" ".join(parsed.values("aria-labelledby")).split()) <= set(ids)
        tags = [tag for tag, _ in parsed.elements]
        assert tags.count("caption") == tags.count("table")
        assert all(cell.get("scope") in ("row", "col") for cell in parsed.all("th"))
        for part in parsed.all("div"):
            assert "role" not in part or {"aria-label", "aria-labelledby"} & set(part)
        for address in [*parsed.values("src"), *(link["href"] for link in parsed.all("link"))]:
            assert address == "data:," or (path.parent / address).is_file(), address
        for link in parsed.all("a"):
            assert link["href"].startswith("https://") or (path.parent / link["href"]).is_file()
        policy = next(a["content"] for a in parsed.all("meta") if "http-equiv" in a)
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy.split(";")[1]  # scripts come from files only, never inline


def test_numbers_are_those_of_the_json_format(three: Leaderboard, tmp_path: Path) -> None:
    write_site(three, tmp_path / "site")
    stored = json.loads((tmp_path / "site" / "leaderboard.json").read_text())
    assert stored == finite(board_json(three))
    assert [row["model"] for row in stored["rows"]] == ["best", "slow", "fast"]
    parsed = Parsed(tmp_path / "site" / "index.html")
    cells = parsed.values("data-key")
    wide = len(cells) // 3
    headings = [h.get("class") for h in parsed.all("th") if h.get("scope") == "col"][:wide]
    assert headings.count("number") == wide - 3  # model, recipe, date
    for place, row in enumerate(stored["rows"]):
        line = cells[place * wide : (place + 1) * wide]
        exact = [row[name] for name in ("rank", "tier", "value", "low", "seeds", "device_hours")]
        assert [float(line[column]) for column in (0, 1, 4, 5, 7, 9)] == exact  # no sequences/s
    for row in stored["rows"]:
        for name in ("value", "low", "high"):
            assert f"{row[name]:.4f}" in parsed.text


def test_names_show_as_text(hostile: Leaderboard, tmp_path: Path) -> None:
    write_site(hostile, tmp_path / "site")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["left", "site"]
    found = dict(pages(tmp_path / "site"))
    assert len(found) == 1 + 5
    for _, parsed in found.items():
        assert not {"img", "b", "iframe"} & {tag for tag, _ in parsed.elements}
        assert not [name for name in ("onerror", "onmouseover") if parsed.values(name)]
        assert all(s.get("src") or s["type"] == "application/json" for s in parsed.all("script"))
    first = found[tmp_path / "site" / "index.html"]
    for text in HOSTILE:
        assert f"{text} width={text}" in first.text
    assert "<" not in first.script
    plots = json.loads(first.script)
    shown = " ".join(texts(plots))
    for mark in _OURS:
        shown = shown.replace(mark, "")
    assert "<" not in shown
    assert "&lt;img src=x onerror=alert(2)&gt;" in shown


@pytest.mark.parametrize("there", ["file", "others", "beside"])
def test_nothing_of_others_is_replaced(there: str, three: Leaderboard, tmp_path: Path) -> None:
    site = tmp_path / "site"
    if there == "file":
        site.write_text("mine")
        words = "is a file"
    elif there == "others":
        site.mkdir()
        (site / "index.html").write_text("mine")
        words = "holds other files"
    else:
        write_site(three, site)
        (site / "CNAME").write_text("mine")
        words = "also holds 'CNAME'"
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    with pytest.raises(BenchError, match=words):
        write_site(three, site)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_an_earlier_page_is_replaced_whole(
    three: Leaderboard, hostile: Leaderboard, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "site")
    (tmp_path / "site").mkdir()
    write_site(hostile, tmp_path / "link")
    write_site(three, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    runs = sorted(path.name for path in (tmp_path / "site" / "runs").iterdir())
    assert runs == [f"{run}.html" for run in "abcde"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_page_that_fails_leaves_the_earlier_one(
    error: BaseException, three: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*files: Path) -> None:
        raise error

    write_site(three, tmp_path / "site")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(site, "copyfile", fail)
    with pytest.raises((BenchError, KeyboardInterrupt)):
        write_site(board([]), tmp_path / "site")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_plots_are_what_plotly_takes(three: Leaderboard) -> None:
    from plotly.graph_objects import Figure

    curves = read_curves(three)
    assert curves == {run: [(100, 0.1), (200, 0.2), (300, 0.3)] for run in "dab"}
    shown = index(three, [], curves)
    assert set(shown["plots"]) == {
        *("pareto-device_hours", "pareto-parameters", "curves", "subsets", "pairs"),
    }
    assert shown["without_curve"] == 1
    for plot in shown["plots"].values():
        Figure(plot)  # raises for a name or a value that plotly does not know
    pairs = shown["plots"]["pairs"]["data"][0]
    assert pairs["z"] == [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]]
    assert pairs["text"] == [["", "▲", "▲"], ["▼", "", "▲"], ["▼", "▼", ""]]
    subsets = shown["plots"]["subsets"]["data"][0]
    assert subsets["z"][1] == pytest.approx([0.7005, 0.7005 / 3])


def test_a_board_without_models_says_so(tmp_path: Path) -> None:
    write_site(board([]), tmp_path / "site")
    parsed = Parsed(tmp_path / "site" / "index.html")
    assert "Nothing ranks yet." in parsed.text
    assert json.loads(parsed.script) == {}
