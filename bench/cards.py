"""What a plugin says about itself, so that a reader can check it against the original."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a plugin comes from."""

    citation: str
    """Authors, title or journal, year, DOI."""
    url: str
    """The original program or data, pinned to a commit or record."""
    license: str
    """SPDX name of the original's licence, or what is known of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """A model, in the words of its field."""

    summary: str
    source: Source
    differences: tuple[str, ...] = ()
    """How this implementation departs from the original, each with its reason."""
    variants: tuple[tuple[str, str], ...] = ()
    """Pairs of ``--set`` arguments and what they give."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskCard:
    """A task: what a row is, what is predicted, and how it is scored."""

    summary: str
    version: int
    """Raised whenever a score could change; results of two versions never rank together."""
    row: str
    target: str
    """Meaning and unit of the target."""
    primary: str
    """The score that ranks: a subset's metric such as "all/mse", or one that
    :meth:`bench.task.Task.overall` returns. Which direction is better, the metric says."""
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: Path inside the task's folder, such as ``test_subset_ids/yeast_seqs.csv``.
        url: Where it is published.
        size: Bytes, where published.
        sha256: Lower-case hexadecimal, where published.
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
            raise ValueError(f"{self.name}: no lower-case sha256: {self.sha256!r}")
