"""The library is quiet: it prints nothing and changes no setting of the process that imports it.

The command line (bench/cli/) may do all of it, and bench/console.py prints progress for whoever
hands a console in. Everywhere else the sources are read as text, and these are found:

* ``print``, ``sys.stdout``, ``sys.stderr``, ``traceback.print_…``, ``click.echo``, a console of
  rich: something would be printed;
* ``signal.signal`` and its kin: signals would be taken from the program around;
* writes to ``os.environ``;
* log levels: ``setLevel``, ``set_verbosity``, ``logging.basicConfig``, ``logging.disable``;
* any function of ``gc``;
* filters of warnings outside ``with warnings.catch_warnings()``.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.imports import read

ROOT = Path(__file__).parents[1]
LOUD = ("bench/cli/", "bench/console.py")
EXCEPTIONS = {
    ("bench/tuning/trial.py", "gc.collect"): "frees a failed trial's memory; changes no setting",
    ("bench/contract/ranks.py", "os.environ.update"): "in a process that this file has started",
}
_ENVIRONMENT = r"os\.environ\.(setdefault|update|pop|popitem|clear)|os\.(putenv|unsetenv)"
FORBIDDEN = re.compile(
    r"print|sys\.(__)?(stdout|stderr)(__)?|traceback\.print_\w+|click\.s?echo|rich\.print"
    r"|rich\.console\.Console"
    r"|signal\.(signal|set_wakeup_fd|siginterrupt|setitimer|alarm|pthread_sigmask)"
    rf"|{_ENVIRONMENT}"
    r"|(.*\.)?(setLevel|set_verbosity|disable_default_handler)|logging\.(basicConfig|disable)"
    r"|logging\.config\.\w+|gc\.\w+"
)
FILTERS = re.compile(r"warnings\.(filterwarnings|simplefilter|resetwarnings)")


def faults(text: str) -> list[str]:
    """Return ``line: name`` for everything in a source that a library does not do."""
    tree = ast.parse(text)
    return [f"{line}: {name}" for line, name in _Reader(tree).faults(tree, caught=False)]


class _Reader:
    """One source, with the full names of what it imports."""

    def __init__(self, tree: ast.Module) -> None:
        self._names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for item in node.names:
                    root = item.name.partition(".")[0]
                    self._names[item.asname or root] = item.name if item.asname else root
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for item in node.names:
                    self._names[item.asname or item.name] = f"{node.module}.{item.name}"

    def faults(self, node: ast.AST, *, caught: bool) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.With):
            items = [self._name(item.context_expr) for item in node.items]
            caught = caught or "warnings.catch_warnings" in items
        name = self._name(node)
        loud = FORBIDDEN.fullmatch(name) or (FILTERS.fullmatch(name) and not caught)
        if loud and isinstance(node, ast.Attribute | ast.Name):
            yield node.lineno, name
            return
        if (
            isinstance(node, ast.Subscript)
            and not isinstance(node.ctx, ast.Load)
            and self._name(node.value) == "os.environ"
        ):
            yield node.lineno, "os.environ[…]"
        for child in ast.iter_child_nodes(node):
            yield from self.faults(child, caught=caught)

    def _name(self, node: ast.AST) -> str:
        """Return the full dotted name of an expression; of a call, that of its function."""
        if isinstance(node, ast.Name):
            # A name that is not imported is a variable, but for the built-in one.
            return self._names.get(node.id, node.id if node.id == "print" else "?")
        if isinstance(node, ast.Attribute):
            return f"{self._name(node.value)}.{node.attr}"
        return self._name(node.func) if isinstance(node, ast.Call) else "?"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("print('x')", "print"),
        ("f(end=print)", "print"),
        ("import sys\nx.write(sys.stderr)", "sys.stderr"),
        ("from sys import stdout as s\ns.flush()", "sys.stdout"),
        ("import traceback\ntraceback.print_exc()", "traceback.print_exc"),
        ("from rich.console import Console\nConsole()", "rich.console.Console"),
        ("import signal as s\ns.signal(2, f)", "signal.signal"),
        ("import os\nos.environ['A'] = 'b'", "os.environ[…]"),
        ("import os\ndel os.environ['A']", "os.environ[…]"),
        ("from os import environ\nenviron.setdefault('A', 'b')", "os.environ.setdefault"),
        ("import os\nos.putenv('A', 'b')", "os.putenv"),
        ("import logging\nlogging.getLogger('a').setLevel(3)", "logging.getLogger.setLevel"),
        ("import logging\nlogging.disable()", "logging.disable"),
        ("import optuna\noptuna.logging.set_verbosity(1)", "optuna.logging.set_verbosity"),
        ("from gc import disable\ndisable()", "gc.disable"),
        ("import warnings\nwarnings.simplefilter('error')", "warnings.simplefilter"),
        (
            "import warnings as w\nwith w.catch_warnings():\n    pass\nw.filterwarnings('x')",
            "warnings.filterwarnings",
        ),
    ],
)
def test_what_is_loud_is_found(text: str, found: str) -> None:
    assert [fault.split(": ")[1] for fault in faults(text)] == [found]


@pytest.mark.parametrize(
    "text",
    [
        "import os\nx = os.environ['A']; y = os.environ.get('B'); z = {'C': '1', **os.environ}",
        "import signal\nprocess.send_signal(signal.SIGINT); signal.Signals(2)",
        "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')",
        "import sys\nsys.stdin.buffer; sys.executable",
        "def fingerprint(): 'print(this)'",
        "gc = values; gc.mean()",
        "import logging\nlogging.getLogger('bench').info('x')",
    ],
)
def test_what_is_quiet_is_left_alone(text: str) -> None:
    assert faults(text) == []


def test_the_library_is_quiet() -> None:
    modules = read(ROOT)
    assert len(modules) > 100, f"{ROOT} is not the checkout"
    found = [
        (str(module.path), fault)
        for module in modules.values()
        if not str(module.path).startswith(LOUD)
        for fault in faults(module.text)
    ]
    known = {(path, fault.split(": ")[1]) for path, fault in found}
    assert known >= EXCEPTIONS.keys(), "an exception is not needed any more: remove it"
    told = [
        f"{path}:{fault}" for path, fault in found if (path, fault.split(": ")[1]) not in EXCEPTIONS
    ]
    if told:
        pytest.fail("\n  ".join(["The command line may do this, the library not:", *told]), False)
