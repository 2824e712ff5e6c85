"""`bench sync`: whatever happened to the store, it has every run and every point once."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest

from bench.cli import program
from bench.console import Console
from bench.results.manifest import CostRecord, Manifest
from bench.tracking.mlflow_store import connected
from bench.tracking.sender import Sender
from bench.tracking.sync_all import Synced, sync_all
from bench.tracking.uploader import Uploader, send_rest, sync
from tests.tracking.helpers import (
    CURVES,
    FINISHED,
    content,
    die_at,
    execute,
    finished,
    running,
)

FILES = ["manifest.json", "metrics.jsonl", "predictions.npy"]


def note(run: Any) -> Any:
    return json.loads((run.path / "tracking.json").read_text())


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("bench:")]


def three_runs(home: Path) -> dict[str, tuple[str, list[tuple[str, int, float]], list[str]]]:
    """Make a finished, a failed and an interrupted run, and a trial; return what belongs there."""
    study = {"name": "hills", "trial": 3, "parameters": {}}
    done, trial = finished(home), finished(home / "studies" / "hills", study=study)
    failed, interrupted = running(home), running(home)
    failed.finish("failed", Manifest(error="the loss became nan."))
    interrupted.log(10, {"train/loss": 0.5})
    interrupted.save(Manifest(status="interrupted"))
    return {
        done.manifest.id: ("FINISHED", FINISHED, FILES),
        trial.manifest.id: ("FINISHED", FINISHED, FILES),
        failed.manifest.id: ("FAILED", [], ["manifest.json"]),
        interrupted.manifest.id: ("KILLED", [("train/loss", 10, 0.5)], []),
    }


def parent_of_trial(database: Path) -> list[tuple[Any, ...]]:
    return execute(
        database,
        "SELECT p.value FROM tags t JOIN tags p ON p.run_uuid = t.value AND p.key = 'bench.study'"
        " WHERE t.key = 'mlflow.parentRunId'",
    )


@pytest.mark.parametrize("loss", ["deleted", "replaced", "damaged", "half made"])
def test_a_lost_store_is_made_again_of_the_run_folders(
    home: Path, empty_store: Path, loss: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = three_runs(home)
    assert len(sync_all(home).sent) == 4
    assert content(home / "mlflow.db") == expected
    database = home / "mlflow.db"
    if loss == "deleted":
        database.unlink()
    elif loss == "replaced":
        shutil.copy(empty_store, database)
    elif loss == "damaged":
        database.write_bytes(b"not a database" * 1000)
    else:
        execute(database, "DROP TABLE alembic_version")
    done = sync_all(home, Console())
    assert (len(done.sent), done.there) == (4, 0)
    assert content(database) == expected
    assert parent_of_trial(database) == [("hills",)]
    kept = [path.name for path in home.iterdir() if "broken" in path.name]
    lines = told(capsys)
    if loss in ("damaged", "half made"):
        assert len(lines) == 1
        assert f"It is kept as {kept[0]}" in lines[0]
    else:
        assert lines == kept == []
    again = sync_all(home)
    assert (again.sent, again.there) == ([], 4)
    assert content(database) == expected


def test_a_run_and_a_sync_that_create_it_at_once_keep_the_same_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have asked the store before the other has created the run, as on a server."""
    run = finished(home)
    with connected(home) as (client, uri):
        for _ in range(3):  # the identifiers are random
            assert Sender(client, uri, run.path, home).send(None)
            (run.path / "tracking.json").unlink()
    assert content(home / "mlflow.db") == {run.manifest.id: ("FINISHED", FINISHED, FILES)}
    done = sync_all(home)
    assert (done.sent, done.there) == ([], 1)


