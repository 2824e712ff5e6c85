"""Models and tasks in files of a user, which are imported and registered when they are named."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BenchError, argument
from bench.registry import MODELS, TASKS, describe


def load_plugin_file(path: Path) -> None:
    """Import a user's file and register its model and its task under the name of the file.

    Raises:
        BenchError: The file is missing, cannot be imported, or defines no plugin.
    """
    module = _import_file(path)
    try:
        claims = [(registry, registry.claim(module, str(path))) for registry in (MODELS, TASKS)]
        if not any(place for _, place in claims):
            raise BenchError(
                f"{argument('plugin')} {path}: no class in it has a card and derives from "
                "bench.model.Model or bench.task.Task."
            )
    except BenchError:
        del sys.modules[module.__name__]
        raise
    for registry, place in claims:  # one file may define both a model and its task
        if place is not None:
            registry.add(place)


def load_class(path: Path, name: str) -> type[Any]:
    """Import a user's file, unless it is imported, and return one of its models or tasks.

    Raises:
        BenchError: The file is missing, cannot be imported, or has no such class.
    """
    module = sys.modules.get(path.stem)
    if module is None or Path(module.__file__ or "").absolute() != path.absolute():
        module = _import_file(path)
    bases = tuple(registry.base_class() for registry in (MODELS, TASKS))
    found = getattr(module, name, None)
    if not (inspect.isclass(found) and issubclass(found, bases)):
        classes = {n: c for n, c in vars(module).items() if inspect.isclass(c) and c not in bases}
        own = [n for n, c in classes.items() if issubclass(c, bases)]
        raise BenchError(
            f"{path} has no model and no task '{name}'. It has: {', '.join(own) or 'none'}."
        )
    return found


def _import_file(path: Path) -> ModuleType:
    """Import a user's file as a module of the file's name.

    Raises:
        BenchError: The file is missing or cannot be imported.
    """
    name = path.stem
    if not path.is_file():
        raise BenchError(f"{argument('plugin')} {path}: no such file.")
    if path.suffix != ".py" or not name.isidentifier() or _is_taken(name, path):
        raise BenchError(
            f"{argument('plugin')} {path}: rename the file to NAME.py; NAME is an identifier, and "
            "not the name of an installed module."
        )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module by name
    try:
        spec.loader.exec_module(module)
    except BenchError:
        del sys.modules[name]
        raise
    except Exception as error:  # a plugin may raise any error; the message has one line
        del sys.modules[name]
        raise BenchError(f"{argument('plugin')} {path}: {describe(error, path)}") from error
    return module


def _is_taken(name: str, path: Path) -> bool:
    """Return whether a module of this name exists that is not this file."""
    if name in sys.modules:
        return True
    found = importlib.util.find_spec(name)  # `python -m bench` finds the current folder's own
    if found is None:
        return False
    own = path.resolve()
    # A folder without __init__.py, such as that of a new plugin with the plugin's file in it.
    folders = [Path(folder).resolve() for folder in found.submodule_search_locations or ()]
    return (Path(found.origin) != own) if found.origin else folders != [own.parent]
