"""Malformed archives and manifests: what comes from other people, or lay on a failing disk."""

import importlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.inputs import Input


def archives(good: Path) -> Iterator[Input]:
    """Yield archives for ``bench import``; more are in tests/sharing/hostile_archives.py."""
    content = good.read_bytes()
    files = _unpacked(good)
    run = next(iter(files)).split("/")[0]
    manifest, table = f"{run}/manifest.json", Path("t.tsv")

    def packed(**changes: object) -> dict[str, bytes]:
        told = {**json.loads(files[manifest]), **changes}
        return {**files, manifest: json.dumps(told).encode()}

    variants: dict[str, bytes | dict[str, bytes]] = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "no zip": b"PK nothing",
        "no files": {},
        "a path upwards": {**files, "../evil": b"x"},
        "an absolute path": {**files, "/tmp/evil": b"x"},
        "one more file": {**files, f"{run}/evil.py": b"x"},
        "no predictions": {manifest: files[manifest]},
        "a manifest of text": {**files, manifest: b"text"},
        "a deep manifest": {**files, manifest: b"[" * 200_000},
        "the first year": packed(created="0001-01-01T00:00:00+14:00"),
        "the last year": packed(created="9999-12-31T23:59:59-14:00"),
        "created 9": packed(created=9),
        "an empty model": packed(model={"name": ""}),
        "other scores": packed(metrics={"test/all/pearson": 1.0}),
        "predictions of text": {**files, f"{run}/predictions.npy": b"text"},
    }
    for name, made in variants.items():

        def make(place: Path, home: Path, made: bytes | dict[str, bytes] = made) -> list[str]:
            path = place / "results.zip"
            if isinstance(made, bytes):
                path.write_bytes(made)
            else:
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
                    for key, value in made.items():
                        file.writestr(key, value)
            return ["import", str(path), "--task", str(good.parent / table)]

        yield Input(f"archive: {name}", make)


def manifests(run: Path) -> Iterator[Input]:
    """Yield homes in which one manifest is wrong, for ``bench runs``; the other run is listed."""
    told = json.loads((run / "manifest.json").read_text())
    for name, content in {
        "empty": b"",
        "cut": json.dumps(told)[:300].encode(),
        "foreign": b'{"name": "package", "version": "1"}',
        "a list": b"[]",
        "deep": b"[" * 200_000,
        "no UTF-8": b"\xff\xfe\x00",
        "created 9": json.dumps({**told, "created": 9}).encode(),
        "created far away": json.dumps({**told, "created": "0001-01-01T00:00+14:00"}).encode(),
        "model 5": json.dumps({**told, "model": 5}).encode(),
        "metrics text": json.dumps({**told, "metrics": {"test/all/pearson": "x"}}).encode(),
        "no data": json.dumps({k: v for k, v in told.items() if k != "data"}).encode(),
        "schema 99": json.dumps({**told, "schema": 99}).encode(),
        "NaN": json.dumps({**told, "seed": float("nan")}).encode(),
    }.items():

        def make(place: Path, home: Path, content: bytes = content) -> list[str]:
            for folder in (told["id"], "a-damaged-run"):
                shutil.copytree(run, home / folder)
                (home / folder / ".there").touch()
            (home / "a-damaged-run" / "manifest.json").write_bytes(content)
            return ["runs", "--json"]

        yield Input(f"manifest: {name}", make, "taken")


def hostile(good: Path) -> Iterator[Input]:
    """Yield the archives of ``tests/sharing/hostile_archives.py``, if there is such a module."""
    try:
        module = importlib.import_module("tests.sharing.hostile_archives")
    except ModuleNotFoundError:
        return
    for name, content in module.hostile_archives(_unpacked(good)):

        def make(place: Path, home: Path, content: bytes = content) -> list[str]:
            path = place / "results.zip"
            path.write_bytes(content)
            return ["import", str(path), "--task", str(good.parent / "t.tsv")]

        yield Input(f"hostile archive: {name}", make)


def _unpacked(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}
