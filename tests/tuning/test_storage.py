"""The journal and what it survives."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError, PendingRollbackError

from bench.console import Console
from bench.errors import BenchError
from bench.tuning.storage import WaitingStorage, check_writable, open_storage
from bench.tuning.study import find, stored_search


def study_in(path: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(str(path), create=True, wait=False, console=Console())
    return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)


def test_half_a_line_of_a_writer_that_died_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    study_in(path).set_user_attr("a", 1)
    with path.open("a") as file:
        file.write('{"op_code": 2, "wor')
    fresh = study_in(path)
    fresh.set_user_attr("b", 2)
    assert study_in(path).user_attrs == fresh.user_attrs == {"a": 1, "b": 2}
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_journal_that_goes_away_is_waited_for_and_not_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, elsewhere = tmp_path / "a.log", tmp_path / "b.log"
    study = study_in(path)
    path.rename(elsewhere)
    writer = threading.Thread(target=study.set_user_attr, args=("a", 1))
    writer.start()
    time.sleep(0.5)
    assert not path.exists()
    elsewhere.rename(path)
    writer.join(10)
    assert study_in(path).user_attrs == {"a": 1}
    assert "cannot be reached" in capsys.readouterr().err


def test_a_storage_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such file"):
        open_storage(str(tmp_path / "none.log"), create=False, wait=False)
    with pytest.raises(BenchError, match=r"me@127.0.0.1:1/x cannot be opened") as raised:
        open_storage("postgresql+psycopg://me:secret@127.0.0.1:1/x", create=True, wait=False)
    assert "secret" not in str(raised.value)
    with pytest.raises(BenchError, match=r"cannot be opened"):
        open_storage("nosuchthing://x", create=True, wait=False)
    (tmp_path / "text.log").write_text("not a journal\n")
    with pytest.raises(BenchError, match=r"cannot be opened"):
        open_storage(str(tmp_path / "text.log"), create=False, wait=False)


DAMAGE = {
    "no JSON": b"garbage",
    "another value": b"[1,2]",
    "an unknown operation": b'{"op_code":99,"worker_id":"w"}',
    "an operation without its values": b'{"op_code":4,"worker_id":"w"}',
    "a value of another kind": b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":7}',
    "zeros, as after a power cut": bytes(40),
    "no UTF-8": b'{"op_code":2,"\xff":1}',
}


@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "at the end"])
@pytest.mark.parametrize("line", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_line_is_named_and_nothing_is_added(
    line: bytes, last: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    study = study_in(path)
    study.set_user_attr("a", 1)
    whole = path.read_bytes().splitlines()
    assert len(whole) == 2
    lines = [*whole, line] if last else [whole[0], line, whole[1]]
    path.write_bytes(b"\n".join(lines) + b"\n")
    damaged = path.read_bytes()
    number = 3 if last else 2
    with pytest.raises(BenchError, match=rf"a\.log: line {number} is damaged"):
        study_in(path)
    assert path.read_bytes() == damaged
    if last:  # a worker that has read the lines before meets the damaged one, too
        with pytest.raises(BenchError, match=r"line 3 is damaged"):
            study.set_user_attr("b", 2)


def test_lines_that_fit_on_a_full_disk_by_half_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system writes what fits and reports no error; the rest of the line would be lost."""
    path = tmp_path / "a.log"
    study = study_in(path)
    write, calls, before = os.write, 0, path.read_bytes()

    def full(file: int, text: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > 2:
            return write(file, text)
        assert path.read_bytes() == before
        return write(file, text[: len(text) // 2])

    monkeypatch.setattr(os, "write", full)
    study.set_user_attr("a", 1)
    monkeypatch.undo()
    assert calls == 3
    assert "cannot be reached ([Errno 28] No space left" in capsys.readouterr().err
    assert len(path.read_bytes().splitlines()) == 2
    assert study_in(path).user_attrs == {"a": 1}


def test_a_study_whose_definition_is_lost_is_told(tmp_path: Path) -> None:
    """A line that is missing as a whole leaves no other trace in a journal."""
    made = study_in(tmp_path / "a.log")
    made.set_user_attr("identity", {"model": "peak"})
    found, _ = find(str(tmp_path / "a.log"), None, tmp_path)
    with pytest.raises(BenchError, match="study s has lost the definition of its search"):
        stored_search(found)


def test_a_journal_that_shrinks_is_not_read_as_if_nothing_had_happened(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    study = study_in(path)
    study.set_user_attr("a", 1)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(BenchError, match="is shorter than it was"):
        _ = study.user_attrs


@pytest.mark.parametrize("create", [False, True])
def test_a_folder_or_a_pipe_is_no_journal(create: bool, tmp_path: Path) -> None:
    (tmp_path / "folder.log").mkdir()
    os.mkfifo(tmp_path / "pipe.log")
    for name in ("folder.log", "pipe.log"):
        with pytest.raises(BenchError, match=f"{name} is not a file"):
            open_storage(str(tmp_path / name), create=create, wait=False)


def test_a_journal_that_is_read_only_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.log"
    study_in(path)
    check_writable(str(path))
    for read_only in (path, tmp_path):  # asked of the system: root may write everywhere
        monkeypatch.setattr("os.access", lambda asked, mode, ro=read_only: Path(asked) != ro)
        with pytest.raises(BenchError, match=f"{read_only} is read-only"):
            check_writable(str(path))
    check_writable("postgresql://me@host/x")


@pytest.mark.parametrize("first", ["lost", "another"])
def test_a_connection_that_is_lost_in_a_query_that_optuna_repeats_is_waited_for(
    first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Optuna repeats a failed query of trials, and SQLAlchemy then refuses the lost transaction."""
    lost = OperationalError("SELECT", {}, Exception("terminating connection"))
    before = lost if first == "lost" else ValueError("another")
    calls = []

    class Database:
        def get_all_trials(self) -> str:
            calls.append(1)
            if len(calls) > 1:
                return "trials"
            try:
                try:
                    raise before
                except Exception:
                    raise PendingRollbackError("rollback first")  # noqa: B904
            except PendingRollbackError as error:
                raise StorageInternalError("during the commit") from error

    storage: Any = WaitingStorage(cast("Any", Database()), "postgresql://me@host/x", Console())
    if first == "lost":
        assert storage.get_all_trials() == "trials"
        assert "cannot be reached" in capsys.readouterr().err
    else:
        with pytest.raises(StorageInternalError):
            storage.get_all_trials()
