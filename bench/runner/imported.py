"""Weights that were trained elsewhere, for a run that scores them without training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.atomic import open_regular
from bench.errors import BenchError, argument
from bench.model import Model, Weights
from bench.results.manifest import Manifest, RecipeRecord, WeightsRecord
from bench.results.options import Request, run_options
from bench.training.views import PredictionRule

_TRAINING = ("seed", "fraction", "compiled", "epochs", "max_steps", "max_seconds")
_PREDICTION = ("standardize", *(field.name for field in fields(PredictionRule)))
"""Fields of a recipe that decide the predictions of trained weights."""


def check_untrained(request: Request) -> None:
    """Check that a request with weights has no option that only training would use.

    Raises:
        BenchError: The request has such an option or such a setting of the recipe.
    """
    options = {known.name: known.default for known in run_options() if known.name in _TRAINING}
    given = [name for name, default in options.items() if getattr(request, name) != default]
    settings = request.overrides.get("recipe", {})
    given += [f"recipe.{name}" for name in settings if name not in _PREDICTION]
    if given:
        raise BenchError(
            f"{argument('weights')} scores weights as they are and trains nothing: "
            f"leave out {argument(given[0])}."
        )


@dataclass(frozen=True, slots=True)
class Imported:
    """Weights, and the file that they come from."""

    path: Path
    weights: Weights

    @classmethod
    def read(cls, path: Path, model_class: type[Model], config: Any) -> Imported:
        """Return the weights of a file by the model's own importer.

        Raises:
            BenchError: The file cannot be read, or is not one that the model can import.
        """
        return cls(path, model_class.import_weights(config, path))

    def put_into(self, model: Model) -> None:
        """Copy the weights into a model.

        Raises:
            BenchError: A tensor is missing, is unknown, has another shape or is not finite.
        """
        wanted, given = model.state_dict(), self.weights.tensors
        faults = [text for name, now in wanted.items() if (text := _fault(name, now, given))]
        faults += [f"its {n[:80]} is unknown" for n in sorted(given.keys() - wanted.keys())]
        if faults:
            raise BenchError(
                f"{argument('weights')} {self.path} does not fit {type(model).__name__} with "
                f"these settings: {faults[0]}."
            )
        model.load_state_dict(dict(given))

    def described(self, manifest: Manifest) -> Manifest:
        """Return the description of a run, changed to that of a run without training.

        Such a result is not verified, because the rows that the weights were trained on are
        unknown. Of the recipe, the fields remain that decide predictions.
        """
        with open_regular(self.path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        recipe = {n: v for n, v in manifest.recipe.settings.items() if n in _PREDICTION}
        rows = {n: count for n, count in manifest.data.rows.items() if n.endswith("test")}
        return manifest.changed(
            weights=WeightsRecord(
                file=self.path.name,
                sha256=digest,
                scale="training rows" if self.weights.scale is None else "the file",
            ),
            verified=False,
            seed=None,
            track="open",
            recipe=RecipeRecord.from_json({"name": "none", **recipe}),
            data=manifest.data.changed(fingerprint=None, rows=rows),
        )


def _fault(name: str, wanted: Tensor, given: Mapping[str, Tensor]) -> str | None:
    """Return why a model cannot take a tensor; None if it can."""
    if name not in given:
        return f"it has no {name}"
    if given[name].shape != wanted.shape:
        return f"{name} is {tuple(given[name].shape)}, and {tuple(wanted.shape)} is needed"
    return None if given[name].isfinite().all() else f"{name} has values that are not finite"
