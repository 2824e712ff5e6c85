"""Registries of models and tasks, which import only the plugin that is used.

A plugin is a subclass of :class:`bench.model.Model` or :class:`bench.task.Task` from one of three
places:

- a module of ``bench.models`` or ``bench.tasks``; the plugin's name is the file's, with dashes
- an entry point of an installed distribution, in the group ``bench.models`` or ``bench.tasks``
- a file given by ``--plugin``; see :mod:`bench.plugin_files`
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bench.errors import BenchError, argument
from bench.inert import for_terminal

if TYPE_CHECKING:
    from bench.model import Model
    from bench.task import Task

P = TypeVar("P")

AT_HAND = "at hand"
"""Origin of a class that was registered in Python, such as one from a notebook."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Location of a plugin's class, known before the class is imported."""

    name: str
    module: str
    attribute: str | None = None
    """Class name, if an entry point gives one; otherwise the module has only one plugin class."""
    origin: str
    """"built in", a distribution's name, or a file's path."""


class Registry(Generic[P]):
    """Mapping of names to plugin classes; a module is imported at the first use of its plugin.

    Args:
        kind: Word for messages, "model" or "task".
        package: Package of the built-in plugins, and name of the entry-point group.
        base: Base class of the plugins, as "module:Class"; imported at first use.
        makers: Functions that create a plugin from a user's data file, as "module:function", by
            suffixes of the file's name; imported at first use.
    """

    def __init__(
        self, kind: str, package: str, base: str, makers: Mapping[tuple[str, ...], str] = {}
    ) -> None:
        self.kind, self.package, self._base, self._makers = kind, package, base, makers
        self._extra: dict[str, Place] = {}
        self._at_hand: dict[str, type[P]] = {}

    def places(self) -> dict[str, Place]:
        """Return the place of every known plugin by name, without imports.

        Raises:
            BenchError: Two plugins have one name.
        """
        found = dict(self._extra)
        for name, plugin in self._at_hand.items():
            found[name] = Place(name=name, module=plugin.__module__, origin=AT_HAND)
        for place in [*self._built_in(), *self._installed()]:
            if place.name in found:
                raise BenchError(
                    f"two {self.kind}s are called '{place.name}': one {found[place.name].origin}, "
                    f"one {place.origin}. Rename one of them."
                )
            found[place.name] = place
        return dict(sorted(found.items()))

    def get(self, name: str) -> type[P]:
        """Import and return the plugin called ``name``.

        Raises:
            BenchError: There is no such plugin, or its module cannot be imported.
        """
        places = self.places()
        if name not in places:
            close = difflib.get_close_matches(name, places, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            if name.endswith(".py"):
                hint = f" Add {argument('plugin', name)}, and name its {self.kind}, not the file."
            raise BenchError(
                f"no {self.kind} is called '{name}'.{hint} "
                f"Run `bench {self.kind}s` to see all {len(places)}.",
                field=self.kind,
            )
        if name in self._at_hand:
            return self._at_hand[name]
        place = places[name]
        module = self._import(place)
        classes = self._classes(module)
        if place.attribute is not None:
            classes = [plugin for plugin in classes if plugin.__name__ == place.attribute]
        if len(classes) != 1:
            raise BenchError(
                f"{self.kind} '{name}' ({place.origin}): {place.module} must define one class with "
                f"a card, derived from {self._base.replace(':', '.')}; it has {len(classes)}."
            )
        return classes[0]

    def register(self, plugin: type[P], name: str | None = None) -> str:
        """Register a class, such as one from the cell of a notebook.

        Args:
            plugin: Class to register. A class that has a name already keeps it. The class replaces
                an earlier registered class of the same name, as when a cell is run again.
            name: Name of the plugin; if None, the name of the class with dashes: my-net for MyNet.

        Returns:
            Name of the plugin.

        Raises:
            BenchError: The class is not a plugin of this kind, or another plugin has the name.
        """
        if not (inspect.isclass(plugin) and issubclass(plugin, self.base_class())):
            raise BenchError(
                f"a {self.kind} is a name or a class derived from "
                f"{self._base.replace(':', '.')}; got {plugin!r}."
            )
        name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", plugin.__name__).lower()
        for place in self.places().values():
            if place.origin != AT_HAND and place.module == plugin.__module__:
                return place.name
        if name in self.places() and name not in self._at_hand:
            raise BenchError(f"a {self.kind} called '{name}' exists. Rename the class.")
        self._at_hand[name] = plugin
        return name

    def is_file_name(self, name: str) -> bool:
        """Return whether a name is that of a data file from which a plugin can be created."""
        return name.endswith(tuple(end for ends in self._makers for end in ends))

    def from_file(self, path: Path) -> type[P]:
        """Return a plugin created from a user's data file.

        Raises:
            BenchError: The file is missing or wrong.
        """
        maker = next(maker for ends, maker in self._makers.items() if path.name.endswith(ends))
        plugin: type[P] = _imported(maker)(path)
        return plugin

    def claim(self, module: ModuleType, origin: str) -> Place | None:
        """Find the plugin that an imported module defines; it gets the name of the module.

        Returns:
            Place of the plugin, for :meth:`add`; None if the module defines no plugin.

        Raises:
            BenchError: The module defines two plugins, or the name is taken.
        """
        classes = self._classes(module)
        if not classes:
            return None
        name = module.__name__.replace("_", "-")
        if len(classes) > 1:
            names = " and ".join(plugin.__name__ for plugin in classes)
            raise BenchError(
                f"{origin} defines {names}: put each {self.kind} in a file of its own."
            )
        if name in self.places():
            raise BenchError(f"{origin}: a {self.kind} called '{name}' exists. Rename the file.")
        return Place(name=name, module=module.__name__, origin=origin)

    def add(self, place: Place) -> None:
        """Register a place that :meth:`claim` returned."""
        self._extra[place.name] = place

    def _built_in(self) -> list[Place]:
        path = importlib.import_module(self.package).__path__
        return [
            Place(
                name=module.name.replace("_", "-"),
                module=f"{self.package}.{module.name}",
                origin="built in",
            )
            for module in pkgutil.iter_modules(path)
            if not module.name.startswith("_")
        ]

    def _installed(self) -> list[Place]:
        return [
            Place(
                name=point.name,
                module=point.module,
                attribute=point.attr or None,
                origin=point.dist.name if point.dist else "installed",
            )
            for point in entry_points(group=self.package)
        ]

    def _import(self, place: Place) -> ModuleType:
        try:
            return importlib.import_module(place.module)
        except BenchError:
            raise
        except Exception as error:  # a broken plugin must not break the others
            raise BenchError(
                f"{self.kind} '{place.name}' ({place.origin}) cannot be imported: {describe(error)}"
            ) from error

    def _classes(self, module: ModuleType) -> list[type[Any]]:
        """Return the plugin classes (the classes with a card) that a module or package defines."""
        base = self.base_class()
        found = [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, base)
            and hasattr(value, "card")
            and f"{value.__module__}.".startswith(f"{module.__name__}.")
        ]
        return list(dict.fromkeys(found))  # a class may have two names in its module

    def base_class(self) -> type[Any]:
        """Import and return the base class of the plugins."""
        base: type[Any] = _imported(self._base)
        return base


