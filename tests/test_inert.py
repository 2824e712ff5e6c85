"""Text of other people in a terminal, a spreadsheet, Markdown and a notebook."""

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.api.html import as_html
from bench.api.rankings import Ranking
from bench.inert import for_csv, for_markdown, for_terminal
from bench.leaderboards.board import Leaderboard
from bench.leaderboards.output.formats import board_csv, board_markdown
from bench.leaderboards.selection import Group
from tests.leaderboards.boards import board, entry

FORMULAS = [
    '=HYPERLINK("https://example.org","x")',
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "＝1+1",
    "-x",
]
MARKUP = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    "</table><iframe src=javascript:alert(3)>",
    "[x](javascript:alert(4))",
    "![x](https://example.org/x.png)",
    "<javascript:alert(5)>",
    "`code` | another cell | **b**",
    "a\n\n# heading\n\n<b>b</b>",
    "&lt;b&gt;",
    "\\<b>\\[x](y)",
    '"><svg onload=alert(6)>',
    "[ref]: javascript:alert(7)",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain näme 语", "plain näme 语"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("a\u202eb\u2066", r"a\u202eb\u2066"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("\udcff", r"\udcff"),
        ("\x00\x7f\u2028", r"\x00\x7f\u2028"),
    ],
)
def test_a_terminal_is_shown_escapes(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text_in_a_cell(text: str) -> None:
    assert str(for_csv(text)).startswith("'")


@pytest.mark.parametrize("value", [-1.5, -3, None, True, "-1.5", "+2", "1e-5", "plain", "a=b", ""])
def test_numbers_and_plain_text_stay(value: object) -> None:
    assert for_csv(value) == value


def made(texts: list[str], folder: Path) -> Leaderboard:
    """Return a leaderboard of models with these names."""
    groups = [
        Group(
            text,
            (
                entry(
                    f"run-{place}",
                    text,
                    folder,
                    value=0.5 - place / 1000,
                    name=text,
                    tags={"model": text, "verified": "true", "track": text, "tuned.trials": text},
                ),
            ),
        )
        for place, text in enumerate(texts)
    ]
    return board(groups, [(entry(texts[0], texts[1], folder), texts[2])])


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path: Path) -> None:
    found = list(csv.DictReader(io.StringIO(board_csv(made(FORMULAS, tmp_path)))))
    assert len(found) == len(FORMULAS)
    for row in found:
        for name, cell in row.items():
            if not cell.startswith(tuple("=+-@\t\r\n＝")):
                continue
            float(cell)  # a negative number is no formula
            assert name not in ("model", "track", "tuned")


class Elements(HTMLParser):
    """The elements of a page that a payload could make."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        assert "javascript:" not in str(dict(attrs).get("href"))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_markdown_holds_no_html_and_no_link(tmp_path: Path) -> None:
    text = board_markdown(made(MARKUP, tmp_path))
    assert Elements(text).found == []
    lines = text.splitlines()
    width = lines[1].count("|")
    for line in lines[2 : 2 + len(MARKUP)]:
        assert line.replace("\\\\", "").replace("\\|", "").count("|") == width
    bare = text.replace("\\\\", "").replace("\\[", "").replace("\\]", "").replace("\\`", "")
    assert not {"[", "]", "`", "<"} & set(bare.partition("Published")[0])
    assert for_markdown("a<b") == "a&lt;b"


def test_markdown_means_the_text_to_a_converter(tmp_path: Path) -> None:
    """A second implementation: a converter gives no element that a payload asks for."""
    markdown = pytest.importorskip("markdown_it")
    converter = markdown.MarkdownIt("gfm-like", {"html": True, "linkify": False})
    parsed = Elements(converter.render(board_markdown(made(MARKUP, tmp_path))))
    assert set(parsed.found) <= {"table", "thead", "tbody", "tr", "th", "td", "ul", "li", "p", "a"}
    assert "<img src=x onerror=alert(1)>" in parsed.text


def test_notebooks_show_names_as_text(tmp_path: Path) -> None:
    pages = [
        as_html(MARKUP[0], {MARKUP[1]: MARKUP[2], "n": 1.0, MARKUP[10]: MARKUP[3]}),
        str(Ranking(made(MARKUP, tmp_path))._repr_html_()),
    ]
    ours = {"table", "caption", "b", "tr", "td", "th", "thead", "tbody", "div", "style", "small"}
    for page in pages:
        found = Elements(page).found
        assert set(found) <= ours
        assert found.count("b") <= 1
