"""A study: found or made, and held against what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import Study

from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.paths import studies_dir
from bench.tuning.storage import open_storage, shown

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_IDENTITY, _SEARCH = "identity", "search"
STOPPED = "stopped"
"""Study attribute: why no worker is to start another trial; empty to go on."""
WANTED = "trials"
"""Study attribute: how many trials were asked for last."""


def make(
    storage: BaseStorage, name: str, search: Mapping[str, Any], identity: Mapping[str, str]
) -> Study:
    """Create a study, or join the one of this name.

    Args:
        storage: Where.
        name: What it is called.
        search: What it is to keep, as JSON values.
        identity: What its workers have to agree on, by field.

    Raises:
        BenchError: The one of this name is another; the first field that differs is named.
    """
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    except DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name)
    if _IDENTITY not in study.user_attrs:  # new, or its maker died just here
        study.set_user_attr(_SEARCH, dict(search))
        study.set_user_attr(_IDENTITY, dict(identity))
    known = study.user_attrs[_IDENTITY]
    for field, value in identity.items():
        if known.get(field) != value:
            raise BenchError(
                f"study {name} differs in its {field}: {known.get(field) or 'none'} there, "
                f"{value or 'none'} here. Ask for the same, or name another study by "
                f"{argument('study')}."
            )
    return study


def find(
    place: str | None,
    name: str | None,
    home: Path,
    *,
    wait: bool = False,
    console: Console = SILENT,
) -> tuple[Study, str]:
    """Find a study that exists, and where it is kept.

    Args:
        place: A storage; None for the journals in the folder of runs.
        name: The study's; None for the only one there.
        home: Folder of all runs.
        wait: It was there a moment ago.
        console: Where to tell that the storage is away.

    Raises:
        BenchError: There is none, or there are several and no name.
    """
    if place is None:
        names = sorted(path.stem for path in studies_dir(home).glob("*.log"))
        name = _only(names, name, str(studies_dir(home)))
        place = str(studies_dir(home) / f"{name}.log")
    storage = open_storage(place, create=False, wait=wait, console=console)
    names = [s.study_name for s in storage.get_all_studies() if _IDENTITY in s.user_attrs]
    name = _only(sorted(names), name, shown(place))  # without one: the queue of a study's refits
    return optuna.load_study(storage=storage, study_name=name), place


def stored_search(study: Study) -> dict[str, Any]:
    """Return what a study keeps of its search, as JSON values."""
    search: dict[str, Any] = study.user_attrs[_SEARCH]
    return search


def stored_identity(study: Study) -> dict[str, str]:
    """Return what a study's workers agree on, by field."""
    identity: dict[str, str] = study.user_attrs[_IDENTITY]
    return identity


def _only(names: list[str], wanted: str | None, place: str) -> str:
    if wanted in names:
        return wanted
    if wanted is None and len(names) == 1:
        return names[0]
    known = f"It has {', '.join(names)}." if names else "It has none."
    asked = f"no study is called '{wanted}' in {place}" if wanted else f"which study in {place}?"
    advice = f"Name one by {argument('study')}." if len(names) > 1 else None
    raise BenchError(f"{asked} {known}", hint=advice)
