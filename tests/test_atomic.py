"""Files and folders that appear complete, also after a failure or with a second writer."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from bench.atomic import scratch_folder, whole_file, whole_folder, write_json, write_text


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    error: type[BaseException], tmp_path: Path
) -> None:
    write_text(tmp_path / "a.txt", "old")

    def fail() -> None:
        with whole_file(tmp_path / "a.txt") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_last_of_two_writers_at_once_wins(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as one, whole_file(tmp_path / "a") as two:
        one.write(b"1")
        two.write(b"2")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert names(tmp_path) == ["a"]


def test_modes_follow_the_umask_or_the_file_that_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "new", "")
    with whole_folder(tmp_path / "folder"):
        pass
    assert (mode(tmp_path / "new"), mode(tmp_path / "folder")) == (0o640, 0o750)
    for keep, expected in ((True, 0o604), (False, 0o640)):
        (tmp_path / "new").chmod(0o604)
        with whole_file(tmp_path / "new", keep_mode=keep):
            pass
        assert mode(tmp_path / "new") == expected


def test_a_durable_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "a", list[tuple[int, bool]]()

    def sync(number: int) -> None:
        synced.append((os.fstat(number).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    with whole_file(path) as file:
        file.write(b"1234")
    assert synced == []
    path.unlink()
    with whole_file(path, durable=True) as file:
        file.write(b"1234")
    assert synced == [(4, False)]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "folder"
    with whole_folder(folder) as fresh:
        (fresh / "a").touch()
        assert not folder.exists()
        assert fresh.parent == folder.parent
    assert names(folder) == ["a"]
    assert names(folder.parent) == ["folder"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_failure_leaves_the_folder_that_was_there(replace: bool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()

    def fail() -> None:
        with whole_folder(tmp_path / "folder", replace=replace) as fresh:
            (fresh / "new").touch()
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert names(tmp_path / "folder") == ["old"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_is_replaced_only_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(OSError, match="not empty"), whole_folder(tmp_path / "folder"):
        pass
    assert names(tmp_path / "folder") == ["old"]
    with whole_folder(tmp_path / "folder", replace=True) as fresh:
        (fresh / "new").touch()
    assert names(tmp_path / "folder") == ["new"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_cannot_take_the_place_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    rename, calls = Path.rename, list[Path]()

    def second_fails(self: Path, target: Any) -> Path:
        calls.append(self)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(OSError, match="Input"), whole_folder(tmp_path / "folder", replace=True):
        pass
    assert names(tmp_path / "folder") == ["old"]
    assert names(tmp_path) == ["folder"]


def test_a_scratch_folder_goes_with_what_is_in_it(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "above") as fresh:
        (fresh / "a").touch()
        (fresh / "b").touch()
        (fresh / "b").rename(tmp_path / "kept")
    assert names(tmp_path) == ["above", "kept"]
    assert names(tmp_path / "above") == []


def test_json_has_null_where_a_number_is_none(tmp_path: Path) -> None:
    value = {"a": float("nan"), 2: (float("inf"), 1.5), "b": {"c": [-float("inf"), None, "ä"]}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == {"a": None, "2": [None, 1.5], "b": {"c": [None, None, "ä"]}}


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_an_error_without_a_path_gets_one_and_another_path_stays(
    whole: Callable[[Path], AbstractContextManager[object]], tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="full") as raised, whole(tmp_path / "a"):
        raise OSError(28, "full")
    assert raised.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError, match="full") as raised, whole(tmp_path / "a"):
        raise OSError(28, "full", "source")
    assert raised.value.filename == "source"
