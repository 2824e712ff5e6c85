"""What is searched: a request, its space, and everything a trial's score depends on."""

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
"""Values of one trial by ``section.field``."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search as it is typed, and as a study keeps it.

    Attributes:
        request: The run that trials are variations of; at full budget, on all of the data.
        space: What varies, by ``section.field``.
        epochs, fraction: A trial's smaller budget; None for the request's own. The fraction is one
            of the training rows that the request has.
        seeds: A trial's score is the mean over these.
        max_parameters: Larger models are infeasible.
        max_memory: Gigabytes (1e9); trials that take more are infeasible.
        pruned: End trials early that are behind.
        sampler: A name from :data:`bench.tuning.samplers.SAMPLERS`.
        sampler_seed: Decides the sampler's draws.
        beat: Seconds between two signs of life.
        plugins: Files that define the model or the task.
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
        """Return the run of a trial's values at full budget, scored on the test rows.

        Args:
            params: The values.
            tuned: What finding them cost.
        """
        return dataclasses.replace(
            self.request, overrides=self._with(params), seed=self.seeds[0], tuned=tuned
        )

    def trial(
        self, params: Params, *, seed: int, study: Mapping[str, object] | None = None
    ) -> Request:
        """Return the run of a trial, which leaves the test rows alone.

        Args:
            params: Its values.
            seed: Of its weights and of the order of its rows.
            study: The study's name and the trial's number.
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
            force=True,  # a trial that was lost is run again
        )

    def _with(self, params: Params) -> dict[str, dict[str, str]]:
        overrides = {name: dict(self.request.overrides.get(name, {})) for name in _SECTIONS}
        for name, value in params.items():
            section, _, field = name.partition(".")
            overrides[section][field] = spell(value)
        return overrides

    def identity(self, fingerprint: str, task_version: int) -> dict[str, str]:
        """Return what must agree for two workers to share a study, by the field's name."""
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
    """Name a study after its model, its data and the hash of all that must agree."""
    digest = hashlib.blake2b(json.dumps(identity).encode(), digest_size=4).hexdigest()
    return f"{identity['model']}-{data_name}-{digest}"


def spaces(
    model_class: type[Model], assignments: tuple[str, ...], fixed: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, Space], dict[str, dict[str, str]]]:
    """Lay a user's spaces over the declared ones.

    Args:
        model_class: Whose spaces.
        assignments: Values of ``--space``.
        fixed: Values of ``--set``, by section and field; these do not vary.

    Returns:
        What varies, and what is fixed: ``fixed`` with the spaces of one value added.

    Raises:
        BenchError: A space is wrong, or a field is both fixed and varied.
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
        raise BenchError("nothing is left to vary. `bench models NAME --space` shows what could.")
    return found, settled


def declared(model_class: type[Model]) -> dict[str, Space]:
    """Return what a model's author and the recipe declare, by ``section.field``.

    Raises:
        BenchError: A declared space does not fit its field.
    """
    fitted = issubclass(model_class, FittedModel)  # of a recipe it only uses the standardization
    return checked(
        {"model": model_class.space, "recipe": {} if fitted else SPACE},
        {"model": model_class.Config, "recipe": Recipe},
    )


def plugin_files(request: Request) -> tuple[str, ...]:
    """List the files by ``--plugin`` that a request's model and task come from."""
    places = [MODELS.places().get(request.model), TASKS.places().get(request.task)]
    files = [place.origin for place in places if place and place.origin.endswith(".py")]
    return tuple(str(Path(file).absolute()) for file in dict.fromkeys(files))


def to_json(search: Search) -> dict[str, Any]:
    """Return a search as JSON values."""
    values = {field.name: getattr(search, field.name) for field in dataclasses.fields(search)}
    spelled = {name: str(given) for name, given in search.space.items()}
    return {**values, "request": search.request.as_json(), "space": spelled}


def from_json(values: Mapping[str, Any], **here: Any) -> Search:
    """Return the search that :func:`to_json` wrote, to be run ``here``; see Request.from_json.

    Its plugins must be loaded.
    """
    request = Request.from_json(values["request"], **here)
    types = {"model": MODELS.get(request.model).Config, "recipe": Recipe}
    assignments = [f"{name}={text}" for name, text in values["space"].items()]
    rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    rest |= {"request": request, "space": parsed(assignments, types)}
    return Search(**rest)
