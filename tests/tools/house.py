"""Measure the shape of a checkout: files, imports, names, docstrings, function lengths.

    python -m tests.tools.house [FOLDER] [--names] [--json]

Sources are read as text; nothing of the checkout is imported, so trees before and after a
restructuring are measured by the same rules. Tests are not measured. ``bench/models``,
``bench/tasks`` and ``bench/leaderboards`` are symlinks; the folders that they lead to are read
instead, under the names ``bench.models`` and so on.
The graph of imports is that of :mod:`tests.tools.imports`.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import statistics
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.tools.imports import (
    Module,
    arrows,
    circles,
    longest_chain,
    read,
    single_importers,
)

LONG_FUNCTION, LONG_FILE = 40, 300
# First words that leave an argument's description without a noun before them.
OF_WHAT_WHERE = re.compile(r"(?:Of|What|Where)\b")
NO_NOUN = re.compile(
    r"(?:About|Above|After|Against|Along|Among|As|At|Before|Behind|Below|Beside|Between|Beyond|By|"
    r"During|For|From|How|If|In|Inside|Into|Of|On|Onto|Out|Outside|Over|Per|Since|That|Through|To|"
    r"Under|Until|Upon|What|Whatever|When|Where|Wherever|Which|Whichever|While|Who|Whoever|"
    r"Whom|Whose|Why|With|Within|Without)\b"
)
# Words of built-in plugins; the names of the files in models/ and tasks/ are added to them.
PLUGIN_WORDS = ("dream", "gm12878", "proformer", "madlab", "kmer_ridge", "SNVs")
PLUGIN_TEXTS = (r"\(\s*17\s*,\s*13\s*\)", "[\"']layers[\"']")  # flanks; the helpers' folder
OWN_NAME = re.compile("dream[-_]bench")  # the distribution and its cache folder: names no plugin


def twice(pairs: Iterator[tuple[str, str]]) -> list[str]:
    """Return ``key: place, place`` for every key that has two places or more."""
    places = defaultdict(set)
    for key, place in pairs:
        places[key].add(place)
    return [f"{key}: {', '.join(sorted(at))}" for key, at in sorted(places.items()) if len(at) > 1]


def public_names(module: Module) -> Iterator[str]:
    """Yield the module-level classes and functions without an underscore."""
    defined = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in module.tree.body:
        if isinstance(node, defined) and not node.name.startswith("_"):
            yield node.name


def argument_lines(module: Module) -> Iterator[tuple[str, str]]:
    """Yield place and description of every argument and attribute that a docstring explains."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(module.tree):
        if not isinstance(node, documented):
            continue
        indent: int | None = None  # of the section's entries; 0 before the first; None outside
        for line in (ast.get_docstring(node) or "").splitlines():
            if line.strip() and not line.startswith(" "):
                indent = 0 if line.strip() in ("Args:", "Attributes:") else None
            elif line.strip() and indent is not None:
                depth = len(line) - len(line.lstrip())
                indent = indent or depth
                entry = re.match(r"\s+([*\w]+(?:, [*\w]+)*)(?: \([^)]*\))?:\s+(\S.*)", line)
                if entry and depth == indent:
                    owner = getattr(node, "name", "")
                    yield f"{module.path}: {owner}({entry[1]})", entry[2]


# Functions, and lines of code


def function_lengths(module: Module) -> Iterator[tuple[str, int]]:
    """Yield place and lines of every function and method, without its decorators."""
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield f"{module.path}:{node.lineno} {node.name}", lines


def code_lines(module: Module) -> list[str]:
    """Return the lines of a file with comments and docstrings blanked."""
    lines = module.text.splitlines()
    in_docstring = {
        line
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        (first, start), (last, end) = token.start, token.end
        docstring = token.type == tokenize.STRING and first in in_docstring
        if token.type == tokenize.COMMENT or docstring:
            for row in range(first - 1, last):
                a, b = (start if row == first - 1 else 0), (end if row == last - 1 else None)
                tail = "" if b is None else lines[row][b:]
                lines[row] = lines[row][:a] + " " * (len(lines[row]) - a - len(tail)) + tail
    return lines


def plugin_lines(modules: Mapping[str, Module]) -> Iterator[tuple[Module, str]]:
    """Yield file and ``place: line`` for code outside plugins that has a built-in plugin's name.

    A word counts where letters and digits do not go on around it, in any case, with ``-`` or
    ``_``: ``--snvs``, ``DreamOptions`` and ``GM12878`` count.
    """
    names = set(filter(None, map(_plugin_name, modules.values())))
    words = sorted({re.sub("[-_]", "[-_]", word) for word in (*PLUGIN_WORDS, *names)})
    word = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(words)})(?![a-z0-9])", re.IGNORECASE)
    text = re.compile("|".join(PLUGIN_TEXTS))
    for module in modules.values():
        if module.is_plugin:
            continue
        for number, line in enumerate(code_lines(module), 1):
            plain = OWN_NAME.sub("", line)
            plain = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", plain)
            if word.search(plain) or text.search(line):
                yield module, f"{module.path}:{number}: {line.strip()}"


