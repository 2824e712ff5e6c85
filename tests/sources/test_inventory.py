"""Listing and verification of a cache that was filled by hand."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.cards import RemoteFile
from bench.sources import inventory

CONTENT = {"one": {"a.txt": b"abc", "deep/b.txt": b"12345"}, "two": {"c.txt": b"x"}}


class Tasks:
    """Two tasks with files; ``gone.txt`` is published but missing here."""

    def places(self) -> dict[str, None]:
        return dict.fromkeys(CONTENT)

    def get(self, name: str) -> SimpleNamespace:
        known = {**CONTENT[name], "gone.txt": b"never fetched"}
        files = [
            RemoteFile(name=file, url="", sha256=hashlib.sha256(content).hexdigest())
            for file, content in known.items()
        ]
        return SimpleNamespace(files=tuple(files))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(inventory, "TASKS", Tasks())
    for task, files in CONTENT.items():
        for name, content in files.items():
            write(tmp_path / task / name, content)
    return tmp_path


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_published_files_of_every_task_are_listed_with_what_is_missing(cache: Path) -> None:
    rows = {(row["task"], row["name"]): row for row in inventory.listed()}
    assert sorted(rows) == [
        *[("one", "a.txt"), ("one", "deep/b.txt"), ("one", "gone.txt")],
        *[("two", "c.txt"), ("two", "gone.txt")],
    ]
    assert rows["one", "deep/b.txt"]["size"] == 5
    assert rows["one", "deep/b.txt"]["path"] == str(cache / "one" / "deep" / "b.txt")
    assert (rows["two", "gone.txt"]["kind"], rows["two", "gone.txt"]["size"]) == ("missing", 0)


def test_simulated_and_encoded_folders_are_listed_with_all_that_lies_in_them(cache: Path) -> None:
    write(cache / "one-simulated" / "v1-9-rows-seed-0" / "a.txt", b"1234")
    write(cache / "one-simulated" / "v1-9-rows-seed-0" / "sub" / "b.txt", b"567")
    write(cache / "one-simulated" / "v1-9-rows-seed-1" / "a.txt", b"1")
    write(cache / "encoded" / "t.txt-0a" / "state" / "tokens", b"12")
    write(cache / "encoded" / "t.txt-0a" / ".lock", b"")
    rows = [row for row in inventory.listed() if row["kind"] in ("simulated", "encoded")]
    assert rows == [
        {
            "task": task,
            "path": str(cache / folder / name),
            "name": name,
            "kind": kind,
            "size": size,
        }
        for task, folder, name, kind, size in (
            ("one-simulated", "one-simulated", "v1-9-rows-seed-0", "simulated", 7),
            ("one-simulated", "one-simulated", "v1-9-rows-seed-1", "simulated", 1),
            ("", "encoded", "t.txt-0a", "encoded", 2),
        )
    ]


def test_what_is_not_what_was_published_is_not_right(cache: Path) -> None:
    write(cache / "two" / "c.txt", b"y")
    verdicts = {(row["task"], row["name"]): row["ok"] for row in inventory.verified(None)}
    assert verdicts == {
        ("one", "a.txt"): True,
        ("one", "deep/b.txt"): True,
        ("one", "gone.txt"): False,
        ("two", "c.txt"): False,
        ("two", "gone.txt"): False,
    }


def test_one_task_is_verified_alone() -> None:
    assert [(row["task"], row["name"]) for row in inventory.verified("two")] == [
        ("two", "c.txt"),
        ("two", "gone.txt"),
    ]
