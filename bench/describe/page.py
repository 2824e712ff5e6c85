"""A description as sentences, tables and plots: one HTML file without external resources.

Plots are inline SVG. They use the colours of the page, so they follow light and dark mode.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_text
from bench.describe.facts import BASES, GC_BINS, Description, Overlap, SplitFacts, as_json
from bench.extras import needed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TextTable = tuple[list[str], list[list[str]]]
Panel = Callable[["Axes", str, SplitFacts], None]
Drawing = Callable[[list["Axes"]], None]


def check_page_packages() -> None:
    """Check that the packages of :func:`page` are installed, before the slow description starts.

    Raises:
        BenchError: A package is missing.
    """
    needed("jinja2", "matplotlib", extra="pages", what="a description's page")


def write_page(description: Description, path: Path) -> None:
    """Write a description as one HTML file without external resources.

    Raises:
        BenchError: A package of the extra ``pages`` is missing.
    """
    write_text(path, page(description))


def _template(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def page(description: Description) -> str:
    """Return a description as HTML."""
    check_page_packages()
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    sentences = [
        {"text": text, "bad": overlap.near > 0}
        for text, overlap in zip(verdicts(description), description.overlaps, strict=True)
    ]
    return environment.from_string(_template("page.html")).render(
        about=description,
        tables=tables(description),
        verdicts=sentences,
        pictures=_pictures(description),
        style="\n" + _template("style.css"),
        # In a script element, a "<" could end it.
        json=as_json(description).replace("<", "\\u003c"),
    )


def verdicts(description: Description) -> list[str]:
    """Return the meaning of each overlap in one or two sentences."""
    return [_verdict(overlap, description.within) for overlap in description.overlaps]


def tables(description: Description) -> dict[str, TextTable]:
    """Return the tables of the page as text, by topic."""
    splits = description.splits
    return {
        "letters": _by_split(splits, _letters),
        "targets": _by_split(splits, _targets),
        "replicates": _by_split(splits, _replicates),
        "neighbours": _neighbours_table(description),
        "units": _units_table(description),
    }


def count(n: float) -> str:
    """Format a whole number, or a median that may lie between two whole numbers."""
    return f"{n:,.0f}" if n == int(n) else f"{n:,.1f}"


def share(part: float) -> str:
    """Format a share in percent; a small share is never shown as 0%."""
    if 0 < part < 0.001:
        return "<0.1%"
    return ">99.9%" if 0.999 < part < 1 else f"{part:.1%}"


def number(x: float | None) -> str:
    """Format a number on the target's scale; None becomes a dash."""
    return "-" if x is None else f"{x:,.3f}"


def _verdict(overlap: Overlap, within: int) -> str:
    names = {"train": "training"}
    row, other = (f"{names.get(name, name)} row" for name in (overlap.of, overlap.among))
    text = f"No {row} is within {within} substitutions of a {other}."
    if overlap.near:
        meaning = {
            "test": "scores on these rows measure memory, not prediction",
            "validation": "on these rows, the best epoch is chosen by memory, not prediction",
        }[overlap.of]
        text = (
            f"{overlap.near:,} {row}s ({share(overlap.near / overlap.rows)}) are within {within} "
            f"substitutions of a {other}, {overlap.by_distance[0]:,} of them at distance 0: "
            f"{meaning}."
        )
    if overlap.incomplete:
        text += (
            f" For {overlap.incomplete:,} {row}s ({share(overlap.incomplete / overlap.rows)}), "
            "short or repetitive, the search is complete only up to fewer substitutions."
        )
    return text


def _by_split(
    splits: Mapping[str, SplitFacts], column: Callable[[SplitFacts], dict[str, str]]
) -> TextTable:
    """Return a table with one column per split."""
    columns = [column(split) for split in splits.values()]
    labels = columns[0] if columns else {}
    return ["", *splits], [[label, *(cells[label] for cells in columns)] for label in labels]


