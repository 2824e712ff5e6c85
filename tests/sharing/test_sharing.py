"""``bench export`` and ``bench import``: what comes through, and what does not."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.sharing import archive
from tests.runner.test_run import bench, elsewhere, fails, only_run
from tests.sharing.conftest import Files

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder


def pack(files: Files) -> None:
    with zipfile.ZipFile("results.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)


def test_runs_come_through_with_their_figures_and_without_places_code_or_weights(
    home: Path, assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench("export", "madlab", "kmer-ridge", "--out", "results.zip", "--home", str(home))
    with zipfile.ZipFile("results.zip") as file:
        names = {Path(name).name for name in file.namelist()}
        text = b"".join(file.read(name) for name in file.namelist())
    assert str(home).encode() not in text
    assert str(assay).encode() not in text
    assert names == {"manifest.json", "predictions.npy", "metrics.jsonl", "losses.npy"}

    bench("import", "results.zip", "--data", str(assay))
    told = capsys.readouterr().out
    assert told.count("predictions scored again; imported, unverified") == 2
    for theirs in home.glob("*/manifest.json"):
        ours = Path("runs") / theirs.parent.name
        old, new = json.loads(theirs.read_text()), json.loads((ours / "manifest.json").read_text())
        assert new["metrics"] == pytest.approx(old["metrics"], abs=1e-12, nan_ok=True)
        assert new["model"] == {**old["model"], "origin": "imported"}
        assert (new["verified"], new["recipe"], new["seed"]) == (False, old["recipe"], old["seed"])
        assert not {"identity", "request", "study"} & new.keys()
        for name in ("predictions.npy", "metrics.jsonl", "losses.npy"):
            if (theirs.parent / name).is_file():
                assert (ours / name).read_bytes() == (theirs.parent / name).read_bytes()
        assert not (ours / "model.safetensors").exists()


def test_imported_runs_are_listed_ranked_and_compared_but_are_nobodys_own(
    home: Path, assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench("export", "madlab", "kmer-ridge", "--out", "results.zip", "--home", str(home))
    bench("import", "results.zip", "--data", str(assay))
    capsys.readouterr()
    bench("runs")
    assert capsys.readouterr().out.count("unverified") == 2
    board = ("leaderboard", "--task", "dream", "--simulated", "--resamples", "100")
    bench(*board, "--format", "json")
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["verified"] for row in rows] == [False, False]
    bench("compare", "madlab", "kmer-ridge", "--resamples", "100")
    assert "A is unverified" in capsys.readouterr().out
    bench("run", "--model", "kmer-ridge", "--task", "dream", "--data", str(assay))
    assert "finished before" not in capsys.readouterr().err  # it trains, for all that is imported


def test_what_is_here_already_is_not_imported_again(
    home: Path, assay: Path, shared: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(shared)
    bench("import", "results.zip", "--data", str(assay))
    assert "exists already" in fails(capsys, "import", "results.zip", "--data", str(assay))
    pack(renamed(shared, "other-261121-100946-4a21"))
    told = fails(capsys, "import", "results.zip", "--data", str(assay))
    assert "other-261121-100946-4a21 is madlab" in told
    assert "under another name" in told
    Path("mine").mkdir()
    pack({**shared, **renamed(shared, "other-261121-100946-4a21")})
    told = fails(capsys, "import", "results.zip", "--data", str(assay), "--home", "mine")
    assert "under another name" in told
    assert not list(Path("mine").iterdir())


def renamed(files: Files, run: str) -> Files:
    found = {f"{run}/{Path(name).name}": content for name, content in files.items()}
    manifest = json.loads(found[f"{run}/manifest.json"])
    found[f"{run}/manifest.json"] = json.dumps({**manifest, "id": run}).encode()
    return found


def manifest(**changes: Any) -> Callable[[Files, str], None]:
    """Change fields of the manifest by their paths; None takes one out."""

    def change(files: Files, run: str) -> None:
        found = json.loads(files[f"{run}/manifest.json"])
        for path, value in changes.items():
            *sections, name = path.split("__")
            place = found
            for section in sections:
                place = place[section]
            place[name] = value
            if value is None:
                del place[name]
        files[f"{run}/manifest.json"] = json.dumps(found).encode()

    return change


def content(name: str, make: Callable[[bytes], bytes]) -> Callable[[Files, str], None]:
    def change(files: Files, run: str) -> None:
        files[f"{run}/{name}"] = make(files[f"{run}/{name}"])

    return change


def more(name: str, content: bytes = b"x") -> Callable[[Files, str], None]:
    def change(files: Files, run: str) -> None:
        files[name.replace("RUN", run)] = content

    return change


def array(values: Any) -> Callable[[bytes], bytes]:
    def make(_: bytes) -> bytes:
        out = io.BytesIO()
        np.save(out, values)
        return out.getvalue()

    return make


def huge(old: bytes) -> bytes:
    """A header of a trillion values before a handful of bytes."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    )
    return out.getvalue() + old[-100:]


