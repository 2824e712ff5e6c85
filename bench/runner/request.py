"""What a user asks for, and the same with every name resolved and every value checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.config import override
from bench.console import SILENT, Screen
from bench.errors import BenchError
from bench.model import FittedModel, Model
from bench.recipe import Preset, Recipe
from bench.registry import MODELS, get_task
from bench.sources import locate
from bench.task import Task


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run as it is typed.

    Attributes:
        overrides: Values of ``--set``, by section (model, task, recipe) and field.
        simulate_rows: Train on a simulated assay of so many rows, in place of real data.
        fraction: Train on this part of the rows that are there; None for all. See
            :meth:`bench.dataset.Dataset.thinned`.
        download: Fetch what is missing of the published files.
        tested: Score the test rows with the chosen weights. A search leaves them alone.
        batch_per_device: Rows that go through the network at once.
        checkpoint_minutes: Time between two saved states.
        resume: A run folder to go on with.
        force: Train although the same run is finished or begun.
        study: The study and the trial that it belongs to.
        tuned: What finding its settings cost: study, trials, device-hours.
    """

    model: str
    task: str
    recipe: str = "standard"
    preset: str = "paper"
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    data: Path | None = None
    test_data: Path | None = None
    simulate_rows: int | None = None
    fraction: float | None = None
    seed: int = 0
    device: str = "auto"
    compiled: bool = False
    epochs: int | None = None
    max_steps: int | None = None
    max_seconds: float | None = None
    home: Path | None = None
    download: bool = False
    tested: bool = True
    batch_per_device: int | None = None
    checkpoint_minutes: float = 10.0
    resume: Path | None = None
    force: bool = False
    study: Mapping[str, Any] | None = None
    tuned: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what a run is to be repeated with, as JSON values."""
        asked = {name: getattr(self, name) for name in _DECIDES}
        folders = {"data", "test_data"}
        return {
            name: str(value.absolute()) if name in folders and value is not None else value
            for name, value in asked.items()
        }

    @classmethod
    def from_json(cls, asked: Mapping[str, Any], **here: Any) -> Request:
        """Return a recorded request, to be run ``here``: devices, places, checkpoints."""
        folders = {n: Path(asked[n]) for n in ("data", "test_data") if asked[n] is not None}
        return cls(**{**asked, **folders, **here})


_DECIDES = (
    *("model", "task", "recipe", "preset", "overrides", "data", "test_data", "simulate_rows"),
    *("fraction", "seed", "compiled", "epochs", "max_steps", "max_seconds", "tested"),
)  # what decides the result


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request's names as objects, its settings typed and in range."""

    model_class: type[Model]
    config: Any
    task: Task
    recipe: Recipe
    max_steps: int | None


def prepare(request: Request) -> Prepared:
    """Resolve a request: defaults, then the recipe's, the preset's, and ``--set`` last.

    Raises:
        BenchError: A name or a value is wrong.
    """
    model_class, task_class = MODELS.get(request.model), get_task(request.task)
    preset = named_preset(request.preset, request.model, model_class)
    for_model = {**preset.model, **request.overrides.get("model", {})}
    config = override(model_class.Config(), for_model, section="model")
    recipe, for_task = named_recipe(request.recipe, request.task, model_class, config)
    for_recipe = {**preset.recipe, **request.overrides.get("recipe", {})}
    if request.epochs is not None:
        for_recipe["epochs"] = request.epochs
    recipe = override(recipe, for_recipe, section="recipe")
    for_task = {**for_task, **request.overrides.get("task", {})}
    options = override(task_class.Options(), for_task, section="task")
    max_steps = request.max_steps or preset.max_steps
    return Prepared(model_class, config, task_class(options), recipe, max_steps)


def named_preset(name: str, model: str, model_class: type[Model]) -> Preset:
    """Return a model's preset; "paper" is its full size, and all a fitted model needs."""
    if name == "paper" or (issubclass(model_class, FittedModel) and name in ("smoke", "quick")):
        return Preset()
    if name not in model_class.presets:
        have = ", ".join(["paper", *model_class.presets])
        raise BenchError(f"{model} has no preset '{name}'. It has: {have}.")
    return model_class.presets[name]


def named_recipe(
    name: str, task: str, model_class: type[Model], config: Any
) -> tuple[Recipe, dict[str, object]]:
    """Return the standard recipe, or the paper's with the task options that belong to it."""
    if name == "standard":
        return Recipe(), {}
    if name == "paper":
        return model_class.paper_recipe(config), dict(model_class.paper_options.get(task, {}))
    raise BenchError(f"no recipe is called '{name}'. There are: standard, paper.")


def data_folder(request: Request, task: type[Task], screen: Screen = SILENT) -> Path:
    """Return the folder of the rows a request names, made or fetched first where it asks for that.

    Raises:
        BenchError: There is none.
    """
    if request.simulate_rows is None:
        if request.download and request.data is None:
            return locate.fetch(task, request.task, screen)
        return locate.find(task, request.task, request.data)
    if request.data is not None:
        raise BenchError("--simulate and --data exclude each other: give one of them.")
    return locate.simulated(task, request.task, rows=request.simulate_rows, seed=0)
