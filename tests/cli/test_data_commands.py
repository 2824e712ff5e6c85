"""``bench data get, list, verify`` and ``bench run --download``, from a server on 127.0.0.1."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.registry import TASKS
from bench.sources.locate import write_simulation
from tests.fault_server import Answer, FaultServer
from tests.runner.test_run import bench, elsewhere, fails, only_run

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder

TRAIN = "train_sequences.txt"
PLUGIN = """
from bench.cards import RemoteFile
from bench.registry import TASKS

Dream = TASKS.get("dream")


class Served(Dream):
    files = tuple(
        RemoteFile(name=name, url={url!r} + name, sha256=sha256) for name, sha256 in {files!r}
    )
"""


@pytest.fixture(scope="module")
def assay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "assay"
    write_simulation(TASKS.get("dream"), folder, rows=1500, seed=1)
    return folder


@pytest.fixture
def server(assay: Path) -> Iterator[FaultServer]:
    with FaultServer() as found:
        found.answers = {f"/{n}": [Answer(body=(assay / n).read_bytes())] for n in names(assay)}
        yield found


def names(assay: Path) -> list[str]:
    return sorted(str(p.relative_to(assay)) for p in assay.rglob("*") if p.is_file())


@pytest.fixture
def plugin(assay: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A task whose files the server has; the training file's hash is published."""
    monkeypatch.setattr(TASKS, "_extra", {})
    monkeypatch.delitem(sys.modules, "served", raising=False)
    sha256 = hashlib.sha256((assay / TRAIN).read_bytes()).hexdigest()
    files = [(name, sha256 if name == TRAIN else None) for name in names(assay)]
    Path("served.py").write_text(PLUGIN.format(url=f"{server.url}/", files=files))
    return ["--plugin", "served.py"]


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    bench(*arguments, "--json")
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command line starts with no plugin; here they share a process."""
    monkeypatch.delitem(sys.modules, "served", raising=False)
    monkeypatch.setattr(TASKS, "_extra", {})


def test_what_is_fetched_is_listed_verified_and_trained_on(
    assay: Path,
    plugin: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench("data", "get", "served", *plugin)
    folder = Path(os.environ["BENCH_CACHE"]) / "served"
    for name in names(assay):
        assert (folder / name).read_bytes() == (assay / name).read_bytes()

    forget(monkeypatch)
    listed = [row for row in report(capsys, "data", "list", *plugin) if row["task"] == "served"]
    kinds = {row["name"]: row["kind"] for row in listed}
    assert kinds.pop(TRAIN) == "published"
    assert set(kinds.values()) == {"recorded"}
    assert {row["size"] for row in listed if row["name"] == TRAIN} == {
        (assay / TRAIN).stat().st_size
    }

    forget(monkeypatch)
    checked = report(capsys, "data", "verify", "served", *plugin)
    assert all(row["ok"] for row in checked)
    assert len(checked) == len(names(assay))

    forget(monkeypatch)
    arguments = ("run", "--model", "kmer-ridge", "--task", "served", *plugin, "--no-tracking")
    bench(*arguments)
    assert only_run()[1]["status"] == "finished"


def test_a_file_that_changed_on_disk_is_found(
    assay: Path,
    plugin: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench("data", "get", "served", *plugin)
    folder = Path(os.environ["BENCH_CACHE"]) / "served"
    path = folder / "test_subset_ids" / "yeast_seqs.csv"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    forget(monkeypatch)
    message = fails(capsys, "data", "verify", "served", *plugin)
    assert message == f"1 of {len(names(assay))} files are missing or differ from their hash."


def test_a_run_fetches_what_is_missing_when_told_to(
    assay: Path,
    server: FaultServer,
    plugin: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = ("run", "--model", "kmer-ridge", "--task", "served", *plugin, "--no-tracking")
    assert "`bench data get served` fetches it (so does --download)" in fails(capsys, *run)
    assert not server.asked
    for _ in range(2):
        forget(monkeypatch)
        bench(*run, "--download")
    assert len(server.asked) == len(names(assay))  # once each


def test_a_folder_of_files_one_has_is_copied_and_checked(
    assay: Path,
    server: FaultServer,
    plugin: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench("data", "get", "served", *plugin, "--from", str(assay))
    assert not server.asked
    folder = Path(os.environ["BENCH_CACHE"]) / "served"
    assert (folder / TRAIN).read_bytes() == (assay / TRAIN).read_bytes()
    forget(monkeypatch)
    monkeypatch.setenv("BENCH_CACHE", f"{tmp_path}-other")
    (tmp_path / "few").mkdir()
    message = fails(capsys, "data", "get", "served", *plugin, "--from", str(tmp_path / "few"))
    assert TRAIN in message


def test_a_mirror_has_the_files_by_their_names(
    assay: Path, server: FaultServer, plugin: list[str]
) -> None:
    text = Path("served.py").read_text().replace(server.url, "http://127.0.0.1:9")
    Path("served.py").write_text(text)
    bench("data", "get", "served", *plugin, "--mirror", server.url)
    assert (Path(os.environ["BENCH_CACHE"]) / "served" / TRAIN).is_file()


def test_a_task_without_files_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bare.py").write_text(
        "from bench.registry import TASKS\n"
        "Dream = TASKS.get('dream')\n"
        "class Bare(Dream):\n    files = ()\n"
    )
    message = fails(capsys, "data", "get", "bare", "--plugin", "bare.py")
    assert message == "task 'bare' names no files to fetch. Give a folder by --data."


def test_the_challenge_is_described_with_what_is_published_of_it() -> None:
    files = {file.name: file for file in TASKS.get("dream").files}
    train = files[TRAIN]
    assert train.size == 805_369_640
    assert train.sha256 == "dfd548e99d9d64fae963c029a8f7446688f6f064ae414e54c2f4880f25256661"
    assert all(file.url.startswith("https://") for file in files.values())
    assert {"train.txt", "val.txt", "test_subset_ids/all_SNVs_seqs.csv"} <= set(files)
    assert len(files) == 4 + 8 + 8


def test_a_killed_download_goes_on_in_the_next_command(
    assay: Path, server: FaultServer, plugin: list[str]
) -> None:
    body = (assay / TRAIN).read_bytes()
    server.answers[f"/{TRAIN}"] = [
        Answer(body=body, headers={"ETag": '"a"'}, stop=len(body) // 2, stall=True),
        Answer(body=body, headers={"ETag": '"a"'}),
    ]
    folder = Path(os.environ["BENCH_CACHE"]) / "served"
    command = [sys.executable, "-m", "bench", "data", "get", "served", *plugin]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    part = folder / f"{TRAIN}.part"
    while not part.is_file() or part.stat().st_size < len(body) // 2:
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not (folder / TRAIN).exists()
    bench("data", "get", "served", *plugin)
    assert (folder / TRAIN).read_bytes() == body
    asked = [request for request in server.asked if request.path == f"/{TRAIN}"]
    assert asked[-1].range == f"bytes={len(body) // 2}-"


def test_the_description_is_printed_written_and_json(
    assay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    describe = ("data", "describe", "dream", "--data", str(assay))
    bench(*describe, "--out", "page.html")
    printed = capsys.readouterr()
    assert "SIMULATED" in printed.out
    assert "page.html: open it in a browser." in printed.err
    assert Path("page.html").read_text().startswith("<!doctype html>")
    bench(*describe, "--json", "--set", "task.fraction=0.5")
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "dream-simulated"
    assert found["splits"]["train"]["rows"] == 712


def test_a_table_of_ones_own_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["ACGTACGTAACC\t1\ttrain", "ACGTACGTAACG\t2\ttest", "GGGGTTTTCCAA\t3\tvalidation"]
    Path("t.tsv").write_text("sequence\ttarget\tsplit\n" + "\n".join(rows) + "\n")
    bench("data", "describe", "t.tsv")
    assert "test rows, in train" in capsys.readouterr().out
