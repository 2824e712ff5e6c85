"""Full disks, folders that go away, file modes, and what is on the disk when a run is finished."""

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.api.training import train
from bench.errors import BenchError
from bench.results.options import Request
from bench.results.run_folder import read_manifest
from tests.killing import SETTINGS, left_behind, write_table
from tests.runner.test_run import elsewhere

__all__ = ["elsewhere"]  # an autouse fixture: every test in its own folder


def request(home: str, **more: Any) -> Request:
    sections: dict[str, dict[str, str]] = {}
    for name, value in {**SETTINGS, "recipe.epochs": 2}.items():
        section, _, field = name.partition(".")
        sections.setdefault(section, {})[field] = str(value)
    return Request(
        model="proformer",
        task=str(TABLE),
        overrides=sections,
        device="cpu",
        checkpoint_minutes=0.0,
        runs_dir=Path(home).absolute(),
        **more,
    )


TABLE = Path()


@pytest.fixture(scope="module", autouse=True)
def whole(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What a run leaves behind that nothing disturbs."""
    global TABLE
    folder = tmp_path_factory.mktemp("whole")
    write_table(folder, letters=20, tested=270)
    TABLE = folder / "table.tsv"
    train(request(str(folder / "runs")))
    return left_behind(folder, "runs")


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def full_at(name: str, patch: pytest.MonkeyPatch) -> None:
    """Let the system report a full disk when the named file is to reach it."""
    sync = os.fsync

    def full(number: int) -> None:
        if re.search(name, os.readlink(f"/proc/self/fd/{number}")):
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(number)

    patch.setattr(os, "fsync", full)


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "000000030.pt",
        pytest.param("losses.npy", marks=pytest.mark.slow),
        pytest.param("predictions.npy", marks=pytest.mark.slow),
        "model.safetensors",
    ],
)
def test_a_full_disk_names_the_file_and_the_same_command_goes_on(
    name: str, whole: Mapping[str, Any], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        full_at(re.escape(name), patch)
        with pytest.raises(BenchError) as raised:
            train(request("runs"))
    assert re.fullmatch(
        rf"{tmp_path}/runs/.*{name} cannot be written: No space left on device\.",
        str(raised.value),
    )
    assert all(read_manifest(path).status == "failed" for path in (tmp_path / "runs").iterdir())
    assert not list(Path("runs").rglob("*.new"))
    train(request("runs"))
    assert left_behind(tmp_path, "runs") == whole


def test_a_disk_that_is_full_for_metrics_and_for_the_record_of_the_failure(
    whole: Mapping[str, Any], tmp_path: Path
) -> None:
    opened = Path.open

    def full(self: Path, mode: str = "r", **options: Any) -> Any:
        return opened(Path("/dev/full") if mode == "a" else self, mode, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", full)
        patch.setattr("bench.training.loop.validate", then(full_at, "manifest", patch))
        with pytest.raises(BenchError, match=r"metrics.jsonl cannot be written: No space left"):
            train(request("runs"))
    (run,) = Path("runs").iterdir()
    assert read_manifest(run).status == "running"
    train(request("runs"))
    assert left_behind(tmp_path, "runs") == whole


def then(action: Callable[..., object], *arguments: Any) -> Callable[..., Any]:
    """Return the validation of the loop, before which an action happens."""
    from bench.training.loop import validate

    def acting(*given: Any) -> Any:
        action(*arguments)
        return validate(*given)

    return acting


def replace_home(home: Path) -> None:
    home.rename("elsewhere")
    home.mkdir()


@pytest.mark.parametrize("harm", ["run", pytest.param("home", marks=pytest.mark.slow), "replaced"])
def test_a_folder_that_goes_away_is_one_line_and_nothing_appears_elsewhere(
    harm: str, whole: Mapping[str, Any], tmp_path: Path
) -> None:
    home = Path("runs").absolute()

    def watch(step: int, metrics: Mapping[str, float]) -> None:
        (run,) = home.glob("proformer*")
        if harm == "replaced":
            replace_home(home)
        else:
            shutil.rmtree(run if harm == "run" else home)

    with pytest.raises(BenchError, match=r"cannot be written: No such file or directory\.$"):
        train(request("runs"), watch=watch)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "elsewhere" not in str(path)]
    assert left == []
    train(request("runs"))
    assert left_behind(tmp_path, "runs") == whole


def test_a_read_only_disk_is_one_line(whole: Mapping[str, Any], tmp_path: Path) -> None:
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(tmp_path) in str(path):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(BenchError, match="cannot be written: Read-only file system"):
            train(request("runs"))


def test_all_files_of_a_run_follow_the_umask(umask: int, tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    def look(step: int, metrics: Mapping[str, float]) -> None:
        seen.update({str(path): path.stat().st_mode for path in Path("runs").rglob("*")})

    train(request("runs"), watch=look)
    look(0, {})
    wrong = [
        path
        for path, mode in seen.items()
        if mode & 0o777 != (0o666 if mode & 0o100000 else 0o777) & ~umask
    ]
    assert wrong == []
    kinds = {Path(path).suffix for path in seen}
    assert kinds >= {".pt", ".npy", ".json", ".jsonl", ".safetensors"}
    assert any(path.endswith(".lock") for path in seen)


def test_a_finished_manifest_comes_to_the_disk_after_all_that_it_tells_of() -> None:
    synced: list[int] = []
    early: list[str] = []
    sync, replace = os.fsync, os.replace

    def noted_sync(number: int) -> None:
        synced.append(os.fstat(number).st_ino)
        sync(number)

    def noted_replace(fresh: Any, path: Any) -> None:
        if Path(path).name == "manifest.json" and '"finished"' in Path(fresh).read_text():
            files = [*Path(path).parent.glob("*.*"), Path(path).parent]
            early.extend(p.name for p in files if p.stat().st_ino not in synced)
            assert Path(fresh).stat().st_ino in synced
            synced.clear()
        replace(fresh, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", noted_sync)
        patch.setattr(os, "replace", noted_replace)
        train(request("runs"))
    (run,) = Path("runs").iterdir()
    assert set(early) <= {"manifest.json", ".lock"}  # the one that is replaced
    assert {run.stat().st_ino, run.parent.stat().st_ino} <= set(synced)


def test_checkpoints_that_cannot_be_removed_leave_the_run_finished() -> None:
    with pytest.MonkeyPatch.context() as patch:
        unlink = os.unlink

        def refuse(path: Any, **options: Any) -> None:
            if str(path).endswith(".pt"):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            unlink(path, **options)

        patch.setattr(os, "unlink", refuse)
        patch.setattr(os, "remove", refuse)
        done = train(request("runs"))
    assert done is not None
    assert done.status == "finished"
    assert read_manifest(done.path).status == "finished"
