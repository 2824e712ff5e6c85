"""Damaged checkpoints are not loaded, and no checkpoint runs code."""

import hashlib
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import BenchError
from bench.training.checkpoints import Checkpoints


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


def state(step: int) -> dict[str, Any]:
    return {"step": step, "weights": {"a": torch.full((3,), float(step))}}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def saved(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder, minutes=10)
    for step in steps:
        checkpoints.save(step, state(step))
    return checkpoints


def test_the_last_two_are_kept_and_the_newest_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "states"
    assert Checkpoints(folder, minutes=10).load(lambda state: None) == (None, [])
    saved(folder, 5, 40, 1000)
    assert files(folder) == ["000000040.json", "000000040.pt", "000001000.json", "000001000.pt"]
    found, damaged = Checkpoints(folder, minutes=10).load(lambda state: None)
    assert found is not None
    assert (found["step"], damaged) == (1000, [])
    assert torch.equal(found["weights"]["a"], torch.full((3,), 1000.0))


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "gone", "note", "list", "nameless"])
def test_the_one_before_a_damaged_one_is_taken(tmp_path: Path, harm: str) -> None:
    saved(tmp_path, 1, 2)
    path, note = tmp_path / "000000002.pt", tmp_path / "000000002.json"
    whole = path.read_bytes()
    if harm == "flip":
        path.write_bytes(bytes([*whole[:700], whole[700] ^ 8, *whole[701:]]))
    elif harm in ("cut", "empty"):
        os.truncate(path, len(whole) // 2 if harm == "cut" else 0)
    elif harm == "gone":
        path.unlink()
    else:
        note.write_text({"note": '{"step": 2, "sha', "list": "[]", "nameless": "{}"}[harm])
    found, damaged = Checkpoints(tmp_path, minutes=10).load(lambda state: None)
    assert found is not None
    assert found["step"] == 1
    (line,) = damaged
    assert line.startswith(f"{path} is damaged: ")
    assert files(tmp_path) == ["000000001.json", "000000001.pt"]


class Trap:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", [torch.save, lambda value, path: path.write_bytes(value)])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, how: Any) -> None:
    """The hash is right, because an attacker can write the hash file, too."""
    folder = tmp_path / "states"
    saved(folder, 1, 2)
    path, trap = folder / "000000002.pt", Trap(tmp_path / "sprung")
    how({"step": 2, "trap": trap} if how is torch.save else pickle.dumps(trap, 2), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps({"step": 2, "sha256": digest}))
    found, damaged = Checkpoints(folder, minutes=10).load(lambda state: None)
    assert not (tmp_path / "sprung").exists()
    assert found is not None
    assert found["step"] == 1
    assert len(damaged) == 1
    assert "\n" not in damaged[0]


def test_what_was_left_unfinished_is_never_read_and_goes_with_the_next(tmp_path: Path) -> None:
    saved(tmp_path, 3)
    for name in ("000000009.new", "000000009.pt", "000000009.json.new"):
        (tmp_path / name).write_bytes(b"half")
    found, damaged = Checkpoints(tmp_path, minutes=10).load(lambda state: None)
    assert found is not None
    assert (found["step"], damaged) == (3, [])
    saved(tmp_path, 4)
    assert files(tmp_path) == [
        *("000000003.json", "000000003.pt", "000000004.json", "000000004.pt")
    ]


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    saved(tmp_path, 7)
    note = json.loads((tmp_path / "000000007.json").read_text())
    assert note == {
        "step": 7,
        "sha256": hashlib.sha256((tmp_path / "000000007.pt").read_bytes()).hexdigest(),
    }


def test_one_that_fails_leaves_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = saved(tmp_path, 1, 2)

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BenchError, match=r"000000003.pt cannot be written: .*No space left"):
        checkpoints.save(3, state(3))
    monkeypatch.undo()
    found, damaged = Checkpoints(tmp_path, minutes=10).load(lambda state: None)
    assert found is not None
    assert (found["step"], damaged) == (2, [])


def test_all_is_cleared(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path / "states", 1, 2, 3)
    (tmp_path / "states" / "000000009.new").touch()
    checkpoints.clear()
    checkpoints.clear()
    assert files(tmp_path) == []


def test_the_next_is_due_after_so_many_minutes_and_cheap_after_fifty_times_its_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    checkpoints = Checkpoints(tmp_path, minutes=2)
    assert (checkpoints.due, checkpoints.cheap) == (False, True)
    clock.now += 119.9
    assert not checkpoints.due
    clock.now += 0.2
    assert checkpoints.due
    sync = os.fsync

    def slow(number: int) -> None:
        clock.now += 3
        sync(number)

    monkeypatch.setattr("os.fsync", slow)
    checkpoints.save(1, state(1))
    assert (checkpoints.due, checkpoints.cheap) == (False, False)
    clock.now += 149
    assert (checkpoints.due, checkpoints.cheap) == (True, False)
    clock.now += 2
    assert checkpoints.cheap


@pytest.mark.parametrize("harm", ["pipe", "folder", "note pipe", "note folder"])
def test_what_is_no_file_is_passed_over(tmp_path: Path, harm: str) -> None:
    saved(tmp_path, 1, 2)
    path = tmp_path / ("000000002.json" if "note" in harm else "000000002.pt")
    path.unlink()
    os.mkfifo(path) if "pipe" in harm else path.mkdir()
    checkpoints = Checkpoints(tmp_path, minutes=10)
    found, damaged = checkpoints.load(lambda state: None)
    assert found is not None
    assert (found["step"], len(damaged)) == (1, 1)
    checkpoints.save(3, state(3))
    checkpoints.clear()
    assert not tmp_path.exists()


def test_what_cannot_be_read_now_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server that is away for a moment, and too little memory, cost no checkpoint."""
    saved(tmp_path, 1, 2)
    before = files(tmp_path)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", fail)
        assert Checkpoints(tmp_path, minutes=10).load(lambda state: None)[0] is None
    assert files(tmp_path) == before

    def short(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    with monkeypatch.context() as patch:
        patch.setattr("torch.load", short)
        with pytest.raises(RuntimeError, match="allocate memory"):
            Checkpoints(tmp_path, minutes=10).load(lambda state: None)
    assert files(tmp_path) == before


class Full(io.BytesIO):
    """A file on a disk with room for 40,000 bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 40_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_disk_that_is_full_for_torch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch replaces the system's error by one on positions in its archive."""
    opened = Path.open

    def full(self: Path, mode: str = "r", **options: Any) -> Any:
        return Full() if mode == "xb" else opened(self, mode, **options)

    monkeypatch.setattr(Path, "open", full)
    large = {str(number): torch.zeros(1 << 12) for number in range(9)}
    with pytest.raises(BenchError, match=r"000000003.pt cannot be written: No space left on dev"):
        Checkpoints(tmp_path, minutes=10).save(3, large)
