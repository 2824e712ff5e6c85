"""The journal and what it survives."""

import json
import threading
import time
from pathlib import Path

import optuna
import pytest

from bench.console import Console
from bench.errors import BenchError
from bench.tuning.storage import open_storage


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
