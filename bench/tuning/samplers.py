"""The samplers that propose the values of a trial."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
from optuna import samplers
from optuna.exceptions import ExperimentalWarning

from bench.errors import BenchError, argument
from bench.extras import needed
from bench.search_space import Choice, Space, Spaces, Value
from bench.tuning.definition import Params

SAMPLERS = ("tpe", "random", "grid", "cmaes", "quasi-random")


def sampler(name: str, seed: int, number: int) -> samplers.BaseSampler:
    """Return the sampler for one trial.

    Its seed is made of the seed of the search and the number of the trial. So no two workers
    use the same random numbers, and a single worker repeats its own.
    """
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    make: dict[str, Callable[[], samplers.BaseSampler]] = {
        "tpe": lambda: samplers.TPESampler(seed=own),
        "random": lambda: samplers.RandomSampler(seed=own),
        "grid": lambda: samplers.RandomSampler(seed=own),  # not asked for values: see grid_point
        "cmaes": lambda: samplers.CmaEsSampler(seed=own),
        "quasi-random": lambda: samplers.QMCSampler(
            seed=seed, scramble=True, warn_asynchronous_seeding=False
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make[name]()


def check_sampler(name: str) -> None:
    """Check that the package of a sampler is installed, before a study is created.

    Raises:
        BenchError: The package is missing.
    """
    if name == "cmaes":  # Optuna imports the package when the sampler is made
        needed("cmaes", extra="search", what="the sampler cmaes")


def grid_size(spaces: Spaces) -> int:
    """Return the number of points of a grid.

    Raises:
        BenchError: A space is a range of real numbers.
    """
    return math.prod(len(_values(name, space)) for name, space in spaces.items())


def grid_point(spaces: Spaces, index: int) -> Params:
    """Return the values of the grid point ``index``, from 0; the last name varies fastest."""
    names = sorted(spaces)
    points = itertools.product(*(_values(name, spaces[name]) for name in names))
    return dict(zip(names, next(itertools.islice(points, index, None)), strict=True))


def _values(name: str, space: Space) -> tuple[Value, ...]:
    if isinstance(space, Choice):
        return space.values
    if isinstance(space.low, int) and isinstance(space.high, int):
        return tuple(range(space.low, space.high + 1))
    raise BenchError(
        f"a grid needs single values: {argument('space')} {name}={space.low},…,{space.high}.",
        field=name,
    )
