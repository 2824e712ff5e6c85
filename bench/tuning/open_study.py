"""Opening a study for work: a new one from the options of a search, or an existing one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study

from bench.console import Console
from bench.errors import BenchError, argument
from bench.paths import studies_dir
from bench.registry import MODELS, check_named, get_task
from bench.results.options import Request
from bench.runner.request import resolve
from bench.tuning import definition, study
from bench.tuning.definition import Search
from bench.tuning.feasibility import Probe, check, read
from bench.tuning.samplers import check_sampler, grid_size
from bench.tuning.storage import open_storage

_METHOD = {
    "sampler": "sampler",
    "sampler_seed": "sampler's seed",
    "pruned": "pruning",
    "beat": "heartbeat",
}  # fields of a search that are no part of its identity, which names the study


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """The options of a search, as given by the user.

    Attributes:
        request: Run that the trials vary.
        spaces: Texts SECTION.FIELD=SPACE, as given to ``--space``.
        rest: Values of further fields of :class:`bench.tuning.definition.Search`.
    """

    request: Request
    spaces: tuple[str, ...]
    rest: dict[str, Any]


@dataclass(frozen=True)
class OpenStudy:
    """A study that a worker can work on.

    Attributes:
        study: Optuna's study.
        place: Path or URL of the storage.
        search: Definition of the search.
        probe: Probe for the data of the search.
    """

    study: Study
    place: str
    search: Search
    probe: Probe


def begin(
    typed: SearchSpec,
    storage: str | None,
    name: str | None,
    home: Path,
    *,
    device: str,
    exists: bool,
    console: Console,
) -> OpenStudy:
    """Check a search, then create its study or open the one that exists.

    Args:
        typed: Options of the search.
        storage: Path or URL of the storage; None for a journal in the folder of all runs.
        name: Name of the study; None to make one of model, data and a hash.
        home: Folder of all runs.
        device: Device, as for a run.
        exists: Whether the study must exist already.
        console: Console for progress and warnings.

    Raises:
        BenchError: A space or another value is wrong, or the study of this name has another
            identity.
    """
    search = _search(typed)
    request, *others = [search.trial({}, seed=seed) for seed in search.seeds]
    for other in others:
        resolve(other)
    dataset = read(request, console)
    probe = Probe(dataset)
    check(search, probe)
    identity = search.identity(dataset.fingerprint, resolve(request).task.card.version)
    name = name or definition.name_of(identity, dataset.name)
    place = storage or str(studies_dir(home) / f"{name}.log")
    if exists:
        study.find(storage, name, home, console=console)
    opened = open_storage(place, create=True, wait=False, console=console)
    made = study.make(opened, name, definition.to_json(search), identity)
    _check_method(made, search)
    request = dataclasses.replace(search.request, runs_dir=studies_dir(home) / name, device=device)
    search = dataclasses.replace(search, request=request)
    return OpenStudy(made, place, search, probe)


def resume(
    storage: str | None,
    name: str | None,
    home: Path,
    *,
    device: str,
    data: Path | None,
    wait: bool,
    console: Console,
) -> OpenStudy:
    """Open an existing study for more work, with the settings that it stores.

    Args:
        storage: Path or URL of the storage; None for a journal in the folder of all runs.
        name: Name of the study; None if the storage has only one.
        home: Folder of all runs.
        device: Device, as for a run.
        data: Folder of the data on this machine; None for the one that the study records.
        wait: Whether to wait for a storage that cannot be reached; it existed a moment ago.
        console: Console for progress and warnings.

    Raises:
        BenchError: There is no such study, its data has changed, a plugin or the package of its
            sampler is missing, or an earlier version of bench chose its share of the rows.
    """
    found, place = study.find(storage, name, home, wait=wait, console=console)
    search = stored(found, home, device=device, data=data)
    check_sampler(search.sampler)
    if search.fraction is not None and "fraction" not in study.stored_search(found)["request"]:
        raise BenchError(
            f"study {found.study_name} was begun by an earlier version, whose "
            f"{argument('fraction')} chose other rows. Begin a new study."
        )
    dataset = read(search.trial({}, seed=search.seeds[0]), console)
    known = study.stored_identity(found)["data"]
    if dataset.fingerprint != known:
        raise BenchError(
            f"study {found.study_name} uses data with fingerprint {known}; the data here has "
            f"{dataset.fingerprint}. Give the folder of the study's data by {argument('data')}."
        )
    return OpenStudy(found, place, search, Probe(dataset))


def stored(found: Study, home: Path, *, device: str = "auto", data: Path | None = None) -> Search:
    """Return the search that a study stores, for runs on this machine.

    Raises:
        BenchError: The user has not named a plugin file that the study needs.
    """
    kept = study.stored_search(found)
    asked = kept["request"]
    check_named(f"study {found.study_name}", asked["model"], asked["task"], kept["plugins"])
    here: dict[str, Any] = {"runs_dir": studies_dir(home) / found.study_name, "device": device}
    if data is not None:
        here["data"] = data
    search = definition.from_json(kept, **here)
    return dataclasses.replace(search, plugins=definition.plugin_files(search.request))


def _check_method(begun: Study, search: Search) -> None:
    """Check that all workers of a study search in the same way.

    Raises:
        BenchError: The study was begun with another value.
    """
    kept = study.stored_search(begun)
    for field, words in _METHOD.items():
        study.check_same(begun, words, kept.get(field), getattr(search, field))


def _search(typed: SearchSpec) -> Search:
    """Return the definition of a search; check its sampler and, for a grid, its size."""
    model_class = MODELS.get(typed.request.model)
    get_task(typed.request.task)
    found, fixed = definition.spaces(model_class, typed.spaces, typed.request.overrides)
    request = dataclasses.replace(typed.request, overrides=fixed)
    files = definition.plugin_files(request)
    search = Search(request=request, space=found, plugins=files, **typed.rest)
    check_sampler(search.sampler)
    if search.sampler == "grid":
        grid_size(found)
    return search
