"""Runs whose folder is damaged, or whose command is given twice: they go on, or say why not."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

import bench as library
from bench.errors import BenchError
from bench.results import run_folder
from bench.runner import resume
from tests.forked import bench, start
from tests.killing import left_behind
from tests.runner.test_resume import begun, checkpoints, folder, only_run, ours, refused

__all__ = ["folder"]  # a fixture


@pytest.fixture(name="whole", scope="module")
def one_rank(folder: Path) -> dict[str, Any]:
    assert bench(folder, ours("whole")).status == 0
    return left_behind(folder, "whole")


def without_curves(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "curves"}


LINES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "garbage in between": lambda lines: [lines[0], b"garbage", *lines[1:]],
    "no metrics": lambda lines: [*lines, b'{"step": 7, "time": 1}'],
    "no UTF-8": lambda lines: [b'{"step": 7, "metrics": {"\xff": 1}}', *lines],
    "nuls for the last": lambda lines: [*lines[:-1], bytes(len(lines[-1]))],
    "nuls for all": lambda lines: [bytes(len(line)) for line in lines],
    "text for a step": lambda lines: [line.replace(b'"step": 1', b'"step": "x') for line in lines],
}


def slow_but(quick: set[str], names: Iterable[str]) -> list[Any]:
    """Return the parameters of a test, of which only the quick ones are in the usual suite."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("harm", slow_but({"garbage in between", "nuls for all"}, LINES))
def test_damaged_lines_of_metrics_are_named_and_the_run_goes_on(
    harm: str, folder: Path, whole: dict[str, Any]
) -> None:
    """The scores of the best step are computed again where their line is lost."""
    home = harm.replace(" ", "-")
    run = begun(folder, home)
    path = run / "metrics.jsonl"
    lines = path.read_bytes().splitlines()
    changed = LINES[harm](lines)
    path.write_bytes(b"".join(line + b"\n" for line in changed))
    done = bench(folder, ours(home))
    assert done.status == 0
    assert done.told == [
        f"bench: {path}, line {number}, is not a line of metrics and is left out."
        for number, line in enumerate(changed, start=1)
        if line not in lines
    ]
    again = left_behind(folder, home)
    assert without_curves(again) == without_curves(whole)
    lost = {json.loads(line)["step"] for line in lines if line not in changed}
    assert again["curves"] == [point for point in whole["curves"] if point[0] not in lost]


FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda state: [1, 2],
    "another shape": lambda state: state["model"].update({"head.bias": torch.zeros(7)}),
    "a step of text": lambda state: state.update(step="40"),
    "a step below 0": lambda state: state.update(step=-3),
    "no losses": lambda state: state.pop("losses"),
    "other moments": lambda state: state["optimizer"]["state"][0].update(exp_avg=torch.zeros(2)),
    "nothing": lambda state: None,
}


