"""Read the imports of a checkout as a graph of files, and find the circles in it.

A node is a file. An arrow leads from a file to the file *in which the imported name is
written*, wherever the import stands, also in a function:

* ``from package import name`` leads to ``package/name.py`` where that file exists. Where the
  package's ``__init__`` imports the name from another file, it leads to that file. Only a name
  that is written in the ``__init__`` itself gives an arrow to the ``__init__``.
* ``import package`` and ``from folder import package`` give one arrow for each attribute that the
  file reads, by the same rule: ``package.name`` leads to the file of ``name``.
* An import under ``if TYPE_CHECKING`` gives no arrow: it does not happen when the program runs.
* Python executes a package's ``__init__`` whenever it imports a file of the package. That alone
  gives no arrow: the reader of the importing file does not need the ``__init__``.
* ``importlib.import_module("bench.x")`` with a literal name counts as ``import bench.x``.

A circle is a set of files each of which can be reached from each other one along arrows (a strongly
connected component of two files or more): none of them can be understood, tested or moved alone.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDERS = ("bench", "models", "tasks", "leaderboards")
PLUGINS = ("models", "tasks")

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Import:
    """One name that a file imports.

    Attributes:
        alias: Name in the file, dotted for ``import a.b``.
        target: Dotted name of the imported module or of a name in it.
        typing: True under ``if TYPE_CHECKING``.
        inside: True in a function or a class.
    """

    alias: str
    target: str
    typing: bool
    inside: bool


@dataclass(frozen=True)
class Module:
    """One file of the checkout: dotted name, path below the checkout, and text."""

    name: str
    path: Path
    text: str

    @property
    def is_package(self) -> bool:
        """True for an ``__init__.py``."""
        return self.path.name == "__init__.py"

    @property
    def is_plugin(self) -> bool:
        """True for a file of models/ or tasks/."""
        return self.name.split(".")[1:2] in ([name] for name in PLUGINS)

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed text."""
        return ast.parse(self.text, str(self.path))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every imported name, in the order of the text."""
        return tuple(self._find_imports(self.tree, typing=False, inside=False))

    @cached_property
    def chains(self) -> frozenset[str]:
        """Every name that the file reads, with all the attributes that follow it: ``a.b.c``."""
        nodes = list(ast.walk(self.tree))
        parts = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        return frozenset(filter(None, (_dotted(node) for node in nodes if id(node) not in parts)))

    def attributes(self, alias: str) -> list[str]:
        """Return the attributes of a name that the file reads: ``b.c`` for ``a.b.c``."""
        start = f"{alias}."
        return [chain.removeprefix(start) for chain in self.chains if chain.startswith(start)]

    def hands_on(self, item: Import) -> bool:
        """Return True where an ``__init__`` imports a name and does not read it itself."""
        read = item.alias in self.chains or self.attributes(item.alias)
        return self.is_package and not item.inside and not read

    def _find_imports(self, node: ast.AST, *, typing: bool, inside: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and (_dotted(node.test) or "").endswith("TYPE_CHECKING"):
            for statement in node.body:
                yield from self._find_imports(statement, typing=True, inside=inside)
            for statement in node.orelse:
                yield from self._find_imports(statement, typing=typing, inside=inside)
            return
        for alias, target in self._bindings(node):
            yield Import(alias, target, typing, inside)
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        for child in ast.iter_child_nodes(node):
            yield from self._find_imports(child, typing=typing, inside=inside)

    def _bindings(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        """Yield the local name and the full name of everything that one statement imports."""
        if isinstance(node, ast.Import):
            for item in node.names:
                yield item.asname or item.name, item.name
        elif isinstance(node, ast.ImportFrom):
            base = self._absolute(node)
            for item in node.names:
                yield item.asname or item.name, f"{base}.{item.name}"
        elif isinstance(node, ast.Call) and (_dotted(node.func) or "").endswith("import_module"):
            yield from (("", str(arg.value)) for arg in node.args if isinstance(arg, ast.Constant))

    def _absolute(self, node: ast.ImportFrom) -> str:
        """Return the full name of the module that a ``from`` statement names."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