def shifted(old: bytes) -> bytes:
    """One prediction of all is another one."""
    values = np.load(io.BytesIO(old))
    values[7] += 0.01
    return array(values)(old)


ROW = b'{"step": 1, "time": 1, "metrics": {"train/loss": 1.0}}\n'
HOSTILE = {
    "figures": (manifest(**{"metrics__test/all/pearson": 0.5}), "test/all/pearson is 0.5"),
    "a figure less": (manifest(**{"metrics__test/all/pearson": None}), "pearson is missing"),
    "one more": (manifest(**{"metrics__test/x": 0.5}), "predictions give missing"),
    "one prediction": (content("predictions.npy", shifted), "but its predictions give"),
    "other rows": (manifest(scored__test="0" * 16), "it has other test rows (0000"),
    "other subsets": (
        manifest(scored__subsets="0"),
        "has other subsets of the test rows (0",
    ),
    "task version": (manifest(task__version=1), "it has another version of the task (1, not"),
    "scorer": (manifest(scored__version=99), "it has another version of the scorer (99, not"),
    "part": (manifest(scored__rows="none"), "--rows 'none'"),
    "real": (manifest(data__name="dream"), "it has other data (dream, not dream-simulated)"),
    "task": (manifest(task__name="nix"), "no task is called 'nix'"),
    "another machine's file": (manifest(task__name="/etc/x.tsv"), "by --task"),
    "options": (manifest(data__options={"x": 1}), "task has no setting 'x'"),
    "unfinished": (manifest(status="running"), "not finished"),
    "another's": (manifest(id="x-261121-100946-4a21"), "belongs to another run"),
    "time": (manifest(created="yesterday"), "created is not a time"),
    "time before year 1": (manifest(created="0001-01-01T00:00:00+14:00"), "created is not a time"),
    "time after year 9999": (
        manifest(finished="9999-12-31T23:59:59-14:00"),
        "finished is not a time",
    ),
    "time of the Romans": (manifest(created="0476-09-04T00:00:00+00:00"), "in the year 476"),
    "time of nobody": (manifest(created="9999-01-01T00:00:00+00:00"), "in the year 9999"),
    "time without a zone": (manifest(created="2026-01-01T00:00:00"), "is a time without a zone"),
    "a date": (manifest(created="2026-01-01"), "created is a time without a zone"),
    "time to come": (manifest(finished="2199-01-01T00:00:00+00:00"), "is in the future"),
    "end before start": (
        manifest(finished="2020-01-01T00:00:00+00:00"),
        "finished is before created",
    ),
    "no name": (manifest(model__name=""), "model.name is ''"),
    "blank name": (manifest(model__name="   "), "model.name is ' '"),
    "name that looks blank": (manifest(model__name="\u3164\u2800"), "visible characters"),
    "name in spaces": (manifest(model__name=" x"), "without spaces around"),
    "long name": (manifest(model__name="x" * 101), "1 to 100 visible characters"),
    "name backwards": (manifest(model__name="a\u202eb"), "control characters"),
    "name of no width": (manifest(model__name="a\u200bb"), "control characters"),
    "name in two lines": (manifest(model__name="a\nb"), "control characters"),
    "blank preset": (manifest(preset=" "), "preset is ' '"),
    "protocol": (manifest(track="best of all"), "track is 'best of all'; there are standard"),
    "no seed": (manifest(seed=None), "manifest's seed is missing"),
    "types": (manifest(metrics__loss=[1]), "metrics.loss is list"),
    "text": (manifest(environment__x=1), "environment.x is int"),
    "a setting": (manifest(recipe__x={"a": 1}), "its recipe.x is dict"),
    "a step": (manifest(plan__x=[1]), "its plan.x is list"),
    "no device": (manifest(device__kind=None), "manifest's device.kind is missing"),
    "no scores": (manifest(scored=None), "manifest's scored is missing"),
    "a number": (manifest(model__parameters="1"), "manifest's model.parameters is str"),
    "escape codes": (
        manifest(model__name="\x1b[31mred"),
        "text with control characters, or too long",
    ),
    "long text": (manifest(preset="x" * 10_000), "text with control characters, or too long"),
    "names": (manifest(model__config={"a$b": 1}), "its model.config has an invalid name"),
    "notes": (manifest(data__notes={"\x1b[2J": 1}), "text with control characters, or too long"),
    "not finite": (manifest(cost__x=float("nan")), "not finite"),
    "large": (manifest(seed=1 << 70), "number too large"),
    "maze": (manifest(tuned={"a": [[[[[[1]]]]]]}), "nested too deeply"),
    "not JSON": (content("manifest.json", lambda _: b"{"), "not JSON"),
    "nested": (content("manifest.json", lambda _: b"[" * 100_000), "not JSON"),
    "a list": (content("manifest.json", lambda _: b"[]"), "is not a JSON object"),
    "pickle": (content("predictions.npy", array(np.array([{}], object))), "not a vector of floats"),
    "huge": (content("predictions.npy", huge), "not a vector of floats"),
    "integers": (content("predictions.npy", array(np.arange(9))), "holds <i8"),
    "matrix": (content("predictions.npy", array(np.ones((3, 3)))), "of shape (3, 3)"),
    "short": (content("predictions.npy", array(np.ones(3))), "has 3 values for"),
    "not an array": (content("predictions.npy", lambda _: b"hello"), "not a NumPy array"),
    "header": (content("predictions.npy", lambda old: old[:10] + b"(" * 100), "not a NumPy array"),
    "trailing": (content("predictions.npy", lambda old: old + b"x"), "not a vector of floats"),
    "losses": (content("losses.npy", array(np.array([None]))), "its losses.npy holds"),
    "curve": (content("metrics.jsonl", lambda _: ROW + b"{}\n"), "metrics.jsonl, line 2"),
    "figure's name": (
        content("metrics.jsonl", lambda _: ROW.replace(b"loss", b"$(x)")),
        "metrics.jsonl, line 1",
    ),
    "not a curve": (content("metrics.jsonl", lambda _: b"\xff"), "metrics.jsonl, line 1"),
    "weights": (more("RUN/model.safetensors"), "does not belong"),
    "code": (more("RUN/model.py"), "does not belong"),
    "above": (more("../manifest.json"), "does not belong"),
    "absolute": (more("/tmp/x-261121-100946-4a21/manifest.json"), "does not belong"),
    "hidden": (more(".x-261121-100946-4a21/manifest.json"), "does not belong"),
    "dots": (more("RUN/./manifest.json"), "does not belong"),
    "backslash": (more("..\\x-261121-100946-4a21\\manifest.json"), "does not belong"),
    "folder": (more("RUN/", b""), "does not belong"),
    "not a run": (more("mlartifacts/manifest.json"), "does not belong"),
    "half a run": (more("x-261121-100946-4a21/manifest.json"), "has no predictions.npy"),
    "bomb": (more("RUN/metrics.jsonl", bytes(65 << 20)), "unpacks to 68,157,440 bytes"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_does_not_match_is_refused_and_nothing_is_written(
    case: str, assay: Path, shared: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    change, told = HOSTILE[case]
    files, run = dict(shared), next(iter(shared)).split("/")[0]
    change(files, run)
    pack(files)
    message = fails(capsys, "import", "results.zip", "--data", str(assay))
    assert told in message
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def central(change: Callable[[bytearray, int], None]) -> bytes:
    """Change the first entry of the zip's directory."""
    text = bytearray(Path("results.zip").read_bytes())
    change(text, text.index(b"PK\x01\x02"))
    return bytes(text)


def size(text: bytearray, at: int) -> None:
    text[at + 24 : at + 28] = struct.pack("<I", 10)


def symlink(text: bytearray, at: int) -> None:
    text[at + 38 : at + 42] = struct.pack("<I", 0o120777 << 16)


def encrypted(text: bytearray, at: int) -> None:
    text[at + 8] |= 1


def method(text: bytearray, at: int) -> None:
    text[at + 10 : at + 12] = struct.pack("<H", 14)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (size, "is damaged"),
        (symlink, "is not a regular file"),
        (encrypted, "is not a regular file"),
        (method, "is not a regular file"),
    ],
)
def test_a_directory_that_lies_is_found_out(
    change: Any, told: str, assay: Path, shared: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(shared)
    Path("results.zip").write_bytes(central(change))
    assert told in fails(capsys, "import", "results.zip", "--data", str(assay))
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


@pytest.mark.parametrize("cut", [0, 10, 5_000])
def test_a_file_that_is_cut_short_is_refused(
    cut: int, shared: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(shared)
    Path("results.zip").write_bytes(Path("results.zip").read_bytes()[:cut])
    assert "results.zip: not a zip file" in fails(capsys, "import", "results.zip")


def test_the_same_name_twice_is_refused(
    shared: Files, assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(shared)
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile("results.zip", "a") as file,
    ):
        file.writestr(next(iter(shared)), "{}")
    assert "is in the file twice" in fails(capsys, "import", "results.zip", "--data", str(assay))


def test_one_run_that_does_not_match_keeps_out_the_others(
    home: Path, assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.export_runs(["kmer-ridge", "madlab"], Path("good.zip"), home)
    with zipfile.ZipFile("good.zip") as file:
        files = {name: file.read(name) for name in file.namelist()}
    last = list(files)[-1].split("/")[0]
    manifest(scored__test="0")(files, last)
    pack(files)
    assert fails(capsys, "import", "results.zip", "--data", str(assay)).startswith(last)
    assert list(Path("runs").iterdir()) == []


def test_a_disk_that_fails_half_way_leaves_nothing(
    home: Path, assay: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.export_runs(["kmer-ridge", "madlab"], Path("results.zip"), home)
    rename, moved = Path.rename, list[Path]()

    def fail_second(self: Path, target: Path) -> Path:
        if target.parent == Path("runs").absolute():
            moved.append(target)
        if len(moved) == 2:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_second)
    told = fails(capsys, "import", "results.zip", "--data", str(assay))
    assert "No space left on device" in told
    assert len(moved) == 2
    assert list(Path("runs").iterdir()) == []


def test_a_table_is_named_where_it_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{''.join(rng.choice(list('ACGT'), 9))}\t{y}" for y in rng.normal(size=80)]
    text = "sequence\ttarget\n" + "\n".join(rows)
    for folder in ("there", "here"):
        Path(folder).mkdir()
        Path(folder, "my.tsv").write_text(text)
    bench("run", "--model", "kmer-ridge", "--task", "there/my.tsv", "--no-tracking")
    bench("export", "kmer-ridge", "--out", "results.zip")
    assert "Give its path on this machine by --task" in fails(
        capsys, "import", "results.zip", "--home", "h"
    )
    bench("import", "results.zip", "--task", "here/my.tsv", "--home", "h")
    _, manifest = only_run(Path("h"))
    assert manifest["task"]["name"] == str(Path("here/my.tsv").absolute())


def test_what_cannot_be_exported_is_told_and_no_file_is_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = ("export", "madlab", "--home", str(home), "--out")
    assert "no such run" in fails(capsys, "export", "x", "--home", str(home), "--out", "r.zip")
    assert "No such file or directory" in fails(capsys, *export, "no/where.zip")
    Path("old.zip").write_text("old")
    assert "old.zip exists. Name a new file." in fails(capsys, *export, "old.zip")
    assert Path("old.zip").read_text() == "old"
    assert "no such file" in fails(capsys, "import", "gone.zip")
    assert [path.name for path in Path().iterdir()] == ["old.zip"]