def _letters(split: SplitFacts) -> dict[str, str]:
    letters = split.letters
    gc = "-" if letters.gc_mean is None else f"{letters.gc_mean:.1%} ± {letters.gc_deviation:.1%}"
    return {
        "rows": count(split.rows),
        "shortest (nt)": count(split.shortest),
        "median length (nt)": count(split.median_length),
        "longest (nt)": count(split.longest),
        **{f"share of {base}": share(part) for base, part in letters.bases.items()},
        "GC of a row, mean ± std": gc,
        "rows with N": count(letters.rows_with_n),
        "share of N": share(letters.share_of_n),
    }


def _targets(split: SplitFacts) -> dict[str, str]:
    targets = split.targets
    return {
        "lowest": number(targets.minimum),
        "median": number(targets.median),
        "mean": number(targets.mean),
        "highest": number(targets.maximum),
        "std": number(targets.deviation),
        "whole numbers": share(targets.share_whole),
    }


def _replicates(split: SplitFacts) -> dict[str, str]:
    again = split.replicates
    none = "too few replicates" if again.sequences else "no replicates"
    return {
        "repeated sequences": count(again.sequences),
        "of these, with different targets": count(again.differing),
        "rows of repeated sequences": count(again.rows),
        "std within a sequence": none if again.deviation is None else number(again.deviation),
        "ceiling of Pearson r": none if again.ceiling is None else number(again.ceiling),
    }


def _neighbours_table(description: Description) -> TextTable:
    columns = ["substitutions to the nearest", *map(str, range(description.within + 1))]
    rows = [
        [
            f"{overlap.of} rows, in {overlap.among}",
            *map(count, overlap.by_distance),
            count(overlap.near),
            share(overlap.near / max(overlap.rows, 1)),
        ]
        for overlap in description.overlaps
    ]
    return [*columns, "together", "share"], rows


def _units_table(description: Description) -> TextTable:
    parts = description.units
    names = dict.fromkeys(name for units in parts.values() for name in units)
    rows = []
    for name in names:
        found = [units.get(name) for units in parts.values()]
        kind = next(unit.kind for unit in found if unit)
        cells = ["-" if unit is None else count(unit.size) for unit in found]
        rows.append([f"{name} ({kind})", *cells])
    return ["scored over", *parts], rows


def _pictures(description: Description) -> dict[str, str]:
    splits = description.splits
    drawings = {
        "lengths": _each(splits, _draw_lengths),
        "gc": lambda axes: _draw_gc(axes[0], splits),
        "positions": _each(splits, _draw_positions),
        "targets": _each(splits, _draw_targets),
    }
    if any(overlap.near for overlap in description.overlaps):
        drawings["neighbours"] = lambda axes: _draw_neighbours(axes[0], description)
    single = {"gc", "neighbours"}
    return {
        name: _picture(name, draw, panels=1 if name in single else len(splits))
        for name, draw in drawings.items()
    }


_COLOURS = {
    name: f"#0a0b{i:02x}"
    for i, name in enumerate(["ink", "faint", "train", "validation", "test", *BASES])
}
"""Placeholder colours of the plots; the page's own colours replace them."""
_SETTINGS = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
}


def _picture(name: str, draw: Drawing, *, panels: int) -> str:
    """Draw panels side by side and return them as inline SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    text = io.StringIO()
    inked = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    faint = ("axes.edgecolor", "xtick.color", "ytick.color")
    settings: Any = {
        **_SETTINGS,
        "svg.hashsalt": name,  # makes the ids of every plot different
        **dict.fromkeys(inked, _COLOURS["ink"]),
        **dict.fromkeys(faint, _COLOURS["faint"]),
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(9.0, 2.6), layout="constrained")
        axes = list(figure.subplots(1, panels, squeeze=False)[0])
        for panel in axes:
            panel.spines[["top", "right"]].set_visible(False)
            panel.tick_params(length=3)
        draw(axes)
        figure.savefig(text, format="svg", transparent=True)
    return _inline(text.getvalue())


def _inline(svg: str) -> str:
    """Return an SVG file without its header and metadata, with the page's colours."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg
    )
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same in every picture, so no id
    for name, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg


