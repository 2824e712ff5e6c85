"""Tables in a terminal: every cell is there, whole, whatever the width."""

import io
import re
import sys

import pytest

from bench.cli.columns import print_table

COLUMNS = ["rank", "model", "Pearson Score", "parameters", "date", "run"]
NUMBERS = ["rank", "Pearson Score", "parameters"]
ROWS = [
    ["1-2", "camformer-mini (of an import)", "0.7123", "1,446,721", "2026-11-22", "camformer-s0-1"],
    ["1-2", "danq", "-0.0211", "21,214,971", "2026-11-21", "danq-dream-simulated-s0-4f2a"],
]


def shown(monkeypatch: pytest.MonkeyPatch, width: int, *, terminal: bool = True) -> list[str]:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(COLUMNS, ROWS, numbers=NUMBERS, key="model")
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("width", [50, 60, 80, 120, 200])
def test_no_line_is_longer_than_the_terminal_and_no_cell_is_cut(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(monkeypatch, width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for cell in (*COLUMNS, *(cell for row in ROWS for cell in row)):
        assert all(word in words for word in cell.split()), cell
    tables = sum("─" in line for line in lines)
    assert sum("danq " in line for line in lines) == tables  # the name stands in all of them
    assert (tables == 1) == (width >= 110)


def test_text_is_folded_between_words_before_columns_move(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 110)
    assert sum("─" in line for line in lines) == 1
    assert any(line.split()[:2] == ["1-2", "camformer-mini"] for line in lines)


def test_a_pipe_gets_one_table_however_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROWS", [[*row[:-1], "x" * 200] for row in ROWS])
    lines = shown(monkeypatch, 80, terminal=False)
    assert sum("─" in line for line in lines) == 1
    assert sum("x" * 200 in line for line in lines) == 2
