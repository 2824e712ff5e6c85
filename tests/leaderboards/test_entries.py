"""Stores that cannot be read: an error of one line, and no file created by reading."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from bench.console import Console
from bench.errors import BenchError
from bench.leaderboards.entries import read_entries
from bench.tracking.mlflow_store import connected
from tests.tracking.helpers import finished


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_looking_at_an_empty_folder_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no runs are recorded in .* yet"):
        read_entries(tmp_path, "dream")
    assert not list(tmp_path.iterdir())


def test_a_store_of_an_older_schema_is_named_with_what_upgrades_it(tmp_path: Path) -> None:
    with connected(tmp_path / "new") as (client, _):
        client.create_experiment("dream")
    (tmp_path / "old").mkdir()  # another folder: MLflow remembers the stores that it checked
    shutil.copy(tmp_path / "new" / "mlflow.db", tmp_path / "old")
    with sqlite3.connect(tmp_path / "old" / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(
        BenchError, match=r"an earlier MLflow made it\. `bench sync` mends it"
    ) as error:
        read_entries(tmp_path / "old", "dream")
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text(
        "a poem about promoters, long enough to be no database\n" * 9
    )
    with pytest.raises(BenchError, match=r"is damaged \(.*not a database"):
        read_entries(tmp_path, "dream")


def test_a_server_that_is_away_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(BenchError, match=r"MLflow at http://127\.0\.0\.1:9 cannot be read: "):
        read_entries(tmp_path, "dream")


@pytest.mark.parametrize("away", ["damaged", "no server"])
def test_run_folders_are_read_where_the_store_cannot_be(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    away: str,
) -> None:
    run = finished(tmp_path)
    if away == "damaged":
        (tmp_path / "mlflow.db").write_bytes(b"not a database" * 1000)
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found = read_entries(tmp_path, "dream", Console())
    assert [entry.id for entry in found] == [run.manifest.id]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench: MLflow")
    assert line.endswith("Only runs that have a folder here are read.")
    with pytest.raises(BenchError, match="MLflow"):
        read_entries(tmp_path, "others", Console())
