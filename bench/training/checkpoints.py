"""Saved states of a training: written whole or not at all, checked before they are believed.

A state is a file for torch, loaded without running any code it might hold, and beside it a JSON
file, written last, with its hash. The last two are kept, so that a damaged one costs some minutes.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from pathlib import Path
from typing import IO, Any, cast

import torch

from bench.atomic import whole_file, write_text
from bench.errors import BenchError, first_line

State = dict[str, Any]
"""Tensors, numbers and texts by name; nested dictionaries and lists of them."""

_KEPT = 2
_DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError)
_SHARE = 50  # training lasts so many times as long as saving, however short the epochs


class Checkpoints:
    """The saved states of one run.

    Args:
        folder: Where they lie; made with the first one.
        minutes: Time between two of them, apart from those after a validation.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder, self._seconds = folder, minutes * 60
        self._saved, self._cost = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Say whether it is time for the next."""
        return time.monotonic() - self._saved >= self._seconds

    @property
    def cheap(self) -> bool:
        """Say whether training went on for long enough to be worth the time that saving takes."""
        return time.monotonic() - self._saved >= _SHARE * self._cost

    def save(self, step: int, state: State) -> None:
        """Write the state after ``step`` updates, then forget all but the last two.

        Raises:
            BenchError: The disk is full or may not be written.
        """
        started, path = time.monotonic(), self._folder / f"{step:09}.pt"
        try:
            self._folder.mkdir(exist_ok=True)
            with whole_file(path, durable=True) as file:
                hashing = _Hashing(file)
                torch.save(state, cast(IO[bytes], hashing))
            note = {"step": step, "sha256": hashing.digest.hexdigest()}
            write_text(path.with_suffix(".json"), json.dumps(note))
            self._forget(self._notes()[:-_KEPT])
        except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as the latter
            raise BenchError(f"{path} cannot be written: {first_line(error)}.") from None
        self._saved = time.monotonic()
        self._cost = self._saved - started

    def load(self) -> tuple[State | None, list[str]]:
        """Return the newest whole state, and a line on each that is damaged.

        None if there is no whole one; what is unfinished or damaged is removed.
        """
        damaged = []
        for note in reversed(self._notes()):
            path = note.with_suffix(".pt")
            try:
                if json.loads(note.read_text())["sha256"] != _sha256(path):
                    raise ValueError("its hash is another than when it was written")
                state: State = torch.load(path, map_location="cpu", weights_only=True)
            except _DAMAGE as error:
                damaged.append(f"{path} is damaged: {first_line(error)}.")
                self._forget([note])
            else:
                return state, damaged
        return None, damaged

    def clear(self) -> None:
        """Remove all: the run is finished, its weights lie beside its manifest."""
        self._forget(self._notes())
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()

    def _notes(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def _forget(self, notes: list[Path]) -> None:
        for note in notes:
            note.unlink()
        noted = {note.stem for note in self._notes()}
        for path in [*self._folder.glob("*.new"), *self._folder.glob("*.pt")]:
            if path.suffix == ".new" or path.stem not in noted:
                path.unlink()


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