def read(root: Path) -> dict[str, Module]:
    """Read every Python file below bench/, models/, tasks/ and leaderboards/, by dotted name."""
    modules = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            below = path.relative_to(root)
            steps = [root.joinpath(*below.parts[: n + 1]) for n in range(len(below.parts))]
            if any(step.is_symlink() for step in steps):
                continue
            parts = list(below.with_suffix("").parts)
            parts = parts if folder == "bench" else ["bench", *parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            modules[name] = Module(name, below, path.read_text(encoding="utf-8"))
    return modules


# The graph


def arrows(
    modules: Mapping[str, Module],
    *,
    typing: bool = False,
    inside: bool = True,
    handed_on: bool = True,
) -> dict[str, frozenset[str]]:
    """Return the arrows of every file; the rule is at the top of this module.

    Args:
        modules: Files of the checkout.
        typing: Imports under ``if TYPE_CHECKING`` count, too.
        inside: Imports in functions and classes count.
        handed_on: Names count that an ``__init__`` imports only for others to import.
    """
    graph = {}
    for name, module in modules.items():
        found: set[str | None] = set()
        for item in module.imports:
            if (
                (typing or not item.typing)
                and (inside or not item.inside)
                and (handed_on or not module.hands_on(item))
            ):
                found.update(_files_read(modules, module, item))
        graph[name] = frozenset(file for file in found if file is not None) - {name}
    return graph


def _files_read(
    modules: Mapping[str, Module], module: Module, item: Import
) -> Iterator[str | None]:
    """Yield the files in which the names are written that one import gives access to."""
    target = modules.get(item.target)
    attributes = module.attributes(item.alias) if target and target.is_package else []
    for attribute in attributes:
        yield _origin(modules, f"{item.target}.{attribute}")
    if not attributes:
        yield _origin(modules, item.target)


def _origin(
    modules: Mapping[str, Module], dotted: str, seen: frozenset[str] = frozenset()
) -> str | None:
    """Return the file in which a dotted name is written; None where it is not of this checkout."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        name, rest = ".".join(parts[:cut]), parts[cut:]
        if name not in modules:
            continue
        if rest and modules[name].is_package and dotted not in seen:
            for item in modules[name].imports:
                if item.alias == rest[0] and not item.inside:
                    onward = ".".join([item.target, *rest[1:]])
                    return _origin(modules, onward, seen | {dotted}) or name
        return name
    return None


def components(graph: Graph) -> list[list[str]]:
    """Return the strongly connected components (Tarjan), each after all those it leads to."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            start = stack.index(node)
            found.append(sorted(stack[start:]))
            del stack[start:]

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Return every component of two files or more."""
    return sorted(part for part in components(graph) if len(part) > 1)


def longest_chain(graph: Graph) -> list[list[str]]:
    """Return the longest chain of arrows, from the top; a circle is one link of it."""
    below: dict[str, list[list[str]]] = {}
    for part in components(graph):
        others = sorted({other for node in part for other in graph[node]} - set(part))
        chain = [part, *max((below[other] for other in others), key=len, default=[])]
        below.update(dict.fromkeys(part, chain))
    return max(below.values(), key=len, default=[])


def single_importers(modules: Mapping[str, Module]) -> dict[str, str]:
    """Return the files that exactly one file imports, with that file."""
    importers = defaultdict(list)
    for name, others in arrows(modules, handed_on=False).items():
        for other in others:
            importers[other].append(name)
    return {name: found[0] for name, found in sorted(importers.items()) if len(found) == 1}


# Names and docstrings


def _dotted(node: ast.AST) -> str | None:
    """Return ``a.b.c`` of a name with attributes, None for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return base and f"{base}.{node.attr}"
    return None


# The report
