"""Killed, stopped and damaged runs resume and give bit-identical results."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.tracking import uploader
from tests.forked import HERE, RUN, UPDATES, Done, bench, prepare, start
from tests.killing import left_behind

Whole = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> Whole:
    """Return the results of uninterrupted runs by number of ranks."""
    for ranks in (1, 2):
        done = bench(folder, ours(f"whole-{ranks}"), ranks=ranks)
        assert (done.status, done.told) == (0, [])
        assert "Warning" not in done.errors
    return {ranks: left_behind(folder, f"whole-{ranks}") for ranks in (1, 2)}


def ours(home: str, *more: str) -> tuple[str, ...]:
    return (*RUN, *HERE, "--home", home, *more)


def only_run(folder: Path, home: str) -> tuple[Path, dict[str, Any]]:
    (manifest,) = (folder / home).glob("*/manifest.json")
    return manifest.parent, json.loads(manifest.read_text())


def begun(folder: Path, home: str) -> Path:
    """Return a run that was killed after its second epoch, with two checkpoints."""
    assert bench(folder, ours(home), act="kill:40").status == -signal.SIGKILL
    run, manifest = only_run(folder, home)
    assert manifest["status"] == "running"
    return run


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("*.pt"))


def refused(done: Done) -> str:
    """Return the one line of a command that was refused."""
    assert done.status == 2
    assert "Traceback" not in done.errors
    (line,) = done.told
    return line


KILLS = [(1, "kill:1"), (1, f"kill:{UPDATES}"), (1, "write:23"), (2, "kill:37")]


@pytest.mark.parametrize(("ranks", "act"), KILLS)
def test_a_killed_run_goes_on_and_comes_to_the_same(
    folder: Path, whole: Whole, ranks: int, act: str
) -> None:
    home = f"{ranks}-{act}"
    assert bench(folder, ours(home), ranks=ranks, act=act).status == -signal.SIGKILL
    assert bench(folder, ours(home), ranks=ranks).status == 0
    assert left_behind(folder, home) == whole[ranks]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_whenever_it_is_killed(folder: Path, whole: Whole, number: int) -> None:
    chance, home = random.Random(number), f"slow-{number}"
    ranks, rank = 1 + number % 2, chance.randrange(1 + number % 2)
    act = f"kill:{chance.randint(1, UPDATES)}"
    if number % 4 == 3:
        act, rank = f"write:{chance.randint(1, 150)}", 0
    start(folder, ours(home), ranks=ranks, act=act, rank=rank).wait()
    assert bench(folder, ours(home), ranks=ranks).status == 0
    assert left_behind(folder, home) == whole[ranks]


def test_launched_ranks_end_with_the_one_that_is_killed(folder: Path, whole: Whole) -> None:
    """The only test that starts ranks as a user does, by --devices."""
    begun = time.monotonic()
    done = bench(folder, ours("launched", "--devices", "2"), act="kill:20", rank=1)
    assert time.monotonic() - begun < 100  # most of it to load torch
    line = "rank 1 was killed by SIGKILL. The same command goes on from the last checkpoint."
    assert refused(done) == f"bench: {line}"
    assert only_run(folder, "launched")[1]["status"] == "failed"
    assert bench(folder, ours("launched"), ranks=2).status == 0
    assert left_behind(folder, "launched") == whole[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "status", "words"),
    [
        ("bug:3", 1, "a bug of the plugin"),
        ("refuse:3", 2, "bench: the plugin refuses."),
        ("cuda-memory:3", 2, "Try --batch-per-device 4"),
        ("SIGTERM:3", 143, "bench: stopped after step"),
    ],
)
def test_launched_ranks_tell_what_went_wrong(
    folder: Path, act: str, status: int, words: str
) -> None:
    done = bench(folder, ours(act, "--devices", "2"), act=act, rank=1)
    assert done.status == status
    assert words in done.errors
    assert ("Traceback" in done.errors) == (status == 1)
    assert len(done.told) == (status != 1)


@pytest.mark.slow
def test_torchrun_started_by_hand(folder: Path, whole: Whole) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc-per-node", "2", "-m", "bench"]
    disagreeing = subprocess.run(
        [*torchrun, *ours("by-hand", "--devices", "3")], cwd=folder, capture_output=True, text=True
    )
    assert disagreeing.returncode
    assert "--devices 3: 2 ranks run already. Leave it out." in disagreeing.stderr
    assert not (folder / "by-hand").exists()
    subprocess.run([*torchrun, *ours("by-hand")], cwd=folder, capture_output=True, check=True)
    assert left_behind(folder, "by-hand") == whole[2]


def test_it_goes_on_where_it_was_and_says_so(folder: Path, whole: Whole) -> None:
    run = begun(folder, "where")
    saved = int(checkpoints(run)[-1].stem)
    assert 30 <= saved < 40
    # A repeated step would kill the process. One call more counts operations for the cost.
    again = bench(folder, ours("where"), act=f"kill:{UPDATES - saved + 2}")
    assert f"continues after step {saved}" in again.errors
    assert again.status == 0
    assert left_behind(folder, "where") == whole[1]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_the_run_and_prints_the_command_that_goes_on(
    folder: Path, whole: Whole, name: str
) -> None:
    stopped = bench(folder, ours(name), act=f"{name}:20")
    assert stopped.status == 128 + signal.Signals[name]
    (line,) = stopped.told
    assert "Traceback" not in stopped.errors
    run, manifest = only_run(folder, name)
    assert manifest["status"] == "interrupted"
    assert f"stopped after step {int(checkpoints(run)[-1].stem)}." in line
    program, *command = shlex.split(line.partition("To resume it, run: ")[2])
    assert program == "bench"
    assert bench(folder, command).status == 0
    assert left_behind(folder, name) == whole[1]


def test_a_second_interrupt_is_obeyed_at_once(folder: Path, whole: Whole) -> None:
    stopped = bench(folder, ours("twice"), act="twice:40")
    assert (stopped.status, stopped.told) == (130, ["bench: interrupted"])
    run, manifest = only_run(folder, "twice")
    assert manifest["status"] == "interrupted"
    assert int(checkpoints(run)[-1].stem) < 40
    assert bench(folder, ours("twice")).status == 0
    assert left_behind(folder, "twice") == whole[1]


def test_all_ranks_stop_after_the_same_update_whichever_was_asked(
    folder: Path, whole: Whole
) -> None:
    first, second = start(folder, ours("ask"), ranks=2, act="SIGTERM:20", rank=1).wait()
    assert (first.status, second.status) == (143, 143)
    assert bench(folder, ours("ask"), ranks=2).status == 0
    assert left_behind(folder, "ask") == whole[2]


def test_another_number_of_ranks_goes_on_with_the_same_rows(folder: Path, whole: Whole) -> None:
    """Without noise in the model, a step's loss is the same for any number of ranks."""
    run = begun(folder, "other")
    saved = int(checkpoints(run)[-1].stem)
    assert bench(folder, ours("other"), ranks=2).status == 0
    other = left_behind(folder, "other")
    assert other["losses"][:saved] == whole[1]["losses"][:saved]
    assert [step for step, _ in other["curves"]] == [15, 30, 45, 60]


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_taken(
    folder: Path, whole: Whole, damaged: int
) -> None:
    run = begun(folder, f"damaged-{damaged}")
    saved = checkpoints(run)
    assert len(saved) == 2
    flipped = bytearray(saved[1].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    saved[1].write_bytes(flipped)
    if damaged == 2:
        os.truncate(saved[0], saved[0].stat().st_size // 2)
    done = bench(folder, ours(f"damaged-{damaged}"))
    assert done.status == 0
    assert [line.rpartition(" is damaged")[0] for line in done.told] == [
        f"bench: {path}" for path in saved[::-1][:damaged]
    ]
    step = int(saved[0].stem) if damaged == 1 else 0
    assert f"continues after step {step}" in done.errors
    assert left_behind(folder, f"damaged-{damaged}") == whole[1]


def test_a_finished_run_is_not_repeated_but_by_force(folder: Path, whole: Whole) -> None:
    home = "finished"
    shutil.copytree(folder / "whole-1", folder / home)
    done = bench(folder, ours(home))
    assert "finished before" in done.errors
    assert (done.status, len(list((folder / home).iterdir()))) == (0, 1)
    assert "0.0" in done.output  # the scores of the finished run
    bench(folder, ours(home, "--force"))
    assert len(list((folder / home).iterdir())) == 2
    bench(folder, ours(home, "--seed", "1"))
    bench(folder, ours(home, "--set", "recipe.lr=0.002"))
    assert len(list((folder / home).iterdir())) == 4


def test_an_edited_plugin_is_another_model(tmp_path: Path) -> None:
    prepare(tmp_path)
    short = ours("home", "--max-steps", "2")
    for probability, runs in ((0.2, 1), (0.2, 1), (0.3, 2)):
        plugin = tmp_path / "mortal.py"
        plugin.write_text(plugin.read_text().replace("Dropout(0.2)", f"Dropout({probability})"))
        assert bench(tmp_path, short).status == 0
        assert len(list((tmp_path / "home").iterdir())) == runs


@pytest.mark.parametrize(
    ("reference", "more", "words"),
    [
        ("nothing", (), "--resume nothing: no such run. `bench runs` lists them."),
        (
            "mortal",
            ("--seed", "1"),
            "--resume mortal takes its settings from the run: leave out --seed.",
        ),
        ("mortal", ("--force",), "leave out --force."),
        ("mortal", ("--set", "recipe.lr=1"), "leave out --set."),
        ("mortal", (), "is finished"),
    ],
)
def test_what_cannot_be_resumed_is_told(
    folder: Path, whole: Whole, reference: str, more: tuple[str, ...], words: str
) -> None:
    command = ("run", "--plugin", "mortal.py", "--resume", reference, "--home", "whole-1", *more)
    assert words in refused(bench(folder, command))


def test_a_run_of_other_data_cannot_be_resumed(tmp_path: Path) -> None:
    prepare(tmp_path)
    run = begun(tmp_path, "home")
    table = tmp_path / "table.tsv"
    table.write_text(table.read_text().replace("ACGT", "ACGA"))
    command = ("run", "--plugin", "mortal.py", "--resume", str(run))
    assert "data and test rows differ from when it began" in refused(bench(tmp_path, command))


def test_a_run_that_goes_on_elsewhere_is_left_alone(folder: Path) -> None:
    first = start(folder, ours("held"), act="sleep:20")
    try:
        while not list((folder / "held").glob("*/checkpoints/*.json")):
            assert first.processes[0].is_alive()
            time.sleep(0.05)
        run, _ = only_run(folder, "held")
        line = refused(bench(folder, ours("held")))
        assert line.startswith(f"bench: another process trains the same run in {run}.")
        by_name = ("run", "--plugin", "mortal.py", "--resume", str(run))
        assert refused(bench(folder, by_name)) == line
    finally:
        first.processes[0].kill()
        first.wait()


def test_checkpoints_that_cannot_be_written_end_the_run_in_one_line(folder: Path) -> None:
    """A file in place of the folder is an error for root, too; missing permissions are not."""
    run = begun(folder, "full")
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").touch()
    assert "cannot be written: " in refused(bench(folder, ours("full")))
    assert only_run(folder, "full")[1]["status"] == "failed"


@pytest.mark.parametrize("act", ["cuda-memory:3", "memory:3"])
def test_a_lack_of_memory_says_which_number_to_lower(folder: Path, act: str) -> None:
    line = refused(bench(folder, ours(act.replace(":", "-")), act=act))
    assert line.endswith("Try --batch-per-device 8: the same batch in smaller micro-batches.")
    sliced = bench(folder, ours(act.replace(":", "-"), "--batch-per-device", "8"))
    assert sliced.status == 0


def test_mlflow_has_every_point_once_whatever_happened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is uploaded after a kill, an exception, a signal, and its end."""
    import mlflow

    home = folder / "tracked"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'tracked.db'}")
    seen = []
    for act in ("kill:20", "bug:16", "SIGTERM:3", ""):
        bench(folder, ours("tracked"), act=act)
        uploader.sync(only_run(folder, "tracked")[0], home)
        client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
        (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
        (run,) = client.search_runs([experiment.experiment_id])
        seen.append(run.info.status)
    assert seen == ["RUNNING", "FAILED", "KILLED", "FINISHED"]
    assert "error" not in run.data.tags
    for name in run.data.metrics:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
        assert len(steps) == len(set(steps)), name
    curve = client.get_metric_history(run.info.run_id, "validation/pearson")
    assert [point.step for point in curve] == [15, 30, 45, 60]
