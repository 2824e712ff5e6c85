"""What can be said of a trial before it trains: whether the model takes it, and its size."""

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
from bench.training.schedule import Plan
from bench.tuning.definition import Params, Search

_DRAWS = 64  # tries to find company in which a value is taken
REFUSALS = (BenchError, ValueError, AssertionError)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run would be.

    Attributes:
        parameters: Of the model.
        validations: How often it would be validated; 1 for a model fitted at once.
    """

    parameters: int
    validations: int


class Probe:
    """Builds models without memory, for the shape of one data set.

    Args:
        dataset: Its shape and size count.

    Attributes:
        name: What results on the data are filed under.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._shape = (dataset.usual_length, dataset.flanks)
        self.name, self._rows = dataset.name, len(dataset.train)

    def facts(self, request: Request) -> Facts:
        """Return what a request's run would be.

        Raises:
            BenchError: The model or the recipe refuses a value.
            ValueError, AssertionError: So does the model, in its own words.
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
    """Read the data of a trial.

    Raises:
        BenchError: The data is missing or wrong, or a name or a setting of the request.
    """
    prepared = resolve(request)
    folder = data_folder(request, type(prepared.task), console.only_warnings())
    dataset = locate.load(prepared.task, request.task, folder, request.test_data, console)
    return dataset.thinned(request.fraction)


def check(search: Search, probe: Probe) -> None:
    """Try every value of the space, the ends of a range, before any trial does.

    A value is wrong when the model refuses it in whatever company: alone, or with others drawn
    from the space.

    Raises:
        BenchError: A value is refused.
    """
    draws = random.Random(0)
    for name, space in search.space.items():
        for value in space.ends():
            refusal = _refusal(search, probe, {name: value})
            tries = 0
            while refusal is not None and tries < _DRAWS:
                company = {other: _draw(s, draws) for other, s in search.space.items()}
                if _refusal(search, probe, {**company, name: value}) is None:
                    break
                tries += 1
            else:
                if refusal is not None:
                    raise BenchError(
                        f"the space of {name} holds {value}, which is refused: {refusal}"
                    )


def _refusal(search: Search, probe: Probe, params: Params) -> str | None:
    try:
        probe.facts(search.trial(params, seed=search.seeds[0]))
    except REFUSALS as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _draw(space: Space, draws: random.Random) -> Value:
    if isinstance(space, Choice):
        return draws.choice(space.values)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return draws.randint(space.low, space.high)
    return draws.uniform(space.low, space.high)
