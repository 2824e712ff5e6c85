"""The seven facts that two results must share before they are compared or ranked together.

The facts are read from a run's manifest, from its tags in MLflow, or from opened test rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.data.dataset import TestSet
from bench.results.manifest import Manifest
from bench.task import Task

SCORER_VERSION = 1
"""Version of the scorer, recorded with every result; raised when the same predictions could get
other scores."""
UNKNOWN = "unknown"
_FACTS = {
    "data": ("data", "other data"),
    "task_version": ("task.version", "another version of the task"),
    "scorer_version": ("scored.version", "another version of the scorer"),
    "rows": ("scored.rows", "other rows scored"),
    "test": ("scored.test", "other test rows"),
    "subsets": ("scored.subsets", "other subsets of the test rows"),
    "training": ("fingerprint", "other training rows"),
}
"""MLflow tag of each fact, and words for a difference in the fact."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A fact in which two results differ.

    Attributes:
        words: Words for the difference, such as "other test rows".
        ours: Value of the first result.
        theirs: Value of the second result.
    """

    words: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        """Return the words and both values, "another version of the task (1, not 2)"."""
        return f"{self.words} ({self.theirs}, not {self.ours})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparability:
    """The facts of a result as text. A fact that is None is not compared.

    Attributes:
        data: Name that results are filed under.
        task_version: Version of the task.
        scorer_version: Version of the scorer.
        rows: Part of the test rows that was scored.
        test: Fingerprint of the test rows.
        subsets: Fingerprint of their subsets.
        training: Fingerprint of the training rows.
        trained_here: Whether this program trained the model. Otherwise the training rows are
            unknown and are not compared.
    """

    data: str | None = None
    task_version: str = UNKNOWN
    scorer_version: str = UNKNOWN
    rows: str | None = UNKNOWN
    test: str = UNKNOWN
    subsets: str = UNKNOWN
    training: str | None = None
    trained_here: bool = True

    @classmethod
    def of_test(cls, task: Task, test: TestSet, rows: str | None) -> Comparability:
        """Return the facts of scores on opened test rows.

        Args:
            task: Task of the rows.
            test: Opened test rows.
            rows: Part of the test rows that is scored; None where the part does not matter.
        """
        return cls(
            data=test.name,
            task_version=str(task.card.version),
            scorer_version=str(SCORER_VERSION),
            rows=rows,
            test=test.fingerprint,
            subsets=test.subsets_fingerprint,
        )

    @classmethod
    def from_manifest(cls, manifest: Manifest) -> Comparability:
        """Return the facts of a run's manifest; a fact without a record is "unknown"."""
        scored = manifest.scored
        return cls(
            data=manifest.data.name,
            task_version=str(manifest.task.version),
            scorer_version=str(scored.version) if scored.test else UNKNOWN,
            rows=scored.rows or UNKNOWN,
            test=scored.test or UNKNOWN,
            subsets=scored.subsets or UNKNOWN,
            training=manifest.data.fingerprint or UNKNOWN,
            trained_here=manifest.verified,
        )

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Comparability:
        """Return the facts of a run's tags in MLflow; a fact without a tag is "unknown"."""
        known: dict[str, Any] = {n: tags.get(tag, UNKNOWN) for n, (tag, _) in _FACTS.items()}
        known["data"] = tags.get("data")  # runs of older versions have no such tag
        return cls(**known, trained_here=tags.get("verified") == "true")

    def tags(self) -> dict[str, str]:
        """Return the facts as tags for MLflow; a result without scores has no "scored." tags."""
        values = {tag: getattr(self, name) or UNKNOWN for name, (tag, _) in _FACTS.items()}
        return {
            tag: value
            for tag, value in values.items()
            if self.scored or not tag.startswith("scored.")
        }

    @property
    def scored(self) -> bool:
        """Whether the result has scores."""
        return self.test != UNKNOWN

    def differences(self, other: Comparability) -> tuple[Mismatch, ...]:
        """Return the differences between two results, over the facts that both have."""
        compared = [name for name in _FACTS if name != "training"]
        compared += ["training"] if self.trained_here and other.trained_here else []
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in compared]
        return tuple(
            Mismatch(_FACTS[name][1], ours, theirs)
            for name, ours, theirs in pairs
            if ours is not None and theirs is not None and ours != theirs
        )


def available_parts(task: Task, test: TestSet) -> list[str]:
    """Return the parts of the test rows whose files exist; the part that ranks comes first."""
    return [part for part in task.row_sets if task.missing_file(test, part) is None]
