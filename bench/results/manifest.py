"""The manifest of a run, with types: its settings, its data and its results.

The declarations below are the only list of the manifest's fields. Each field declares whether an
export shares it, whether an import needs it and whether a run's identity includes it; see
:func:`bench.results.record.entry`. The fields of an imported manifest are written in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from bench.errors import BenchError
from bench.results.record import NUMBER, SETTING, SIMPLE, TEXT, Kinds, Record, entry, names

_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

SCHEMA = 1
"""Raised when a field changes its meaning; new fields do not need it."""
PROTOCOLS = ("standard", "paper", "open")
"""Values of a run's ``track``."""


@dataclass(frozen=True, kw_only=True)
class ModelRecord(Record):
    """The model: its name, its settings and its size.

    Attributes:
        origin: "built in", a distribution, a plugin's file, "external", "ensemble" or "imported".
        source: Origin of an external result's predictions, in the words of who recorded them.
        members: Names of the runs whose mean prediction an ensemble is.
        positions: Length of the input in tokens.
        trained_parameters: Parameters that the optimizer changes.
    """

    name: str = entry("", needed=True)
    origin: str = entry("", incidental=True)
    source: str = entry("", incidental=True)
    members: tuple[str, ...] = entry((), incidental=True)
    config: Mapping[str, Any] = entry(dict, needed=True, values=SETTING)
    positions: int | None = entry(None)
    parameters: int | None = entry(None, needed=True)
    trained_parameters: int | None = entry(None)


@dataclass(frozen=True, kw_only=True)
class TaskRecord(Record):
    """The task. A table of the user's own is named by its path."""

    name: str = entry("", needed=True)
    version: int = entry(0, needed=True)


@dataclass(frozen=True, kw_only=True)
class DataRecord(Record):
    """The rows that a run was trained and tested on.

    Attributes:
        name: Name that results are filed under, such as "dream-simulated".
        fingerprint: Hash of the training and validation rows; None where they are unknown.
        options: Settings of the task.
        test_folder: Folder that the test rows were read from.
        flanks: Lengths in nt of the constant flanks before and after every sequence.
        rows: Row counts by name: train, validation, test, cropped_train …
        notes: Remarks of the task on its data.
    """

    name: str = entry("", needed=True)
    fingerprint: str | None = entry(None, needed=True)
    options: Mapping[str, Any] = entry(dict, needed=True, values=SIMPLE)
    test_folder: str = entry("", shared=False, incidental=True)
    usual_length: int | None = entry(None)
    flanks: tuple[int, int] = entry((0, 0))
    rows: Mapping[str, int] = entry(dict, needed=True, values=NUMBER)
    notes: Mapping[str, Any] = entry(dict, needed=True, incidental=True)


@dataclass(frozen=True, kw_only=True)
class RecipeRecord(Record):
    """The recipe: its name and, as extra fields, those of :class:`bench.recipe.Recipe`.

    A run of imported weights has the name "none", and the fields that decide its predictions.
    """

    open_to: ClassVar[Kinds] = SETTING

    name: str = entry("", needed=True)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The recipe's fields by name; none for an external result."""
        return self.extra


@dataclass(frozen=True, kw_only=True)
class PlanRecord(Record):
    """The numbers of steps of the training; see :class:`bench.training.schedule.Plan`."""

    open_to: ClassVar[Kinds] = SIMPLE

    steps: int = entry(0)
    steps_per_epoch: int = entry(0)
    warmup_steps: int = entry(0)


@dataclass(frozen=True, kw_only=True)
class StudyRecord(Record):
    """The study and the trial that a run belongs to."""

    name: str = entry("")
    trial: int = entry(0)


@dataclass(frozen=True, kw_only=True)
class TunedRecord(Record):
    """The search that found a run's settings, and its cost."""

    open_to: ClassVar[Kinds] = SETTING

    study: str = entry("")
    trials: int = entry(0)
    device_hours: float = entry(0.0)
    trial: int = entry(0)


@dataclass(frozen=True, kw_only=True)
class WeightsRecord(Record):
    """The file of trained weights that a run scored without training.

    Attributes:
        file: Name of the file.
        sha256: Hash of the file.
        scale: Origin of the scale of the model's output: "the file", or "training rows" of the
            task.
    """

    file: str = entry("")
    sha256: str = entry("")
    scale: str = entry("")


@dataclass(frozen=True, kw_only=True)
class DeviceRecord(Record):
    """The device; ``count`` is the number of devices that trained together."""

    kind: str = entry("", needed=True)
    name: str | None = entry(None)
    threads: int | None = entry(None)
    precision: str | None = entry(None)
    count: int | None = entry(None)


@dataclass(frozen=True, kw_only=True)
class TargetRecord(Record):
    """Mean and std of the training targets, in the task's unit: the scale of the model's output."""

    mean: float | None = entry(None)
    deviation: float | None = entry(None)


@dataclass(frozen=True, kw_only=True)
class CostRecord(Record):
    """The cost of a training, over all devices; None where it was not measured."""

    open_to: ClassVar[Kinds] = NUMBER

    updates: int | None = entry(None)
    train_seconds: float | None = entry(None)
    total_seconds: float | None = entry(None)
    device_hours: float | None = entry(None)
    sequences_per_second: float | None = entry(None)
    peak_memory_bytes: int | None = entry(None)
    training_flops_per_sequence: int | None = entry(None)


