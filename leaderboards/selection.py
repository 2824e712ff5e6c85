"""Selection of the runs that rank together, and their grouping into models and seeds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.errors import BenchError, argument
from bench.leaderboards.entries import Entry
from bench.scoring.comparability import UNKNOWN, Comparability

_NOT_A_MODEL = ("seed", "plan.", "recipe.name")  # settings that two runs of one model may differ in
_LONGEST = 60


@dataclass(frozen=True)
class Group:
    """Runs of one model, which differ only in the seed or in settings that are averaged over.

    Attributes:
        label: Name of the model, and the settings in which it differs from its namesakes.
        entries: Runs of the model, the newest first.
    """

    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Selection:
    """The runs of a leaderboard.

    Attributes:
        groups: Models that rank.
        excluded: Finished runs that are not comparable, with the reason.
        unfinished: Number of runs by status, for every status other than finished.
        fingerprint: Fingerprint of the training rows that ranked runs share; empty for none.
    """

    groups: tuple[Group, ...]
    excluded: tuple[tuple[Entry, str], ...]
    unfinished: Mapping[str, int]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The choice of runs to show.

    Attributes:
        track: Protocol: "standard", "paper", "open", or None for all.
        models: Names of models; none for all.
        fingerprint: Beginning of the training rows' fingerprint; None for the most common one.
        group_by: Settings that separate groups, such as ``model.dim``; none for all settings.
    """

    track: str | None = None
    models: tuple[str, ...] = ()
    fingerprint: str | None = None
    group_by: tuple[str, ...] = field(default=())


def select(entries: Iterable[Entry], here: Comparability, filters: Filters) -> Selection:
    """Return the runs that rank, grouped into models, and the excluded ones.

    Args:
        entries: All runs on one data set, newest first.
        here: Facts of the available test rows; ranked runs were scored on the same rows.
        filters: The user's choice of runs.

    Raises:
        BenchError: No run has a wanted model, or not one fingerprint fits.
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
    unfinished = Counter(entry.status for entry in wanted if entry.status != "finished")
    finished = [
        entry for entry in wanted if entry.status == "finished" and entry.comparability.scored
    ]
    fingerprint = _fingerprint(finished, here, filters.fingerprint)
    full = replace(here, training=fingerprint)
    ranked, excluded = [], []
    for entry in finished:
        if members := entry.tags.get("ensemble"):
            excluded.append((entry, f"an ensemble, the mean of {members}"))
        elif differences := full.differences(entry.comparability):
            excluded.append((entry, " and ".join(found.words for found in differences)))
        else:
            ranked.append(entry)
    return Selection(_grouped(ranked, filters.group_by), tuple(excluded), unfinished, fingerprint)


def _fingerprint(entries: Sequence[Entry], here: Comparability, wanted: str | None) -> str:
    """Return the fingerprint of the wanted training rows, or of those that most runs share."""
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
    # Of several runs with the same settings and seed, only the newest ranks.
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
    """Return, for each model, the settings in which its groups differ."""
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
    """Return the labels, with numbers on those that were cut to the same text."""
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        seen[label] += 1
        names.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return names
