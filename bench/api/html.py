"""HTML tables by which notebooks show objects."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def as_html(title: str, facts: Mapping[str, object]) -> str:
    """Return an HTML table: a title, then a row for each fact; numbers have four decimals."""
    rows = "".join(
        f"<tr><td style='text-align:left'>{escape(name)}</td><td>{escape(_text(value))}</td></tr>"
        for name, value in facts.items()
        if value is not None
    )
    return f"<table><caption><b>{escape(title)}</b></caption>{rows}</table>"


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
