"""What is checked: a model or a task that a user names by its name, its file or its class."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.plugin_files import load_class, load_plugin_file
from bench.registry import MODELS, TASKS, Registry, get_task
from bench.task import Task

_KINDS: tuple[Registry[Any], ...] = (MODELS, TASKS)


@dataclass(frozen=True, slots=True)
class Target:
    """A plugin to check.

    Attributes:
        kind: Word "model" or "task".
        name: Name of the plugin.
        plugin: Class of the plugin.
        what: Name, file or ``file:Class`` with which another process finds the class; None for a
            class that no other process can import.
        built_in: Whether the plugin comes with the program.
    """

    kind: str
    name: str
    plugin: type[Any]
    what: str | None = None
    built_in: bool = False

    @property
    def simulates(self) -> bool:
        """Whether the plugin is a task that writes simulated files."""
        if self.kind == "model" or self.plugin.home is not None:
            return False
        return bool(self.plugin.simulate.__func__ is not Task.simulate.__func__)  # type: ignore[attr-defined]


def find(what: str) -> list[Target]:
    """Return the plugins that a text names: one, or the model and the task of one file or name.

    Args:
        what: Registered name, ``my_model.py``, ``my_model.py:MyNet``, or the file of a table.

    Raises:
        BenchError: Nothing has this name, or its file cannot be imported.
    """
    file, colon, name = what.rpartition(":")
    if colon and file.endswith(".py"):
        return [_class(Path(file), name)]
    if what.endswith(".py"):
        return _file(Path(what))
    if TASKS.is_file_name(what):
        return [Target("task", Path(what).name, get_task(what), str(Path(what).absolute()))]
    found = [_registered(registry, what) for registry in _KINDS if what in registry.places()]
    if not found:
        known = [*MODELS.places(), *TASKS.places()]
        close = difflib.get_close_matches(what, known, n=1)
        own = Path(what) / f"{Path(what).name.replace('-', '_')}.py"  # of `bench new`
        guess = str(own) if own.is_file() else repr(close[0]) if close else ""
        raise BenchError(
            f"no model and no task is called '{what}'.{guess and f' Did you mean {guess}?'} "
            "Name one of `bench models` or `bench tasks`, or a file such as my_model.py."
        )
    return found


def every() -> list[Target]:
    """Return all registered models, then all registered tasks."""
    return [_registered(registry, name) for registry in _KINDS for name in registry.places()]


def _registered(registry: Registry[Any], name: str) -> Target:
    place = registry.places()[name]
    what = place.origin if place.origin.endswith(".py") else name
    return Target(registry.kind, name, registry.get(name), what, place.origin == "built in")


def _class(path: Path, name: str) -> Target:
    plugin = load_class(path, name)
    kind = "model" if issubclass(plugin, MODELS.base_class()) else "task"
    return Target(kind, name, plugin, f"{path.absolute()}:{name}")


def _file(path: Path) -> list[Target]:
    """Return the plugins of a file, which is imported first unless --plugin has done it."""
    if not any(_places(registry, path) for registry in _KINDS):
        load_plugin_file(path)
    return [
        Target(registry.kind, name, registry.get(name), str(path.absolute()))
        for registry in _KINDS
        for name in _places(registry, path)
    ]


def _places(registry: Registry[Any], path: Path) -> list[str]:
    return [name for name, place in registry.places().items() if place.origin == str(path)]