@dataclass(frozen=True, kw_only=True)
class ScoredRecord(Record):
    """The test rows that the metrics were computed over; all empty for a run without scores.

    Attributes:
        version: Version of the scorer.
        rows: Part of the test rows, such as "private".
        n: Row counts by subset; None for a subset whose file is missing.
        test: Fingerprint of the test rows.
        subsets: Fingerprint of their subsets.
        problems: Reasons why metrics are missing or not comparable, one line each.
    """

    version: int = entry(0, needed=True)
    rows: str = entry("", needed=True)
    n: Mapping[str, int | None] = entry(dict)
    test: str = entry("", needed=True)
    subsets: str = entry("", needed=True)
    problems: tuple[str, ...] = entry(())


@dataclass(frozen=True, kw_only=True)
class Manifest(Record):
    """A run's manifest, or the part of one that is known so far.

    The method :meth:`merged` builds a run's manifest from parts: the identity, the settings that
    are decided before training, and the results.

    Attributes:
        schema: Version of the format.
        id: Name of the run, and of its folder.
        status: running, interrupted, finished, failed or pruned.
        created, finished: Times in ISO format, UTC.
        plan: Schedule of the training; None for a model that is fitted at once.
        seed: Seed of the run; None where it is unknown.
        tested: Whether test rows are scored.
        track: Protocol of the run: standard, paper, or open where settings were changed.
        weights: File of weights that were trained elsewhere; None for a run that was trained.
        rows_at_once: Rows of a micro-batch; None for a model that is fitted at once.
        environment: Versions by package, the platform, and the commit of this program.
        best_step: Step whose weights were kept.
        metrics: Values by name, such as "test/all/pearson"; None where a value is undefined.
        verified: Whether this program itself trained and predicted.
        notes: Warnings about a finished run, such as that it has learned nothing.
        error: Reason why a run failed or was pruned.
        identity: Hashes of everything that decides the result, by name.
        request: Arguments to repeat the run with; see :class:`bench.runner.request.Request`.
    """

    schema: int = entry(SCHEMA)
    id: str = entry("", needed=True)
    status: str = entry("", needed=True)
    created: str = entry("", needed=True)
    finished: str = entry("", needed=True)
    model: ModelRecord = entry(ModelRecord, needed=True, decides=True)
    task: TaskRecord = entry(TaskRecord, needed=True, decides=True)
    data: DataRecord = entry(DataRecord, needed=True, decides=True)
    recipe: RecipeRecord = entry(RecipeRecord, needed=True, decides=True)
    plan: PlanRecord | None = entry(None, decides=True)
    preset: str = entry("", needed=True)
    track: str = entry("open")
    max_seconds: float | None = entry(None)
    compiled: bool = entry(default=False)
    tested: bool = entry(default=True)
    seed: int | None = entry(None, needed=True)
    study: StudyRecord | None = entry(None, shared=False)
    tuned: TunedRecord | None = entry(None)
    weights: WeightsRecord | None = entry(None)
    device: DeviceRecord = entry(DeviceRecord, needed=True)
    target: TargetRecord = entry(TargetRecord)
    rows_at_once: int | None = entry(None)
    environment: Mapping[str, str] = entry(dict, needed=True, values=TEXT)
    best_step: int | None = entry(None)
    cost: CostRecord = entry(CostRecord)
    metrics: Mapping[str, float | None] = entry(dict, needed=True, values=NUMBER)
    scored: ScoredRecord = entry(ScoredRecord, needed=True)
    notes: tuple[str, ...] = entry(())
    verified: bool = entry(default=True, shared=False)
    error: str = entry("", shared=False)
    identity: Mapping[str, str] = entry(dict, shared=False)
    request: Mapping[str, Any] | None = entry(None, shared=False)

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str = "") -> Self:
        """Return the manifest of a JSON object; missing fields get their defaults.

        Raises:
            BenchError: A field has a wrong type, or a newer version wrote the manifest.
        """
        manifest = super().from_json(found, where)
        if manifest.schema > SCHEMA:
            raise BenchError(
                f"the manifest's schema is {manifest.schema}, and this version of bench reads "
                f"{SCHEMA} at most. Update bench."
            )
        return manifest

    def deciding(self) -> dict[str, Any]:
        """Return the parts that decide the result as JSON values, without options of the run."""
        found = {name: getattr(self, name) for name in names(Manifest, "decides")}
        return {
            name: value.deciding() if isinstance(value, Record) else value
            for name, value in found.items()
        }


def as_time(text: str, name: str) -> datetime:
    """Return a time of a manifest in UTC.

    Args:
        text: Time in ISO format with its zone.
        name: Name of the field in messages.

    Raises:
        BenchError: The text is not a time with a zone, or a year is out of range.
    """
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise BenchError(f"its manifest's {name} is a time without a zone.")
        return in_range(found.astimezone(UTC), f"manifest's {name}")
    except (ValueError, OverflowError):  # the year is below 1 or above 9999 in UTC
        raise BenchError(f"its manifest's {name} is not a time.") from None


def in_range(time: datetime, name: str) -> datetime:
    """Return a time between 1970 and 2200, which every format and every store can hold.

    Raises:
        BenchError: The time is another one.
    """
    if not _EARLIEST <= time < _LATEST:
        raise BenchError(f"its {name} is in the year {time.year}.")
    return time
