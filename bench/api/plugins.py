"""Names of models and tasks that are given as a name, a file, a class or rows in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.plugin_files import load_plugin_file
from bench.registry import MODELS, TASKS, Place, Registry

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.model import Model
    from bench.task import Task


def model_name(model: str | Path | type[Model]) -> str:
    """Return the name of a model, which is registered first if it is a file or a class.

    Raises:
        BenchError: The file defines no plugin, or the class is no model.
    """
    return _name(model, MODELS)


def task_name(task: str | Path | type[Task] | Dataset) -> str:
    """Return the name of a task; a file, a class or rows in memory are registered first.

    Raises:
        BenchError: The file defines no plugin, or the class is no task.
    """
    from bench.data.dataset import Dataset

    if isinstance(task, Dataset):
        from bench.sources.memory import memory_task

        return TASKS.register(memory_task(task), task.name)
    return _name(task, TASKS)


def loaded_files(places: Iterable[Place]) -> list[str]:
    """Return the files of plugins that a new process must load."""
    origins = dict.fromkeys(place.origin for place in places)
    return [origin for origin in origins if Path(origin).is_file()]


def _name(plugin: Any, registry: Registry[Any]) -> str:
    if not isinstance(plugin, str | Path):
        return registry.register(plugin)
    path = Path(plugin)
    if path.suffix != ".py":
        return str(plugin)
    known = {place.origin: name for name, place in registry.places().items()}
    if str(path) not in known:
        load_plugin_file(path)
        known = {place.origin: name for name, place in registry.places().items()}
    return known[str(path)]
