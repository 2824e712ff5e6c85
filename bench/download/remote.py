"""What a task says of a file that somebody published."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath


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
