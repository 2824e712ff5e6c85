"""The suite itself: a planted violation of everything that it looks for is found."""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.faults import checks, inputs, processes
from tests.faults.groups import GROUPS, Group
from tests.faults.material import Material
from tests.faults.rounds import Round
from tests.faults.suite import Suite

RUN = "kmer-ridge-t-s0-261121-120000-abcd"
SLEEPER = "import time; time.sleep(60)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A finished run, and a store as MLflow would have it."""
    home, run = tmp_path / "home", tmp_path / "home" / RUN
    artifacts = home / "mlartifacts" / "t" / "r1" / "artifacts"
    for folder in (run, artifacts):
        folder.mkdir(parents=True)
        np.save(folder / "predictions.npy", np.arange(3.0))
        (folder / "model.safetensors").write_bytes(b"weights")
    told = {"id": RUN, "status": "finished", "metrics": {"test/all/pearson": 0.5}}
    (run / "manifest.json").write_text(json.dumps({**told, "data": {"fingerprint": "f"}}))
    (run / "metrics.jsonl").write_text('{"step": 1, "metrics": {"loss": 2.0}}\n')
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        connection.executescript(
            "CREATE TABLE runs (run_uuid, status, artifact_uri, lifecycle_stage);"
            "CREATE TABLE tags (run_uuid, key, value);"
            "CREATE TABLE metrics (run_uuid, key, step, value, timestamp);"
            f"INSERT INTO runs VALUES ('r1', 'FINISHED', 'file://{artifacts}', 'active');"
            f"INSERT INTO tags VALUES ('r1', 'bench.id', '{RUN}');"
            "INSERT INTO metrics VALUES ('r1', 'loss', 1, 2.0, 7), "
            "('r1', 'test/all/pearson', 0, 0.5, 8);"
        )
    return home


def sql(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        connection.executescript(statement)


def test_a_whole_store_has_no_problems(home: Path) -> None:
    assert [*checks.store(home), *checks.leftovers(home)] == []


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (lambda home: sql(home, "DELETE FROM tags"), "is finished and not in the store"),
        (
            lambda home: sql(
                home,
                "INSERT INTO runs VALUES ('r2', 'FINISHED', 'x', 'active');"
                f"INSERT INTO tags VALUES ('r2', 'bench.id', '{RUN}')",
            ),
            "is 2 times in the store",
        ),
        (
            lambda home: sql(home, "INSERT INTO metrics VALUES ('r1', 'loss', 1, 2.0, 9)"),
            "loss of step 1 is 2 times",
        ),
        (lambda home: sql(home, "UPDATE runs SET status = 'KILLED'"), "KILLED in the store"),
        (lambda home: sql(home, "DELETE FROM metrics WHERE step = 1"), "1 of 2 points"),
        (lambda home: sql(home, "UPDATE metrics SET value = 2.5"), "2 of 2 points"),
        (lambda home: shutil.rmtree(home / "mlartifacts"), "predictions.npy of"),
        (lambda home: (home / "mlflow.db").write_bytes(b"x" * 5000), "cannot be read"),
        (lambda home: (home / "mlflow.db").unlink(), "there is no store"),
        (lambda home: (home / RUN / ".manifest.json.1.new").touch(), "is left in home"),
    ],
)
def test_what_is_wrong_with_a_store_is_found(
    home: Path, plant: Callable[[Path], object], told: str
) -> None:
    plant(home)
    assert any(told in text for text in (*checks.store(home), *checks.leftovers(home)))


