"""Default folders, and every environment variable that changes one."""

from pathlib import Path

import pytest

from bench import paths
from bench.errors import BenchError


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable is set, and the current folder and the home folder are new."""
    for name in ("BENCH_HOME", "BENCH_CACHE", "BENCH_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_lie_where_it_is_said_else_in_bench_home_else_here(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert paths.runs_dir() == bare / "runs"
    monkeypatch.setenv("BENCH_HOME", "")
    assert paths.runs_dir() == bare / "runs"
    monkeypatch.setenv("BENCH_HOME", "/all")
    assert paths.runs_dir() == Path("/all")
    assert paths.runs_dir(Path("mine")) == bare / "mine"


def test_the_cache_is_bench_cache_else_that_of_the_user(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert paths.cache_dir() == bare / "user" / ".cache" / "dream-bench"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert paths.cache_dir() == Path("/xdg/dream-bench")
    monkeypatch.setenv("BENCH_CACHE", "/cache")
    assert paths.cache_dir() == Path("/cache")


def test_data_is_looked_up_in_bench_data_before_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENCH_CACHE", "/cache")
    assert paths.data_dirs("dream") == [Path("/cache/dream")]
    monkeypatch.setenv("BENCH_DATA", "/data")
    assert paths.data_dirs("dream") == [Path("/data/dream"), Path("/cache/dream")]


def test_a_study_lies_in_the_folder_of_all_runs() -> None:
    studies = paths.studies_dir(Path("/runs"))
    assert studies == Path("/runs/studies")
    assert paths.runs_dir_of_study(studies / "name") == Path("/runs")


def test_a_user_without_a_home_folder_is_told_what_to_set(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(BenchError, match=r"no home folder\. Set BENCH_CACHE \(or HOME\)\.$"):
        paths.cache_dir()
    monkeypatch.setenv("BENCH_CACHE", "/cache")
    assert paths.cache_dir() == Path("/cache")
