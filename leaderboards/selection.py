"""Which runs rank together, which stand apart and why, and which are seeds of one model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.errors import BenchError, argument
from bench.leaderboards.entries import Entry
from bench.scoring.comparability import UNKNOWN, Comparability

_NOT_A_MODEL = ("seed", "plan.", "recipe.name")  # settings that do not make another model
_LONGEST = 60


@dataclass(frozen=True)
class Group:
    """Runs of one model: they differ in the seed only, or in what they are grouped over.

    Attributes:
        label: Model and what sets it apart from its namesakes on the board.
        entries: Newest first.
    """

    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Selection:
    """What a leaderboard is made of.

    Attributes:
        groups: Models that rank.
        apart: Runs that are finished and not comparable, with the reason.
        left_out: How many runs of every other status there are.
        fingerprint: Of the training rows that ranked runs share; empty where there is none.
    """

    groups: tuple[Group, ...]
    apart: tuple[tuple[Entry, str], ...]
    left_out: Mapping[str, int]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What of the comparable runs to show.

    Attributes:
        track: "standard", "paper", "open", or None for all.
        models: Names; none for all.
        fingerprint: Beginning of the training rows' fingerprint; None for the most common one.
        group_by: Settings whose values make groups, such as ``model.dim``; none for all of them.
    """

    track: str | None = None
    models: tuple[str, ...] = ()
    fingerprint: str | None = None
    group_by: tuple[str, ...] = field(default=())


def select(entries: Iterable[Entry], here: Comparability, filters: Filters) -> Selection:
    """Sort runs into those that rank and those that do not.

    Args:
        entries: All runs on one data set, newest first.
        here: Facts of the test rows at hand, which ranked runs were scored on.
        filters: Choice of the user.

    Raises:
        BenchError: The filters leave nothing.
    """
    entries = list(entries)
    unknown = set(filters.models) - {entry.model for entry in entries}
    if unknown:
        known = ", ".join(sorted({entry.model for entry in entries})) or "none"
        raise BenchError(f"no results of model '{unknown.pop()}'. There are: {known}.")
    wanted = [
        entry
        for entry in entries
        if (not filters.models or entry.model in filters.models)
        and filters.track in (None, entry.tags.get("track"))
    ]
    left_out = Counter(entry.status for entry in wanted if entry.status != "finished")
    finished = [
        entry for entry in wanted if entry.status == "finished" and entry.comparability.scored
    ]
    fingerprint = _fingerprint(finished, here, filters.fingerprint)
    full = replace(here, training=fingerprint)
    ranked, apart = [], []
    for entry in finished:
        if differences := full.differences(entry.comparability):
            apart.append((entry, " and ".join(found.words for found in differences)))
        else:
            ranked.append(entry)
    return Selection(_grouped(ranked, filters.group_by), tuple(apart), left_out, fingerprint)


def _fingerprint(entries: Sequence[Entry], here: Comparability, wanted: str | None) -> str:
    """Choose the training rows that results are compared on: those that most runs share."""
    found = Counter(
        entry.comparability.training or UNKNOWN
        for entry in entries
        if entry.verified and not here.differences(entry.comparability)
    )
    if wanted is not None:
        fitting = [name for name in found if name.startswith(wanted)]
        if len(fitting) != 1:
            known = ", ".join(sorted(found)) or "none"
            raise BenchError(
                f"{argument('fingerprint')} {wanted}: {len(fitting)} fit. There are: {known}."
            )
        return fitting[0]
    return found.most_common(1)[0][0] if found else ""


def _grouped(entries: Sequence[Entry], by: tuple[str, ...]) -> tuple[Group, ...]:
    groups: defaultdict[tuple[tuple[str, str], ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[_key(entry, by)].append(entry)
    # Of runs that are the same but for when they were made, the newest stands for all.
    unique = {k: found if by else _newest_of_every_seed(found) for k, found in groups.items()}
    varying = _varying(unique)
    labels = {key: _label(key, varying[found[0].model]) for key, found in unique.items()}
    names = _unique(list(labels.values()))
    return tuple(
        Group(name, tuple(found)) for name, found in zip(names, unique.values(), strict=True)
    )


def _key(entry: Entry, by: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    settings = {"model": entry.model, "track": entry.tags.get("track", "")}
    if not entry.verified:
        settings["by"] = entry.id
    for name, value in entry.settings.items():
        if by and name not in by:
            continue
        if not name.startswith(_NOT_A_MODEL):
            settings[name] = value
    return tuple(sorted(settings.items()))


def _newest_of_every_seed(entries: Sequence[Entry]) -> list[Entry]:
    seen: dict[str, Entry] = {}
    for entry in entries:
        seen.setdefault(entry.seed or entry.id, entry)
    return list(seen.values())


def _varying(groups: Iterable[tuple[tuple[str, str], ...]]) -> dict[str, set[str]]:
    """Name, by model, the settings in which its groups differ."""
    by_model: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for key in groups:
        by_model[dict(key)["model"]].append(dict(key))
    return {
        model: {
            name
            for settings in found
            for name in settings
            if any(other.get(name) != settings[name] for other in found)
        }
        for model, found in by_model.items()
    }


def _label(key: tuple[tuple[str, str], ...], varying: set[str]) -> str:
    settings = dict(key)
    differences = [
        f"{name.rpartition('.')[2]}={value}"
        for name, value in key
        if name in varying and name not in ("model", "by")
    ]
    text = " ".join([settings["model"], *differences])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _unique(labels: Sequence[str]) -> list[str]:
    """Number labels that were cut to the same text."""
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        seen[label] += 1
        names.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return names
