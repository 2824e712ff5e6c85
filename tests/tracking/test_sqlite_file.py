"""The SQLite file of the default store: whole or missing, whatever is killed or comes at once."""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import mlflow
import pytest

from bench.errors import BenchError
from bench.tracking import sqlite_file
from bench.tracking.mlflow_store import check_address, connected
from bench.tracking.sync_all import sync_all
from bench.tracking.uploader import sync
from tests.tracking.helpers import FINISHED, content, execute, finished, in_process

LOCALHOST = "0100007F"  # 127.0.0.1, as Linux writes it
FILES = ["manifest.json", "metrics.jsonl", "predictions.npy"]


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "runs"


def is_whole(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        experiments = store.execute("SELECT name FROM experiments").fetchall()
    return {"alembic_version", "runs", "metrics"} <= tables and experiments == [("Default",)]


def test_a_kill_while_the_store_is_made_leaves_none_or_a_whole_one(
    new: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kills come within MLflow's migrations and before the renaming."""
    from alembic.runtime.migration import HeadMaintainer

    def connect() -> None:
        with connected(new):
            pass

    def die_before_migration(number: int) -> None:
        update, left = HeadMaintainer.update_to_step, number

        def counted(self: HeadMaintainer, step: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            update(self, step)  # type: ignore[arg-type]

        HeadMaintainer.update_to_step = counted  # type: ignore[method-assign]
        connect()

    def die_before_renaming() -> None:
        monkeypatch.setattr(sqlite_file, "_flush", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        connect()

    for function, arguments in ((die_before_migration, (5,)), (die_before_renaming, ())):
        process = in_process(function, *arguments)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert not (new / "mlflow.db").exists()
        (half,) = (new / ".mlflow.db.making").glob("*.db")
        assert half.stat().st_size > 0
        # The second time, and the third, what MLflow makes in seconds is copied.
        monkeypatch.setattr(sqlite_file, "_open_once", partial(shutil.copy, empty_store))
    connect()
    assert is_whole(new / "mlflow.db")
    assert sorted(path.name for path in new.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


def test_eight_first_runs_at_once_are_all_written(new: Path) -> None:
    runs = [finished(new) for _ in range(8)]
    processes = [in_process(sync, run.path, new) for run in runs]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 8
    found = content(new / "mlflow.db")
    assert found == {run.manifest.id: ("FINISHED", FINISHED, FILES) for run in runs}


def test_a_store_that_is_deleted_twice_is_made_twice(new: Path) -> None:
    for _ in range(2):
        with connected(new):
            pass
        assert is_whole(new / "mlflow.db")
        (new / "mlflow.db").unlink()


def test_a_journal_that_a_deleted_store_left_is_not_applied_to_the_new_one(new: Path) -> None:
    new.mkdir()
    (new / "mlflow.db-journal").write_bytes(b"left")
    with connected(new):
        pass
    assert is_whole(new / "mlflow.db")
    (kept,) = new.glob("mlflow.db.broken-*-journal")
    assert kept.read_bytes() == b"left"


def test_a_store_of_an_earlier_mlflow_keeps_its_runs(home: Path) -> None:
    from alembic import command
    from alembic.config import Config

    run = finished(home)
    sync(run.path, home)
    shutil.rmtree(run.path)
    database, place = home / "mlflow.db", Path(mlflow.__file__).parent / "store/db_migrations"
    head = execute(database, "SELECT version_num FROM alembic_version")
    execute(database, "DELETE FROM alembic_version")
    config = Config(str(place / "alembic.ini"))
    config.set_main_option("script_location", str(place))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{database}")
    execute(database, "INSERT INTO alembic_version VALUES (?)", *head[0])
    command.downgrade(config, "-1")
    assert execute(database, "SELECT version_num FROM alembic_version") != head
    before = database.read_bytes()
    with pytest.raises(BenchError, match="`bench sync` mends it"), connected(home):
        pass
    with pytest.raises(BenchError, match="`bench sync` mends it"), connected(home, reading=True):
        pass
    assert database.read_bytes() == before
    assert sync_all(home).alone == 1
    assert execute(database, "SELECT version_num FROM alembic_version") == head
    assert content(database)[run.manifest.id] == ("FINISHED", FINISHED, FILES)
    (kept,) = home.glob("mlflow.db.broken-*")
    assert kept.read_bytes() == before


def test_a_store_of_a_later_mlflow_is_left_alone(home: Path) -> None:
    database = home / "mlflow.db"
    execute(database, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    before = database.read_bytes()
    with pytest.raises(BenchError, match=r"is of a later MLflow.*pip install -U mlflow"):
        sync_all(home)
    assert database.read_bytes() == before


def test_a_store_that_another_program_holds_is_not_taken_for_a_broken_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY", 0.1)
    with closing(sqlite3.connect(home / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BenchError, match="database is locked"):
            sync_all(home)
    assert not list(home.glob("*broken*"))


def test_a_broken_store_at_another_place_is_not_ours_to_mend(
    home: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    other = home.parent / "other" / "x y.db"
    other.parent.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    other.write_bytes(b"not a database" * 1000)
    with pytest.raises(BenchError, match="Move it away, then `bench sync` sends") as damaged:
        sync_all(home)
    shutil.copy(empty_store, other)
    execute(other, "UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(BenchError, match=rf"mlflow db upgrade 'sqlite:///{other}'") as older:
        sync_all(home)
    assert "mends" not in f"{damaged.value} {older.value}"


def test_a_user_without_a_home_folder_is_told_what_mlflow_needs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a container's user who is not in /etc/passwd: MLflow's import fails."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(BenchError, match=r"this user has no home folder\. Set HOME"):
        sync_all(home)


def test_a_process_that_holds_the_lock_for_long_is_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_PATIENCE", 0.1)
    with (
        sqlite_file.locked(home / "mlflow.db"),
        pytest.raises(BenchError, match="another process has been writing"),
        connected(home),
    ):
        pass


@pytest.mark.parametrize("name", [b"a#b", b"a%b", b"a&b c", b"a+b=c;d", "aé".encode(), b"100%"])
def test_strange_homes_hold_the_store_and_nothing_is_made_beside_them(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = tmp_path / os.fsdecode(name)
    home.mkdir()
    shutil.copy(empty_store, home / "mlflow.db")  # made by MLflow in a folder without such names
    run = finished(home)
    check_address(home)
    sync(run.path, home)
    assert content(home / "mlflow.db") == {run.manifest.id: ("FINISHED", FINISHED, FILES)}
    assert list(tmp_path.iterdir()) == [home]
    assert sorted(path.name for path in home.iterdir()) == sorted(
        [".mlflow.db.lock", "mlartifacts", "mlflow.db", run.path.name]
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [(b"a?b", r"'\?'"), (b"a%20b", "'%20'"), (b"a%3Fb", "'%3F'"), (b"a\xffb", "not UTF-8")],
)
def test_homes_that_mlflow_cannot_take_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = tmp_path / os.fsdecode(name)
    for function in (check_address, sync_all):
        with pytest.raises(BenchError, match=told):
            function(home)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    check_address(home)


@pytest.mark.slow
def test_the_web_server_and_its_children_listen_on_this_machine_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    from bench.tracking.mlflow_store import serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = in_process(_serve_alone, serve, home, port)
    try:
        found: set[tuple[str, int]] = set()
        deadline = time.monotonic() + 60
        while (LOCALHOST, port) not in found and time.monotonic() < deadline:
            time.sleep(0.2)
            found |= _listening(process.pid)
        time.sleep(0.5)
        found |= _listening(process.pid)
        assert (LOCALHOST, port) in found
        assert {address for address, _ in found} == {LOCALHOST}
        (server,) = _children(process.pid)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
    deadline = time.monotonic() + 40
    while _in_session(server) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _in_session(server)  # not even of a command that was killed anything is left


def _serve_alone(serve: Callable[..., None], home: Path, port: int) -> None:
    serve(home, port=port)


def _children(parent: int) -> list[int]:
    """Return the processes that a process has started and that run, as Linux tells."""
    return [int(n) for n in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _in_session(leader: int) -> list[Path]:
    """Return the folders in /proc of the running processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if os.getsid(int(folder.name)) == leader and not zombie:
                found.append(folder)
    return found


def _listening(parent: int) -> set[tuple[str, int]]:
    """Return addresses and ports on which the program that a process has started listens."""
    sockets = set()
    for folder in [folder for child in _children(parent) for folder in _in_session(child)]:
        with suppress(OSError):
            sockets |= {os.readlink(file) for file in (folder / "fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                address, port = local.split(":")
                found.add((address, int(port, 16)))
    return found
