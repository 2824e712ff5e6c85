"""Checks of a trial before it trains: the size of its model, and values that are refused."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from bench.console import SILENT, Console
from bench.data.dataset import Dataset
from bench.errors import BenchError
from bench.model import FittedModel, count_parameters
from bench.results.options import Request
from bench.runner.request import data_folder, resolve
from bench.search_space import Choice, Space, Value
from bench.sources import locate
from bench.training.loader import without_targets
from bench.training.schedule import Plan
from bench.tuning.definition import Params, Search

_ATTEMPTS = 64  # random values of the other settings with which a value is tried
REFUSALS = (BenchError, ValueError, AssertionError)


@dataclass(frozen=True, slots=True)
class Facts:
    """Properties of a run that are known before it trains.

    Attributes:
        parameters: Number of parameters of the model.
        validations: Number of validations of the run; 1 for a model fitted at once.
    """

    parameters: int
    validations: int


class Probe:
    """A builder of models without memory, for the shape of one data set.

    Args:
        dataset: Data set; only its shape and its size are used.

    Attributes:
        name: Name of the data, under which results are filed.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._shape = (dataset.usual_length, dataset.flanks)
        self.name, self._rows = dataset.name, len(dataset.train)

    def facts(self, request: Request) -> Facts:
        """Return the properties of the run of a request.

        Raises:
            BenchError: The model or the recipe refuses a value.
            ValueError, AssertionError: The model refuses a value with an error of its own.
        """
        prepared = resolve(request)
        layout = prepared.model_class.layout(prepared.config)
        with torch.device("meta"):
            model = prepared.model_class(prepared.config, layout.positions(*self._shape))
        if isinstance(model, FittedModel):
            return Facts(count_parameters(model), 1)
        plan = Plan.of(prepared.recipe, self._rows, prepared.max_steps)
        return Facts(count_parameters(model), -(-plan.steps // plan.steps_per_epoch))


def read(request: Request, console: Console = SILENT) -> Dataset:
    """Return the data of a trial.

    Raises:
        BenchError: The data is missing or wrong, or lacks a column that the model reads, or a name
            or a setting of the request is wrong.
    """
    prepared = resolve(request)
    folder = data_folder(request, type(prepared.task), console.only_warnings())
    dataset = locate.load(prepared.task, request.task, folder, request.test_data, console)
    dataset = dataset.thinned(request.fraction)
    # As in a trial, which would be lost together with the study that was made for it.
    prepared.model_class.input_columns(prepared.config, without_targets(dataset.validation))
    return dataset


def check(search: Search, probe: Probe) -> None:
    """Check every value of a search space, for a range its two ends, before the first trial.

    A value is wrong if the model refuses it alone and with all random values of the other settings
    that are tried.

    Raises:
        BenchError: A value is refused.
    """
    rng = random.Random(0)
    for name, space in search.space.items():
        for value in space.ends():
            refusal = _refusal(search, probe, {name: value})
            tries = 0
            while refusal is not None and tries < _ATTEMPTS:
                others = {other: _random_value(s, rng) for other, s in search.space.items()}
                if _refusal(search, probe, {**others, name: value}) is None:
                    break
                tries += 1
            else:
                if refusal is not None:
                    raise BenchError(
                        f"the space of {name} holds {value}, which is refused: {refusal}",
                        field=name,
                    )


def _refusal(search: Search, probe: Probe, params: Params) -> str | None:
    try:
        probe.facts(search.trial(params, seed=search.seeds[0]))
    except REFUSALS as error:
        text = error.text if isinstance(error, BenchError) else str(error)  # arguments stay marked
        return " ".join(text.split()) or type(error).__name__
    return None


def _random_value(space: Space, rng: random.Random) -> Value:
    if isinstance(space, Choice):
        return rng.choice(space.values)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return rng.randint(space.low, space.high)
    return rng.uniform(space.low, space.high)
