"""Location of data, and two processes that make the same simulation."""

from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.registry import TASKS
from bench.sources.locate import find, simulated, write_simulation

Dream: Any = TASKS.get("dream")


def test_a_simulation_that_another_process_finished_first_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "assay"

    def simulate(folder: Path, *, rows: int, seed: int) -> dict[str, int]:
        for place in (folder, target):  # another process has just written its folder
            place.mkdir(exist_ok=True)
            (place / "simulated.json").write_text("{}")
        return {"rows": rows}

    monkeypatch.setattr(Dream, "simulate", simulate)
    assert write_simulation(Dream, target, rows=7, seed=0) == {"rows": 7}
    assert [path.name for path in tmp_path.iterdir()] == ["assay"]


def test_a_simulation_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def simulate(folder: Path, *, rows: int, seed: int) -> None:
        (folder / "half").write_text("a half")
        raise OSError("disk full")

    monkeypatch.setattr(Dream, "simulate", simulate)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="disk full"):
        simulated(Dream, "dream", rows=1000, seed=0)
    assert not list((tmp_path / "dream-simulated").iterdir())


def test_a_cache_that_cannot_be_written_is_told_how_to_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(BenchError, match=r"Not a directory\. Name another folder by BENCH_CACHE\."):
        simulated(Dream, "dream", rows=1000, seed=0)


def test_bench_data_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in ("data", "cache"):
        (tmp_path / root / "dream").mkdir(parents=True)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    assert find(Dream, "dream", None) == tmp_path / "data" / "dream"
    monkeypatch.delenv("BENCH_DATA")
    assert find(Dream, "dream", None) == tmp_path / "cache" / "dream"
    assert find(Dream, "dream", tmp_path) == tmp_path
    with pytest.raises(BenchError, match="simulate_rows makes a simulated assay"):
        find(Dream, "gone", None)
