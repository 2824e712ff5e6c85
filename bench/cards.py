"""What a plugin says about itself, so that a reader can check it against the original."""

from dataclasses import dataclass


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
    """The metric that ranks, as named in :meth:`bench.task.Task.score`; higher is better."""
    source: Source
