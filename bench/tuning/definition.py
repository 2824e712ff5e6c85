"""The definition of a search: a request, its search space, and all that decides a trial's score."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config import spell
from bench.errors import BenchError, argument
from bench.model import FittedModel, Model
from bench.recipe import SPACE, Recipe
from bench.registry import MODELS, TASKS
from bench.results.options import Request
from bench.search_space import Space, Spaces, Value, checked, parsed

OBJECTIVE = "best validation/pearson"
Params = Mapping[str, Value]
"""Values of one trial, by ``section.field``."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The definition of a search, as a study stores it.

    Attributes:
        request: Run that the trials vary, at its full budget and on all of the data.
        space: Space of every setting that varies, by ``section.field``.
        epochs, fraction: Smaller budget of a trial; None for that of the request. The fraction is
            a share of the training rows that the request uses.
        seeds: Seeds of a trial's runs; the score of the trial is the mean over them.
        max_parameters: Largest number of parameters of a feasible model.
        max_memory: Largest memory of a feasible trial, in gigabytes (1e9 bytes).
        pruned: Whether trials that are behind the others end early.
        sampler: Name from :data:`bench.tuning.samplers.SAMPLERS`.
        sampler_seed: Seed of the sampler.
        beat: Seconds between two heartbeats of a worker.
        plugins: Python files that define the model or the task.
    """

    request: Request
    space: Spaces
    epochs: int | None = None
    fraction: float | None = None
    seeds: tuple[int, ...] = (0,)
    max_parameters: int | None = None
    max_memory: float | None = None
    pruned: bool = True
    sampler: str = "tpe"
    sampler_seed: int = 0
    beat: float = 15.0
    plugins: tuple[str, ...] = ()

    def refit(self, params: Params, *, tuned: Mapping[str, Any] | None = None) -> Request:
        """Return the request of a run with a trial's values, at full budget and with test rows.

        Args:
            params: Values of the trial.
            tuned: Cost of the search that found the values.
        """
        return dataclasses.replace(
            self.request, overrides=self._with(params), seed=self.seeds[0], tuned=tuned
        )

    def trial(
        self, params: Params, *, seed: int, study: Mapping[str, object] | None = None
    ) -> Request:
        """Return the request of one run of a trial; the test rows are not scored.

        Args:
            params: Values of the trial.
            seed: Seed of the weights and of the order of the rows.
            study: Name of the study and number of the trial.
        """
        fraction = self.request.fraction
        if self.fraction is not None:
            fraction = self.fraction * (1.0 if fraction is None else fraction)
        epochs = self.request.epochs if self.epochs is None else self.epochs
        return dataclasses.replace(
            self.request,
            overrides=self._with(params),
            seed=seed,
            epochs=epochs,
            fraction=fraction,
            study=study,
            tested=False,
            force=True,  # a trial whose worker died is run again
        )

    def _with(self, params: Params) -> dict[str, dict[str, str]]:
        overrides = {name: dict(self.request.overrides.get(name, {})) for name in _SECTIONS}
        for name, value in params.items():
            section, _, field = name.partition(".")
            overrides[section][field] = spell(value)
        return overrides

    def identity(self, fingerprint: str, task_version: int) -> dict[str, str]:
        """Return the values that all workers of a study must have in common, by field."""
        request = self.request
        budget = {
            "epochs": self.epochs or request.epochs,
            "fraction": self.fraction,
            "max_steps": request.max_steps,
            "max_seconds": request.max_seconds,
        }
        fixed = [
            f"{section}.{field}={value}"
            for section, values in sorted(request.overrides.items())
            for field, value in sorted(values.items())
        ]
        return {
            "task": f"{request.task} version {task_version}",
            "data": fingerprint,
            "model": request.model,
            "recipe": f"{request.recipe}, preset {request.preset}",
            "settings": " ".join(fixed),
            "space": " ".join(f"{name}={self.space[name]}" for name in sorted(self.space)),
            "objective": f"{OBJECTIVE}, seeds {','.join(map(str, self.seeds))}",
            "budget": ", ".join(f"{k} {v}" for k, v in budget.items() if v is not None),
            "limits": f"parameters {self.max_parameters}, gigabytes {self.max_memory}",
        }


_SECTIONS = ("model", "task", "recipe")


def name_of(identity: Mapping[str, str], data_name: str) -> str:
    """Return the name of a study: its model, its data and a hash of its identity."""
    digest = hashlib.blake2b(json.dumps(identity).encode(), digest_size=4).hexdigest()
    return f"{identity['model']}-{data_name}-{digest}"


def spaces(
    model_class: type[Model], assignments: tuple[str, ...], fixed: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, Space], dict[str, dict[str, str]]]:
    """Return the declared search spaces, replaced where the user gave others, and the fixed values.

    Args:
        model_class: Class of the model, which declares spaces.
        assignments: Texts SECTION.FIELD=SPACE, as given to ``--space``.
        fixed: Values that do not vary, as given to ``--set``, by section and field.

    Returns:
        The spaces that vary, by ``section.field``, and the values that are fixed, by section and
        field: ``fixed``, and the value of every space that has only one.

    Raises:
        BenchError: A space is wrong, a field is both fixed and varied, or no field varies.
    """
    types = {"model": model_class.Config, "recipe": Recipe}
    found = declared(model_class)
    settled = {section: dict(fixed.get(section, {})) for section in _SECTIONS}
    for section, values in settled.items():
        for field in values:
            found.pop(f"{section}.{field}", None)
    for name, given in parsed(assignments, types).items():
        section, _, field = name.partition(".")
        if field in settled[section]:
            raise BenchError(
                f"{argument('settings')} and {argument('space')} both name {name}. "
                "Give one of them.",
                field=name,
            )
        found[name] = given
    for name, given in list(found.items()):
        ends = given.ends()
        if len(set(ends)) == 1:
            section, _, field = name.partition(".")
            settled[section][field] = spell(ends[0])
            del found[name]
    if not found:
        raise BenchError(
            "no setting varies. `bench models NAME --space` lists the settings that can vary."
        )
    return found, settled


def declared(model_class: type[Model]) -> dict[str, Space]:
    """Return the spaces that a model and the recipe declare, by ``section.field``.

    Raises:
        BenchError: A declared space does not fit its field.
    """
    fitted = issubclass(
        model_class, FittedModel
    )  # such a model uses only the standardization of a recipe
    return checked(
        {"model": model_class.space, "recipe": {} if fitted else SPACE},
        {"model": model_class.Config, "recipe": Recipe},
    )


def plugin_files(request: Request) -> tuple[str, ...]:
    """Return the plugin files that define the model and the task of a request."""
    places = [MODELS.places().get(request.model), TASKS.places().get(request.task)]
    files = [place.origin for place in places if place and place.origin.endswith(".py")]
    return tuple(str(Path(file).absolute()) for file in dict.fromkeys(files))


def to_json(search: Search) -> dict[str, Any]:
    """Return a search as JSON values."""
    values = {field.name: getattr(search, field.name) for field in dataclasses.fields(search)}
    spelled = {name: str(given) for name, given in search.space.items()}
    return {**values, "request": search.request.as_json(), "space": spelled}


def from_json(values: Mapping[str, Any], **here: Any) -> Search:
    """Return the search that :func:`to_json` wrote.

    The plugins of the search must be loaded before.

    Args:
        values: Values that :func:`to_json` returned.
        here: Options of this machine; see :meth:`bench.results.options.Request.from_json`.
    """
    search = without_space(values, **here)
    types = {"model": MODELS.get(search.request.model).Config, "recipe": Recipe}
    assignments = [f"{name}={text}" for name, text in values["space"].items()]
    return dataclasses.replace(search, space=parsed(assignments, types))


def without_space(values: Mapping[str, Any], **here: Any) -> Search:
    """Return the search of :func:`from_json` without its space, whose types only plugins know."""
    rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Search(**{**rest, "request": Request.from_json(values["request"], **here), "space": {}})
