"""Tables that fit a terminal: text is folded between words, and what has no room follows below."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console as RichConsole
from rich.table import Table

from bench.inert import for_terminal

_EDGES, _GAP = 2, 3  # characters of a line beside the columns, and between two of them


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Iterable[str] = (),
    key: str | None = None,
) -> None:
    """Print a table to standard output.

    Numbers are never folded. A terminal without room for all columns gets several tables of the
    same rows. A file or a pager has no width: there, nothing is folded.

    Args:
        columns: Headings of the columns.
        rows: Cells of every row.
        numbers: Headings of the columns that are aligned right.
        key: Heading of the column that names the rows in every table; the first if None.
    """
    right = set(numbers)
    cells = [[for_terminal(cell) for cell in line] for line in (columns, *rows)]
    texts = list(zip(*cells, strict=True))
    first = 0 if key is None else columns.index(key)
    natural = [max(map(cell_len, column)) for column in texts]
    least = [
        width if name in right else max(map(_longest_word, column))
        for name, width, column in zip(columns, natural, texts, strict=True)
    ]
    if sys.stdout.isatty():
        room = RichConsole().width
        beside = max(room - _EDGES - _GAP - min(least[first], room // 2), 10)
        least = [min(width, beside) for width in least]
    else:
        room = _total(natural)
    for group in _groups(least, first, room):
        widths = _widths([least[i] for i in group], [natural[i] for i in group], room)
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for i, width in zip(group, widths, strict=True):
            justify: Literal["right", "left"] = "right" if columns[i] in right else "left"
            table.add_column(cells[0][i], justify=justify, width=width, overflow="fold")
        for line in cells[1:]:
            table.add_row(*(line[i] for i in group))
        RichConsole(width=_total(widths), highlight=False, markup=False).print(table)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1) + _EDGES


def _groups(least: Sequence[int], first: int, room: int) -> list[list[int]]:
    """Return the columns of every table; all but the first table begin with the naming column."""
    groups: list[list[int]] = [[]]
    for i in range(len(least)):
        if (
            len(groups[-1]) > (len(groups) > 1)
            and _total([least[j] for j in [*groups[-1], i]]) > room
        ):
            groups.append([first])
        if i != first or len(groups) == 1:
            groups[-1].append(i)
    return groups


def _widths(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns: what room is left goes to those that lack most."""
    widths = list(least)
    for _ in range(room - _total(least)):
        i = max(range(len(widths)), key=lambda i: natural[i] - widths[i])
        if widths[i] >= natural[i]:
            break
        widths[i] += 1
    return widths
