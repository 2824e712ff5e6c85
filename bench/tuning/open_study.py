"""From what is typed to a study that can be worked on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study

from bench.console import Console
from bench.errors import BenchError, argument
from bench.paths import studies_dir
from bench.registry import MODELS, TASKS, get_task, load_plugin_file
from bench.results.options import Request
from bench.runner.request import resolve
from bench.tuning import definition, study
from bench.tuning.definition import Search
from bench.tuning.feasibility import Probe, check, read
from bench.tuning.samplers import check_sampler, grid_size
from bench.tuning.storage import open_storage


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """A search as it is typed.

    Attributes:
        request: The run that trials are variations of.
        spaces: Values of ``--space``.
        rest: Further fields of :class:`bench.tuning.definition.Search`.
    """

    request: Request
    spaces: tuple[str, ...]
    rest: dict[str, Any]


@dataclass(frozen=True)
class OpenStudy:
    """A study that is worked on.

    Attributes:
        study: In its storage.
        place: The storage.
        search: What it searches.
        probe: For its data.
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
    """Check a search and make its study, or join it.

    Args:
        typed: The search.
        storage: Where to keep the study; None for a journal in the folder of runs.
        name: What to call it; None to name it after what is searched.
        home: Folder of all runs.
        device: As for a run.
        exists: Only join.
        console: Where to tell.

    Raises:
        BenchError: A space or another value is wrong, or the study of this name is another.
    """
    search = _search(typed)
    request = search.trial({}, seed=search.seeds[0])
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
    """Open a study for more work; it knows its settings.

    Args:
        storage: Where it is kept; None for the folder of runs.
        name: The study's; None for the only one there.
        home: Folder of all runs.
        device: As for a run.
        data: Where the data lies on this machine, if the study says another place.
        wait: The storage was there a moment ago.
        console: Where to tell.

    Raises:
        BenchError: There is none, its data has changed, its plugins or its sampler's package are
            not here, or an earlier version drew a fraction for it.
    """
    found, place = study.find(storage, name, home, wait=wait, console=console)
    search = stored(found, home, device=device, data=data)
    check_sampler(search.sampler)
    if search.fraction is not None and "fraction" not in study.stored_search(found)["request"]:
        raise BenchError(
            f"study {found.study_name} was begun by an earlier version, whose "
            f"{argument('fraction')} drew other rows. Begin a new one."
        )
    dataset = read(search.trial({}, seed=search.seeds[0]), console)
    known = study.stored_identity(found)["data"]
    if dataset.fingerprint != known:
        raise BenchError(
            f"study {found.study_name} is of data {known}; here it is {dataset.fingerprint}. "
            f"Name its folder by {argument('data')}."
        )
    return OpenStudy(found, place, search, Probe(dataset))


def stored(found: Study, home: Path, *, device: str = "auto", data: Path | None = None) -> Search:
    """Return what a study searches, to be run here; its plugins get loaded.

    Raises:
        BenchError: A plugin is not here.
    """
    known = {place.origin for place in [*MODELS.places().values(), *TASKS.places().values()]}
    kept = study.stored_search(found)
    for file in kept["plugins"]:
        if file not in {str(Path(origin).absolute()) for origin in known}:
            load_plugin_file(Path(file))
    here: dict[str, Any] = {"runs_dir": studies_dir(home) / found.study_name, "device": device}
    if data is not None:
        here["data"] = data
    return definition.from_json(kept, **here)


def _search(typed: SearchSpec) -> Search:
    """Lay the user's spaces over the declared ones; a grid has to have an end."""
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