MODELS: Registry[Model] = Registry("model", "bench.models", "bench.model:Model")
TASKS: Registry[Task] = Registry(
    "task",
    "bench.tasks",
    "bench.task:Task",
    makers={(".tsv", ".tsv.gz", ".toml"): "bench.sources.user_table:table_task"},
)


def get_task(name: str) -> type[Task]:
    """Return the task called ``name``, or the task of the table or TOML file at that path.

    Raises:
        BenchError: There is no such task, or the file is wrong.
    """
    return TASKS.from_file(Path(name)) if TASKS.is_file_name(name) else TASKS.get(name)


def check_named(what: str, model: str, task: str | None, files: Iterable[str]) -> None:
    """Check that the model and the task that a file of results names are registered.

    Whoever writes a study or a run folder chooses which code it names, so none of it is imported:
    the user names every plugin file, on the command line or in Python.

    Args:
        what: Study or run that needs them, for the message.
        model: Name of the model.
        task: Name of the task; None if it is not needed.
        files: Plugin files that it records.

    Raises:
        BenchError: A plugin is missing, and a file is recorded for it.
    """
    files = list(files)
    models = model in MODELS.places()
    tasks = task is None or TASKS.is_file_name(task) or task in TASKS.places()
    if files and not (models and tasks):
        missing = f"the task '{task}'" if models else f"the model '{model}'"
        named = " and ".join(argument("plugin", for_terminal(file)) for file in files)
        raise BenchError(
            f"{what} needs {missing}. Its code is run only if you name the file: add {named}, if "
            "you trust it.",
            field="plugin",
        )


def _imported(place: str) -> Any:
    """Import and return the object at "module:name"."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def describe(error: BaseException, file: Path | None = None) -> str:
    """Return the type, text and place of an error in one line; the place in a file, if given."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file and Path(frame.filename) == file.absolute()]
    place = next((f"{frame.filename}:{frame.lineno}" for frame in reversed(own or frames)), "?")
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} ({place})"