def test_a_backup_from_the_middle_of_a_run_gets_the_rest(home: Path) -> None:
    run = running(home)
    run.log(10, {"train/loss": 1 / 10, "validation/pearson": 10 / 64})
    sync(run.path, home)
    shutil.copy(home / "mlflow.db", home / "backup")
    for step in (20, 30):
        run.log(step, {"train/loss": 1 / step, "validation/pearson": step / 64})
    outcome = {"validation/pearson": 0.46875, "test/all/pearson": 0.25}
    run.finish("finished", Manifest(metrics=outcome, cost=CostRecord(updates=30)))
    sync(run.path, home)
    shutil.copy(home / "backup", home / "mlflow.db")
    assert sync_all(home).sent == [run.path]
    assert content(home / "mlflow.db")[run.manifest.id][:2] == ("FINISHED", FINISHED)


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"garbage", b"\xff", b"[]", b"5", b"{}", b'{"uri": 5, "run_id": 5, "lines": "x"}'),
        b'{"uri": "sqlite:///x", "run_id": "none", "lines": -1, "status": "finished"}',
    ],
)
def test_a_note_that_makes_no_sense_is_named_and_made_anew(
    home: Path, text: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = finished(home), finished(home)
    sync(run.path, home)
    right = note(run)
    (run.path / "tracking.json").write_bytes(text)
    assert sync_all(home, Console()).sent == [other.path]
    assert [line for line in told(capsys) if str(run.path / "tracking.json") in line]
    assert note(run) == right
    assert content(home / "mlflow.db")[run.manifest.id] == ("FINISHED", FINISHED, FILES)


@pytest.mark.parametrize("status", ["finished", "running"])
def test_a_note_of_another_store_sends_nothing_twice(
    home: Path, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(home)
    sync(run.path, home)
    sent: list[Any] = []
    log_batch = mlflow.MlflowClient.log_batch

    def listen(*arguments: Any, **options: Any) -> Any:
        sent.append(options)
        return log_batch(*arguments, **options)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", listen)
    elsewhere = {"uri": "https://host", "run_id": "x", "lines": 1, "status": status}
    for found in (elsewhere, {**elsewhere, "uri": note(run)["uri"]}):
        (run.path / "tracking.json").write_text(json.dumps(found))
        assert sync_all(home).sent == []
        (run.path / "tracking.json").write_text(json.dumps(found))
        assert not sync(run.path, home)
    assert sent == []


def test_lines_after_an_interruption_are_sent_although_the_status_is_the_same(home: Path) -> None:
    run = running(home)
    run.log(10, {"train/loss": 1 / 10, "validation/pearson": 10 / 64})
    run.save(Manifest(status="interrupted"))
    sync(run.path, home)
    for step in (20, 30):  # the run went on, without MLflow
        run.log(step, {"train/loss": 1 / step, "validation/pearson": step / 64})
    assert sync_all(home).sent == [run.path]
    assert content(home / "mlflow.db")[run.manifest.id] == ("KILLED", CURVES, [])


def test_lost_files_come_back(home: Path) -> None:
    run = finished(home)
    sync_all(home)
    shutil.rmtree(home / "mlartifacts")
    assert sync_all(home).sent == [run.path]
    assert content(home / "mlflow.db")[run.manifest.id] == ("FINISHED", FINISHED, FILES)


def test_what_was_deleted_in_mlflow_stays_so_and_what_has_no_folder_stays(home: Path) -> None:
    first, second = finished(home), finished(home)
    sync_all(home)
    number = note(first)["run_id"]
    mlflow.MlflowClient(f"sqlite:///{home}/mlflow.db").delete_run(number)
    shutil.rmtree(second.path)
    third = finished(home)
    done = sync_all(home)
    assert (done.sent, done.there, done.deleted, done.alone) == ([third.path], 0, 1, 1)
    assert content(home / "mlflow.db").keys() == {second.manifest.id, third.manifest.id}


def test_a_damaged_run_folder_is_named_and_the_others_are_sent(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, curves = finished(home), finished(home)
    (curves.path / "metrics.jsonl").write_text('{"step": 1}\n')
    (home / "bad").mkdir()
    (home / "bad" / "manifest.json").write_text("{")
    (home / "odd").mkdir()
    odd = {**good.manifest.to_json(), "id": "odd", "created": "yesterday"}
    (home / "odd" / "manifest.json").write_text(json.dumps(odd))
    monkeypatch.setattr("sys.argv", ["bench", "sync", "--home", str(home)])
    with pytest.raises(SystemExit) as ended:
        program.main()
    captured = capsys.readouterr()
    assert ended.value.code == 0
    assert "2 runs sent to sqlite:///" in captured.out
    assert {good.manifest.id, curves.manifest.id} <= set(content(home / "mlflow.db"))
    for name in ("bad", "odd", curves.path.name):
        assert len([line for line in captured.err.splitlines() if f"/{name}" in line]) == 1, name
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("status", ["new", "killed"])
def test_a_run_that_finished_before_is_sent_wherever_the_sending_was_killed(
    home: Path, empty_store: Path, status: str, after: bool
) -> None:
    """The run was killed between the end of its manifest and the end of its sending."""
    calls = 0
    while True:
        shutil.copy(empty_store, home / "mlflow.db")
        run = running(home)
        run.log(10, {"train/loss": 1 / 10, "validation/pearson": 10 / 64})
        if status == "killed":
            run.save(Manifest(status="interrupted"))
            sync(run.path, home)
        for step in (20, 30):
            run.log(step, {"train/loss": 1 / step, "validation/pearson": step / 64})
        (run.path / "predictions.npy").write_bytes(b"numbers")
        outcome = {"validation/pearson": 0.46875, "test/all/pearson": 0.25}
        run.finish("finished", Manifest(metrics=outcome, cost=CostRecord(updates=30)))
        calls += 1
        killed = die_at(calls, after=after, function=sync, where=(run.path, home))
        assert send_rest(run.path, home) is None
        assert content(home / "mlflow.db")[run.manifest.id] == ("FINISHED", FINISHED, FILES), calls
        if not killed:
            break
    assert calls > 5


def test_a_line_that_is_written_while_others_are_sent_is_sent_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_batch = mlflow.MlflowClient.log_batch
    run = running(home)
    run.log(10, {"train/loss": 1 / 10, "validation/pearson": 10 / 64})

    def slow(client: mlflow.MlflowClient, *args: Any, **named: Any) -> None:
        log_batch(client, *args, **named)
        if named.get("metrics"):
            monkeypatch.undo()
            run.log(20, {"train/loss": 1 / 20, "validation/pearson": 20 / 64})

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", slow)
    sync(run.path, home)
    run.log(30, {"train/loss": 1 / 30, "validation/pearson": 30 / 64})
    sync(run.path, home)
    run.finish("finished", Manifest(metrics={"test/all/pearson": 0.25}))
    sync(run.path, home)
    expected = {(name, step) for name, step, _ in FINISHED if step}
    (sent,) = content(home / "mlflow.db").values()
    assert {(name, step) for name, step, _ in sent[1] if step} == expected


def test_the_warning_says_how_the_run_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    ends = {"finished": "its folder is complete", "failed": "The run failed", "running": "not rec"}
    for status, words in ends.items():
        run = running(home)
        if status != "running":
            run.finish(status, Manifest())
        line = Uploader(run.path, home).close() or ""
        assert words in line
        assert "`bench sync` sends it later" in line
        assert ("complete" in line) == (status == "finished")


def test_a_slow_store_is_said_to_be_slow(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.tracking import uploader

    monkeypatch.setattr(uploader, "send", lambda *_: __import__("time").sleep(1))
    line = Uploader(finished(home).path, home).close(patience=0.05) or ""
    assert line.startswith("MLflow has not received all of the run after 0 s")


@pytest.mark.parametrize("place", ["outside", "another run", "up"])
def test_files_go_nowhere_else_than_to_the_experiment_s_place(
    home: Path, tmp_path: Path, place: str
) -> None:
    first = finished(home)
    sync_all(home)
    number = note(first)["run_id"]
    shutil.rmtree(home / "mlartifacts")
    database, target = home / "mlflow.db", tmp_path / "elsewhere"
    if place == "outside":  # a home that was moved, or a store of somebody else
        changed = target.as_uri()
        execute(database, "UPDATE experiments SET artifact_location = ?", changed)
        changed += f"/{number}/artifacts"
    elif place == "another run":
        changed = target.as_uri()
    else:
        changed = f"{(home / 'mlartifacts/dream').as_uri()}/../../../elsewhere/{number}/artifacts"
    execute(database, "UPDATE runs SET artifact_uri = ?", changed)
    lines: list[str] = []
    console = Console()
    console.warn = lambda text: lines.append(text) if text else None  # type: ignore[method-assign]
    second = finished(home)
    done = sync_all(home, console)
    assert second.path in done.sent
    assert not target.exists()
    if place == "outside":
        assert [line for line in lines if "not in" in line]
        assert content(database)[second.manifest.id] == ("FINISHED", FINISHED, [])


def test_secrets_are_in_no_file_and_in_no_message(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(home)
    address = f"sqlite:///{home}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{address}?cached_statements=4321987")
    sync_all(home)
    text = (run.path / "tracking.json").read_text()
    assert "4321987" not in text
    old = {**json.loads(text), "uri": f"{address}?cached_statements=4321987"}
    (run.path / "tracking.json").write_text(json.dumps(old))  # of an earlier version
    assert sync_all(home).sent == []
    assert (run.path / "tracking.json").read_text() == text
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)  # else 100 s
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for secret in ("postgresql://me:s3cretpw@127.0.0.1:1/db", "http://me:s3cretpw@127.0.0.1:9/x"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", secret)
        for command in ("sync", "leaderboard", "ui"):
            words = ["--task", "dream"] if command == "leaderboard" else []
            monkeypatch.setattr("sys.argv", ["bench", command, *words, "--home", str(home)])
            with pytest.raises(SystemExit) as ended:
                program.main()
            captured = capsys.readouterr()
            assert ended.value.code == 2
            assert "me@127.0.0.1" in captured.err or command == "leaderboard"
            assert "s3cretpw" not in captured.out + captured.err
        line = Uploader(finished(home).path, home).close()
        assert line is not None
        assert "s3cretpw" not in line


def test_nothing_to_do_without_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert sync_all(tmp_path) == Synced(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []
