"""Cards of models and tasks: descriptions that a reader can check against the original."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Origin of a plugin."""

    citation: str
    """Authors, title or journal, year, DOI."""
    url: str
    """Address of the original program or data, pinned to a commit or record."""
    license: str
    """SPDX name of the original's licence, or a short description."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """Description of a model."""

    summary: str
    source: Source
    differences: tuple[str, ...] = ()
    """Differences between this implementation and the original, each with its reason."""
    variants: tuple[tuple[str, str], ...] = ()
    """Pairs of ``--set`` arguments and a description of the resulting variant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskCard:
    """Description of a task: its rows, its target and the score that ranks models."""

    summary: str
    version: int
    """Version of the task, raised whenever a score could change; results of different versions are
    never ranked together."""
    row: str
    target: str
    """Meaning and unit of the target."""
    primary: str
    """Name of the score that ranks models: a metric of a subset, such as "all/mse", or a score that
    :meth:`bench.task.Task.overall` returns. The metric says which direction is better."""
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: Path inside the task's folder, such as ``test_subset_ids/yeast_seqs.csv``.
        url: Address of the file.
        size: Size in bytes; None if no size is published.
        sha256: Hash in lower-case hexadecimal digits; None if no hash is published.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if not path.name or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"a file's name is a path inside the folder; got {self.name!r}")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"{self.name}: not a lower-case sha256: {self.sha256!r}")
