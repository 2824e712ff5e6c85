"""Checkpoints of a training: written completely or not at all, and verified by a hash.

A checkpoint is a file of torch, which is loaded without running any code that it might hold, and a
JSON file with its hash, which is written last. The last two checkpoints are kept, so that a damaged
one costs only some minutes of training.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import struct
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import torch

from bench.atomic import open_regular, whole_file, write_text
from bench.errors import BenchError, first_line

State = dict[str, Any]
"""Tensors, numbers and texts by name, also in nested dictionaries and lists."""

_KEPT = 2
_DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, EOFError),
    *(ArithmeticError, RuntimeError, struct.error, pickle.UnpicklingError),
)
"""Errors of torch and of its restricted unpickler for files of any content."""
_LONGEST_NOTE = 1 << 16  # bytes
_SHARE = 50  # after an epoch, save only if training took 50 times as long as the last save


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Folder of the checkpoints; the first save creates it.
        minutes: Time between two checkpoints; those after a validation come in addition.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder, self._seconds = folder, minutes * 60
        self._saved, self._cost = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() - self._saved >= self._seconds

    @property
    def cheap(self) -> bool:
        """Whether the training since the last checkpoint took long enough to justify a save."""
        return time.monotonic() - self._saved >= _SHARE * self._cost

    def save(self, step: int, state: State) -> None:
        """Write the state after ``step`` steps, then remove all but the last two checkpoints.

        Raises:
            BenchError: The disk is full or the folder cannot be written.
        """
        started, path = time.monotonic(), self._folder / f"{step:09}.pt"
        try:
            self._folder.mkdir(exist_ok=True)
            with whole_file(path, durable=True) as file:
                hashing = _Hashing(file)
                torch.save(state, cast(IO[bytes], hashing))
            note = {"step": step, "sha256": hashing.digest.hexdigest()}
            write_text(path.with_suffix(".json"), json.dumps(note))
            self._remove(self._notes()[:-_KEPT])
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            cause = error if isinstance(error, OSError) else error.__context__
            reason = getattr(cause, "strerror", None) or first_line(error)
            raise BenchError(f"{path} cannot be written: {reason}.") from None
        self._saved = time.monotonic()
        self._cost = self._saved - started

    def load(self, check: Callable[[object], None]) -> tuple[State | None, list[str]]:
        """Return the newest intact state, and one message for each damaged checkpoint.

        The state is None if no checkpoint is intact. Damaged and unfinished files are removed;
        those that the system cannot read now are left.

        Args:
            check: Function that raises a ValueError for a state of another training.

        Raises:
            MemoryError, RuntimeError: There is too little memory.
        """
        damaged = []
        for note in reversed(self._notes()):
            path = note.with_suffix(".pt")
            try:
                state = _load(path, note)
                check(state)
            except _DAMAGE as error:
                if "allocate memory" in str(error) or "enough memory" in str(error):
                    raise
                damaged.append(f"{path} is damaged: {first_line(error)}.")
                if not isinstance(error, OSError) or isinstance(error, FileNotFoundError):
                    self._remove([note])
            else:
                return cast(State, state), damaged
        return None, damaged

    def clear(self) -> None:
        """Remove all checkpoints of a finished run, whose weights are in the run folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _notes(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def _remove(self, notes: list[Path]) -> None:
        for note in notes:
            _unlink(note)
        noted = {note.stem for note in self._notes()}
        for path in [*self._folder.glob("*.new"), *self._folder.glob("*.pt")]:
            if path.suffix == ".new" or path.stem not in noted:
                _unlink(path)


class _Hashing:
    """A file that computes the hash of the bytes written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write the bytes and add them to the hash."""
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


def _load(path: Path, note: Path) -> object:
    """Return the content of a checkpoint with the hash of its note."""
    with open_regular(note) as opened:
        digest = json.loads(opened.read(_LONGEST_NOTE))["sha256"]
    with open_regular(path) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise ValueError("its hash differs from the recorded one")
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch on foreign content, which is an error here
            return torch.load(file, map_location="cpu", weights_only=True)


def _unlink(path: Path) -> None:
    """Remove a file; leave what cannot be removed, such as a folder of this name."""
    with suppress(OSError):
        path.unlink()
