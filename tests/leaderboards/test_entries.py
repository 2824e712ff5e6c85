"""Stores that cannot be read: an error of one line, and no file created by reading."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.leaderboards.entries import read_entries
from bench.tracking.mlflow_store import connected


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
    with pytest.raises(BenchError, match=r"cannot be read: .*mlflow db upgrade") as error:
        read_entries(tmp_path / "old", "dream")
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text(
        "a poem about promoters, long enough to be no database\n" * 9
    )
    with pytest.raises(BenchError, match=r"cannot be read: .*not a database"):
        read_entries(tmp_path, "dream")


def test_a_server_that_is_away_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(BenchError, match=r"MLflow at http://127\.0\.0\.1:9 cannot be read: "):
        read_entries(tmp_path, "dream")