def test_a_result_that_differs_in_one_bit_is_found(home: Path) -> None:
    reference = checks.outcome(home / RUN)
    assert list(checks.differences(checks.outcome(home / RUN), reference)) == []
    values = np.arange(3.0)
    values[1] = np.nextafter(values[1], 2)
    np.save(home / RUN / "predictions.npy", values)
    (home / RUN / "model.safetensors").write_bytes(b"Weights")
    found = [text.split()[0] for text in checks.differences(checks.outcome(home / RUN), reference)]
    assert found == ["predictions", "weights"]


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Round]:
    """A round whose commands are programs of the test: ``-c`` and a text."""
    monkeypatch.setattr("tests.faults.rounds.PATIENCE", 0.5)
    round_ = Round("test", 0, tmp_path / "round", tmp_path / "cache", f"test-{tmp_path.name}.")
    start = subprocess.Popen

    def program(words: list[str], **how: object) -> "subprocess.Popen[bytes]":
        return start([sys.executable, *words[words.index("bench") + 1 :]], **how)  # type: ignore[call-overload]

    patched = SimpleNamespace(**{**vars(subprocess), "Popen": program})
    monkeypatch.setattr("tests.faults.rounds.subprocess", patched)
    yield round_
    round_.close()


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("1 / 0", "a traceback: ZeroDivisionError"),
        ("import os; os._exit(1)", "status 1: nothing"),
        ("import os; os.abort()", "status -6: nothing"),
        ("import os; os._exit(2)", "status 2 without a line"),
        (
            f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], "
            "start_new_session=True)",
            "lives 0 s later",
        ),
    ],
)
def test_what_is_wrong_with_a_command_is_found(played: Round, program: str, told: str) -> None:
    played.start("-c", program).wait()
    played.settle(0.3)
    assert any(told in text for _, text in played.problems)
    assert processes.marked(played.token) == {}


def test_a_command_that_ends_well_or_by_our_signal_is_fine(played: Round) -> None:
    played.start("-c", "print('well')").wait()
    sleeping = played.start("-c", SLEEPER)
    played.until(lambda: sleeping.process.pid in processes.marked(played.token))
    sleeping.send(15)
    sleeping.wait()
    played.start("-c", "import sys; sys.exit('bench: no') if 0 else print()").wait()
    played.settle(0.3)
    assert played.problems == []


def test_a_listener_on_all_addresses_is_found_and_one_on_loopback_is_not(played: Round) -> None:
    text = (
        "import socket, time\ns = socket.socket({family})\ns.bind(({address!r}, 0))\n"
        "s.listen()\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    closed = text.format(family="", address="127.0.0.1")
    families = ["socket.AF_INET", "socket.AF_INET6"] if socket.has_ipv6 else ["socket.AF_INET"]
    opened = [
        text.format(family=f, address="0.0.0.0" if f == "socket.AF_INET" else "::")
        for f in families
    ]
    with processes.watched(played.token) as found:
        inner = played.start("-c", closed)
        assert played.until(lambda: "ready" in inner.output, 20)
        assert processes.listeners(played.token) == set()
        for program in opened:
            found.clear()
            outer = played.start("-c", program)
            assert played.until(lambda o=outer: "ready" in o.output, 20)  # type: ignore[misc]
            assert played.until(lambda: found, 5)
            assert "listens on all addresses" in next(iter(found))
            outer.process.kill()
            outer.process.wait()


def test_there_are_enough_malformed_inputs_and_each_has_its_own_name(tmp_path: Path) -> None:
    material = Material(tmp_path, "t.")
    kinds = [*inputs.tables(material.table), *inputs.predictions(material.table)]
    kinds += [*inputs.options(material.table)]
    names = [given.name for given in kinds]
    assert len(names) == len(set(names)) >= 80


@pytest.mark.slow
def test_a_round_of_the_cheapest_group_and_one_that_does_not_hold(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def lists_models(round_: Round, material: Material) -> None:
        round_.chose(f"draws {round_.random.randrange(1000)}")
        round_.bench("models")

    def finds(round_: Round, material: Material) -> None:
        lists_models(round_, material)
        round_.problem("planted")

    groups = [Group("fine", lists_models, 1), Group("wrong", finds, 1)]
    lines = []
    for _ in range(2):
        with Suite(7, keep=False) as suite:
            suite.run(groups[:1], seconds=0)
            suite.run(groups[1:], seconds=0)
            suite.report(groups, tmp_path / "found.json")
        shutil.rmtree(suite.folder)
        printed = capsys.readouterr().out.splitlines()
        lines.append([line.split("  ")[1] for line in printed if "draws" in line])
    assert lines[0] == lines[1]
    told = json.loads((tmp_path / "found.json").read_text())["groups"]["wrong"]
    assert (told["tried"], told["failed"]) == (1, 1)
    assert told["failures"][0]["seed"] == 7
    assert told["failures"][0]["problems"] == ["planted"]
    assert len({group.name for group in GROUPS}) == len(GROUPS) >= 13
