"""Studies: creating one, finding one, and checking that it belongs to the search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import Study

from bench.addresses import shown
from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.paths import studies_dir
from bench.tuning.storage import open_storage

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_IDENTITY, _SEARCH = "identity", "search"
STOPPED = "stopped"
"""Study attribute: reason why no worker may start another trial; empty if they may."""
WANTED = "trials"
"""Study attribute: number of trials that the last command asked for."""


def make(
    storage: BaseStorage, name: str, search: Mapping[str, Any], identity: Mapping[str, str]
) -> Study:
    """Create a study, or open the one of this name.

    Args:
        storage: Storage of the study.
        name: Name of the study.
        search: Definition of the search, as JSON values, which the study stores.
        identity: Values that all workers must have in common, by field.

    Raises:
        BenchError: The study of this name has another identity; the message names a field.
    """
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    except DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name)
    if _IDENTITY not in study.user_attrs:  # new, or the process that created it died at this point
        study.set_user_attr(_SEARCH, dict(search))
        study.set_user_attr(_IDENTITY, dict(identity))
    known = study.user_attrs[_IDENTITY]
    for field, value in identity.items():
        check_same(study, field, known.get(field) or "none", value or "none")
    return study


def check_same(study: Study, field: str, kept: object, value: object) -> None:
    """Check that a search has the value that the study was begun with.

    Raises:
        BenchError: It has another value.
    """
    if kept != value:
        raise BenchError(
            f"study {study.study_name} differs in its {field}: {kept} in the study, {value} here. "
            f"Give the same value, or name another study by {argument('study')}."
        )


def find(
    place: str | None,
    name: str | None,
    home: Path,
    *,
    wait: bool = False,
    console: Console = SILENT,
) -> tuple[Study, str]:
    """Return a study that exists, and the path or URL of its storage.

    Args:
        place: Path or URL of the storage; None for the journals in the folder of all runs.
        name: Name of the study; None if the storage has only one.
        home: Folder of all runs.
        wait: Whether to wait for a storage that cannot be reached; it existed a moment ago.
        console: Console for warnings that the storage cannot be reached.

    Raises:
        BenchError: There is no such study, or there are several and no name is given.
    """
    if place is None:
        names = sorted(path.stem for path in studies_dir(home).glob("*.log"))
        name = _only(names, name, str(studies_dir(home)))
        place = str(studies_dir(home) / f"{name}.log")
    storage = open_storage(place, create=False, wait=wait, console=console)
    names = [s.study_name for s in storage.get_all_studies() if _IDENTITY in s.user_attrs]
    name = _only(sorted(names), name, shown(place))  # a study of refits has no identity
    return optuna.load_study(storage=storage, study_name=name), place


def stored_search(study: Study) -> dict[str, Any]:
    """Return the definition of the search that a study stores, as JSON values.

    Raises:
        BenchError: The study has none, which is stored before all else.
    """
    search: dict[str, Any] | None = study.user_attrs.get(_SEARCH)
    if search is None:
        raise BenchError(
            f"study {study.study_name} has lost the definition of its search: its storage is "
            "damaged. Take a copy from before, or begin a new study."
        )
    return search


def stored_identity(study: Study) -> dict[str, str]:
    """Return the values that all workers of a study have in common, by field."""
    identity: dict[str, str] = study.user_attrs[_IDENTITY]
    return identity


def _only(names: list[str], wanted: str | None, place: str) -> str:
    if wanted in names:
        return wanted
    if wanted is None and len(names) == 1:
        return names[0]
    known = f"It has {', '.join(names)}." if names else "It has none."
    asked = f"no study is called '{wanted}' in {place}." if wanted else f"which study in {place}?"
    advice = f"Name one by {argument('study')}." if len(names) > 1 else None
    raise BenchError(f"{asked} {known}", hint=advice)