def forge(path: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    """Give a checkpoint another content, with the hash of that content."""
    state = torch.load(path, weights_only=True)
    changed = how(state)
    torch.save(changed if isinstance(changed, list) else state, path)
    note = {"step": 1, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(note))


@pytest.mark.parametrize("name", slow_but({"a list", "other moments"}, [*FORGED][:-1]))
def test_a_forged_checkpoint_is_told_and_the_one_before_it_taken(
    name: str, folder: Path, whole: dict[str, Any]
) -> None:
    home = f"forged {name}"
    run = begun(folder, home)
    older, newer = checkpoints(run)
    forge(newer, FORGED[name])
    done = bench(folder, ours(home))
    assert done.status == 0
    (line,) = done.told
    assert line.startswith(f"bench: {newer} is damaged: ")
    assert f"continues after step {int(older.stem)}" in done.errors
    assert left_behind(folder, home) == whole


def test_the_scores_of_a_best_step_whose_line_is_lost_are_computed_again(folder: Path) -> None:
    """A forged checkpoint calls an early validation the best of all."""
    run = begun(folder, "best")
    newer = checkpoints(run)[1]
    forge(newer, lambda state: state.update(best=0.999))
    best = torch.load(newer, weights_only=True)["best_step"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (line,) = [line for line in lines if line["step"] == best]
    expected = {name: v for name, v in line["metrics"].items() if name.startswith("validation/")}
    (run / "metrics.jsonl").write_bytes(bytes(500) + b"\n")
    assert bench(folder, ours("best")).status == 0
    _, manifest = only_run(folder, "best")
    assert manifest["best_step"] == best
    scores = manifest["metrics"]
    assert {name: scores[name] for name in scores if name in expected} == expected


def test_without_a_good_checkpoint_the_run_starts_from_the_beginning(
    folder: Path, whole: dict[str, Any]
) -> None:
    run = begun(folder, "none good")
    for path in checkpoints(run):
        forge(path, FORGED["a list"])
    done = bench(folder, ours("none good"))
    assert (done.status, len(done.told)) == (0, 2)
    assert "continues after step 0" in done.errors
    assert left_behind(folder, "none good") == whole


def test_of_two_equal_commands_at_once_one_trains_and_the_other_names_it(
    folder: Path, whole: dict[str, Any]
) -> None:
    both = [start(folder, ours("twins"), act="sleep:20") for _ in range(2)]
    processes = [started.processes[0] for started in both]
    try:
        end = time.monotonic() + 60
        while all(process.is_alive() for process in processes) and time.monotonic() < end:
            time.sleep(0.05)
        (first,) = [process for process in processes if process.is_alive()]
        second = both[1 - processes.index(first)]
        line = refused(second.wait()[0])
        run, _ = only_run(folder, "twins")
        assert line.startswith(f"bench: another process trains the same run in {run}. It is ")
        assert f"process {first.pid} on " in line
    finally:
        for process in processes:
            process.kill()
    both[processes.index(first)].wait()
    assert first.exitcode == -signal.SIGKILL
    assert bench(folder, ours("twins")).status == 0
    assert left_behind(folder, "twins") == whole
    assert [path.name for path in (folder / "twins").iterdir()] == [run.name]


def test_a_command_waits_while_another_one_creates_the_folder_of_the_same_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second command begins when the first has found no earlier run and has no folder yet."""
    create, home, told = run_folder.RunFolder.create, folder / "slow", list[str]()

    def train(seed: int = 0) -> None:
        library.run("kmer-ridge", str(folder / "table.tsv"), seed=seed, runs_dir=home, device="cpu")

    def slowly(directory: Path, title: str) -> run_folder.RunFolder:
        monkeypatch.setattr(run_folder.RunFolder, "create", create)
        with pytest.raises(BenchError) as refused:
            train()
        told.append(str(refused.value))
        train(seed=1)
        return create(directory, title)

    monkeypatch.setattr(run_folder.RunFolder, "create", slowly)
    monkeypatch.setattr(resume, "_PATIENCE", 0.2)
    train()
    assert len(told) == 1
    assert told[0].startswith(f"another process starts the same run. It is process {os.getpid()} ")
    assert len(list(home.iterdir())) == 2


def test_a_run_that_was_killed_while_it_wrote_its_results_writes_them_again(
    folder: Path, whole: dict[str, Any]
) -> None:
    """The files are half there, and the manifest is not finished yet."""
    run = begun(folder, "half")
    for name in ("predictions.npy", "model.safetensors", "losses.npy"):
        (run / name).write_bytes(b"half")
        (run / f".{name}.0a1b2c3d.new").write_bytes(b"half")
    assert bench(folder, ours("half")).status == 0
    found = left_behind(folder, "half")
    found["files"] = [name for name in found["files"] if not name.endswith(".new")]
    assert found == whole


def test_a_damaged_folder_that_may_be_the_earlier_run_is_named(folder: Path) -> None:
    run = begun(folder, "lost")
    (run / "manifest.json").write_text("")
    done = bench(folder, ours("lost", "--max-steps", "2"))
    line, *_ = done.told  # after two steps there is also a warning that nothing was learned
    assert line.startswith(f"bench: a run is left out: {run / 'manifest.json'} is not a run's")
    assert line.endswith("It may be an earlier run of this command.")
    assert done.status == 0
