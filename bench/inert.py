"""Text of other people, made inert for the place that shows it.

Names, notes and settings come from imported results, shared stores and files. A terminal obeys
escape sequences, a spreadsheet computes cells that look like formulas, Markdown passes HTML on, and
plotly.js takes any text of a plot for HTML of a few tags. Pages escape by their templates.
"""

from __future__ import annotations

import re

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_MARKDOWN = re.compile(r"[\\`*\[\]|]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def for_terminal(text: str) -> str:
    r"""Return text in which every character that is not printable is written as an escape.

    So ESC is shown as ``\x1b``, a line break as ``\n``, and U+202E, which reverses the text that
    follows, as ``\u202e``.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def for_csv(value: object) -> object:
    """Return a cell for a CSV file: text that a spreadsheet would compute starts with ``'``.

    That is the advice of OWASP (owasp.org/www-community/attacks/CSV_Injection). Numbers, and text
    that is only a number, stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = for_terminal(value)
    return f"'{text}" if value.startswith(_FORMULA) and not _is_number(text) else text


def for_markdown(text: str) -> str:
    """Return text without meaning in Markdown: no HTML, no link, no code, no cell of a table.

    ``<`` becomes an entity: not every converter takes a backslash before it.
    """
    return _MARKDOWN.sub(r"\\\g<0>", for_terminal(text)).translate(_ENTITIES)


def for_plotly(text: str) -> str:
    """Return text that plotly.js shows unchanged: no tag, and no TeX between dollars.

    A link in a label could be clicked, and the style of a ``<span>`` can fetch an address when the
    plot is shown.
    """
    return text.translate(_ENTITIES).replace("$", "&#36;")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