def _plugin_name(module: Module) -> str | None:
    """Return the name of the plugin that a file belongs to; None for helpers and the engine."""
    name = [*module.name.split("."), "", ""][2] if module.is_plugin else ""
    return None if not name or name.startswith("_") or name == "layers" else name


@dataclass(frozen=True)
class Figure:
    """One line of the report: a key for JSON, a text, a number, and what was counted."""

    key: str
    text: str
    value: float
    names: list[str]


def measure(root: Path) -> list[Figure]:
    """Return every figure of the checkout."""
    modules = read(root)
    return [*_graph_figures(modules), *_name_figures(modules), *_size_figures(modules)]


def _graph_figures(modules: Mapping[str, Module]) -> Iterator[Figure]:
    graph = arrows(modules)
    drawn = [" <-> ".join(circle) for circle in circles(graph)]
    typed = [" <-> ".join(circle) for circle in circles(arrows(modules, typing=True))]
    chain = [" <-> ".join(part) for part in longest_chain(graph)]
    at_top = [" <-> ".join(part) for part in longest_chain(arrows(modules, inside=False))]
    loose = [
        name
        for name, module in modules.items()
        if module.path.parent == Path("bench") and module.path.stem not in ("__init__", "__main__")
    ]
    single = single_importers(modules)
    few = [f"{name} <- {importer}" for name, importer in single.items()]
    few_loose = [f"{name} <- {single[name]}" for name in loose if name in single]
    yield _count("files", "files of bench/, models/, tasks/, leaderboards/", list(modules))
    yield _count("loose", "loose modules in bench/", loose)
    yield _count("circles", "import circles", drawn)
    yield _count("circles_typing", "import circles, with imports for type checkers", typed)
    yield _count("layers", "layers: files in the longest chain of imports", chain)
    yield _count("layers_top", "layers, without imports in functions", at_top)
    yield _count("single_importer", "modules with exactly one importer", few)
    yield _count("single_importer_loose", "loose modules with exactly one importer", few_loose)


def _name_figures(modules: Mapping[str, Module]) -> Iterator[Figure]:
    files = list(modules.values())
    stems = twice((file.path.stem, str(file.path)) for file in files if not file.is_package)
    names = twice((name, str(file.path)) for file in files for name in public_names(file))
    yield _count("stems_twice", "file names that exist twice", stems)
    yield _count("names_twice", "public names that exist twice", names)
    lines = [pair for file in files for pair in argument_lines(file)]
    shown = [(f"{place}: {text}", text) for place, text in lines]
    yield Figure("argument_lines", "argument lines in docstrings", len(lines), [])
    for key, words, text in (
        ("no_noun", NO_NOUN, "argument lines without a noun (Of, What, How, By, In …)"),
        ("of_what_where", OF_WHAT_WHERE, "argument lines that begin with Of, What or Where"),
    ):
        yield _count(key, text, [line for line, description in shown if words.match(description)])
    found = list(plugin_lines(modules))
    boards = [place for file, place in found if file.name.startswith("bench.leaderboards")]
    demo = [place for file, place in found if file.path.stem == "demo"]
    engine = [place for _, place in found if place not in boards and place not in demo]
    yield _count("plugins_named", "lines of bench/ that name a plugin", engine)
    yield _count("plugins_named_demo", "lines of the demo that name a plugin", demo)
    yield _count("plugins_named_boards", "lines of leaderboards/ that name a plugin", boards)


def _size_figures(modules: Mapping[str, Module]) -> Iterator[Figure]:
    lengths = [pair for module in modules.values() for pair in function_lengths(module)]
    lengths.sort(key=lambda pair: -pair[1])
    long = [f"{place} {lines}" for place, lines in lengths if lines > LONG_FUNCTION]
    sizes = [(len(module.text.splitlines()), module.path) for module in modules.values()]
    large = [f"{path} {lines}" for lines, path in sorted(sizes, reverse=True) if lines > LONG_FILE]
    median = statistics.median([lines for _, lines in lengths] or [0])
    yield Figure("functions", "functions and methods", len(lengths), [])
    yield Figure("function_median", "lines of the median function", median, [])
    yield _count("functions_long", f"functions above {LONG_FUNCTION} lines", long)
    yield Figure("lines", "lines of Python", sum(lines for lines, _ in sizes), [])
    yield _count("files_long", f"files above {LONG_FILE} lines", large)


def _count(key: str, text: str, names: list[str]) -> Figure:
    return Figure(key, text, len(names), names)


def main(arguments: list[str] | None = None) -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.house", description="Measure.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[2])
    parser.add_argument("--names", action="store_true", help="list what was counted")
    parser.add_argument("--json", action="store_true", help="print JSON, with all lists")
    chosen = parser.parse_args(arguments)
    figures = measure(chosen.folder)
    if not figures[0].value:
        parser.error(f"{chosen.folder} holds no bench/ with Python files.")
    if chosen.json:
        table = {item.key: {"value": item.value, "names": item.names} for item in figures}
        sys.stdout.write(json.dumps(table, indent=1) + "\n")
        return
    for item in figures:
        sys.stdout.write(f"{item.value:7g}  {item.text}\n")
        if chosen.names:
            sys.stdout.writelines(f"           {name}\n" for name in item.names)


if __name__ == "__main__":
    main()