def _each(splits: Mapping[str, SplitFacts], panel: Panel) -> Drawing:
    """Return a function that draws a panel for each split."""

    def draw(axes: list[Axes]) -> None:
        for place, (name, split) in zip(axes, splits.items(), strict=True):
            place.set_title(f"{name}, {split.rows:,} rows", loc="left", color=_COLOURS[name])
            panel(place, name, split)

    return draw


def _draw_lengths(axes: Axes, name: str, split: SplitFacts) -> None:
    lengths = [int(length) for length in split.lengths]
    axes.bar(lengths, list(split.lengths.values()), width=1, color=_COLOURS[name])
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(split.lengths.values()) * 2)
    axes.set_xlim(min(lengths) - 5, max(lengths) + 5)
    axes.set_xlabel("length with flanks (nt)")
    axes.set_ylabel("rows (log scale)")


def _draw_gc(axes: Axes, splits: Mapping[str, SplitFacts]) -> None:
    edges = [100 * i / GC_BINS for i in range(GC_BINS + 1)]
    for name, split in splits.items():
        known = max(sum(split.letters.gc_histogram), 1)
        shares = [100 * rows / known for rows in split.letters.gc_histogram]
        axes.stairs(shares, edges, color=_COLOURS[name], linewidth=1.6, label=name)
    axes.set_xlim(0, 100)
    axes.set_xlabel("G and C among the bases between the flanks (%)")
    axes.set_ylabel("share of rows (%)")
    axes.legend(frameon=False)


def _draw_positions(axes: Axes, name: str, split: SplitFacts) -> None:
    positions = range(1, len(split.letters.by_position) + 1)
    for i, base in enumerate(BASES):
        shares = [100 * at[i] for at in split.letters.by_position]
        axes.plot(positions, shares, color=_COLOURS[base], linewidth=1.3, label=base)
    axes.axhline(25, color=_COLOURS["faint"], linewidth=0.8, linestyle=":")
    axes.set_ylim(0, max(50, *(100 * max(at) for at in split.letters.by_position)))
    axes.set_xlabel("position after the left flank (nt)")
    axes.set_ylabel("share of bases (%)")
    axes.legend(frameon=False, ncols=4, loc="lower center", handlelength=1.2, columnspacing=1)


def _draw_targets(axes: Axes, name: str, split: SplitFacts) -> None:
    targets, colour = split.targets, _COLOURS[name]
    if targets.share_whole:
        axes.stairs(targets.rows, targets.edges, fill=True, color=colour, alpha=0.4, label="all")
        axes.stairs(targets.whole, targets.edges, fill=True, color=colour, label="whole numbers")
        axes.legend(frameon=False, loc="upper left")
    else:
        axes.stairs(targets.rows, targets.edges, fill=True, color=colour)
    axes.set_xlabel("target")
    axes.set_ylabel("rows")


def _draw_neighbours(axes: Axes, description: Description) -> None:
    overlaps = [overlap for overlap in description.overlaps if overlap.near]
    width = 0.8 / len(overlaps)
    for i, overlap in enumerate(overlaps):
        places = [n - 0.4 + (i + 0.5) * width for n in range(description.within + 1)]
        shares = [100 * rows / overlap.rows for rows in overlap.by_distance]
        # Two overlaps are of test rows; the second one gets lighter bars.
        alpha = 0.5 if (overlap.of, overlap.among) == ("test", "validation") else 1
        label = f"{overlap.of} rows, in {overlap.among}"
        axes.bar(places, shares, width * 0.9, color=_COLOURS[overlap.of], alpha=alpha, label=label)
    axes.set_xticks(range(description.within + 1))
    axes.set_xlabel("substitutions to the nearest row of the other split")
    axes.set_ylabel("share of rows (%)")
    axes.legend(frameon=False)
