"""Runs in one zip file: the data needed to rank them on another machine, and nothing executable.

``results.zip`` holds one folder for each run, with the name of the run: manifest.json,
predictions.npy and, where the run has them, metrics.jsonl and losses.npy. It holds no code and no
weights, and the manifest has neither paths of this machine nor commands.

The import trusts no part of the file. Names and sizes are checked before anything is unpacked
(:mod:`bench.sharing.untrusted_zip`), a
manifest is read field by field (:mod:`bench.sharing.manifest_check`), and the predictions are
scored again on the test rows of this machine: the rows must be the same, and the scores must be
those that the file claims. The training itself cannot be checked in this way, so an imported run
stays unverified.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.atomic import finite, scratch_folder, whole_file, write_json
from bench.console import SILENT, Console
from bench.errors import BenchError, argument
from bench.results import run_folder
from bench.results.manifest import Manifest
from bench.sharing.untrusted_zip import Archive, open_archive, shown_name
from bench.sharing.verify import read_claimed

_LARGEST = {
    run_folder.MANIFEST: 1 << 20,
    run_folder.PREDICTIONS: 1 << 28,
    run_folder.METRICS: 1 << 26,
    run_folder.LOSSES: 1 << 26,
}
"""Largest unpacked size of each file, in bytes; a run has no other files."""
_NEEDED = {run_folder.MANIFEST, run_folder.PREDICTIONS}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,199}-\d{6}-\d{6}-[0-9a-f]{4}")
"""Names that :meth:`bench.results.run_folder.RunFolder.create` gives to runs."""


def export_runs(references: Iterable[str], out: Path, home: Path) -> list[str]:
    """Write runs to a zip file, which is written completely or not at all.

    Args:
        references: Folders of runs, or their names, or the beginnings of their names.
        out: Path of the file, which must not exist yet.
        home: Folder of all runs.

    Returns:
        The names of the runs.

    Raises:
        BenchError: A run cannot be found or has no predictions, or the file exists.
    """
    if out.exists():
        raise BenchError(f"{argument('out')} {out} exists. Name a new file.")
    runs = {
        path.resolve(): None for path in (run_folder.find_run(r, home, "runs") for r in references)
    }
    manifests = {path: _exported(path) for path in runs}
    try:
        with whole_file(out) as raw, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as file:
            for path, manifest in manifests.items():
                _pack(file, path, manifest)
    except OSError as error:
        raise BenchError(f"{argument('out')} {out}: {error.strerror}.") from None
    return [manifest.id for manifest in manifests.values()]


def _exported(path: Path) -> Manifest:
    """Return the manifest of a finished run, without its command and paths of this machine."""
    manifest = run_folder.read_manifest(path)
    if manifest.status != "finished" or not (path / run_folder.PREDICTIONS).is_file():
        raise BenchError(f"{path.name} is {manifest.status}: it has no predictions to share.")
    task = manifest.task.changed(
        name=Path(manifest.task.name).name
    )  # the name of a table is its path
    model = manifest.model.changed(
        origin=Path(manifest.model.origin).name
    )  # the origin of a plugin is its path
    return manifest.changed(task=task, model=model).shared()


def _pack(file: zipfile.ZipFile, path: Path, manifest: Manifest) -> None:
    text = json.dumps(finite(manifest.to_json()), indent=1)
    file.writestr(f"{manifest.id}/{run_folder.MANIFEST}", text)
    for name in (run_folder.PREDICTIONS, run_folder.METRICS, run_folder.LOSSES):
        if (path / name).is_file():
            file.write(path / name, f"{manifest.id}/{name}")


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported run.

    Attributes:
        path: Folder of the run.
        rows: Number of test rows that its predictions were scored on again.
    """

    path: Path
    rows: int


def import_runs(
    path: Path,
    home: Path,
    *,
    task_name: str | None = None,
    data: Path | None = None,
    console: Console = SILENT,
) -> list[Imported]:
    """Import all runs of a file that :func:`export_runs` wrote, or none of them.

    Args:
        path: Path of the zip file.
        home: Folder of all runs.
        task_name: Path of the task's table on this machine; needed for results on a table.
        data: Folder of the test rows; that of ``bench run`` if None.
        console: Console for warnings of damaged run folders.

    Raises:
        BenchError: The file was not written by an export, a run exists already, or its
            predictions do not give the scores that it claims.
    """
    with open_archive(path) as archive:
        members = _members(path, archive)
        for name in members:
            if (home / name).exists():
                raise BenchError(f"{path}: {name} exists already in {home}.")
        try:
            with scratch_folder(home) as fresh:
                found = [
                    _unpack(archive, files, fresh / name, task_name, data)
                    for name, files in members.items()
                ]
                _refuse_duplicates(path, found, home, console)
                _move([run.path for run in found], home)
        except OSError as error:
            raise BenchError(f"cannot write runs to {home}: {error.strerror}.") from None
    return [Imported(home / run.path.name, run.rows) for run in found]


def _members(path: Path, archive: Archive) -> dict[str, dict[str, zipfile.ZipInfo]]:
    """Return the archive's members by run and file name, checked; nothing is unpacked."""
    runs: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for member in archive.members:
        run, name = _place(path, member)
        if runs.setdefault(run, {}).setdefault(name, member) is not member:
            raise BenchError(f"{path}: {member.filename} is in the file twice.")
        if member.file_size > _LARGEST[name]:
            raise BenchError(f"{path}: {member.filename} unpacks to {member.file_size:,} bytes.")
    if not runs:
        raise BenchError(f"{path}: the file holds no runs.")
    for run, files in runs.items():
        for name in sorted(_NEEDED - files.keys()):
            raise BenchError(f"{path}: {run} has no {name}.")
    return runs


def _place(path: Path, member: zipfile.ZipInfo) -> tuple[str, str]:
    """Return the run and the file that the name of a member stands for."""
    parts = PurePosixPath(member.orig_filename).parts
    plain = len(parts) == 2 and parts[1] in _LARGEST and _NAME.fullmatch(parts[0])
    if not plain or member.orig_filename != "/".join(parts) or member.filename.endswith("/"):
        raise BenchError(f"{path}: {shown_name(member)} does not belong in a file of results.")
    return parts[0], parts[1]


def _unpack(
    archive: Archive,
    files: dict[str, zipfile.ZipInfo],
    folder: Path,
    task_name: str | None,
    data: Path | None,
) -> Imported:
    """Check one run and write it to a new folder."""
    given = {name: archive.read(member) for name, member in files.items()}
    claimed = read_claimed(folder.name, given, task_name, data)
    folder.mkdir()
    for name, content in claimed.files.items():
        (folder / name).write_bytes(content)
    write_json(folder / run_folder.MANIFEST, claimed.manifest.to_json())
    return Imported(folder, claimed.rows)


def _refuse_duplicates(path: Path, found: list[Imported], home: Path, console: Console) -> None:
    """Raise an error if a run exists already, or twice in the file, under another name."""
    here, damaged = run_folder.read_runs(home)
    for line in damaged.values():
        console.warn(line)
    known = {_content(folder, manifest): folder.name for folder, manifest in here.items()}
    for run in found:
        content = _content(run.path, run_folder.read_manifest(run.path))
        if content in known:
            raise BenchError(f"{path}: {run.path.name} is {known[content]} under another name.")
        known[content] = run.path.name


def _content(folder: Path, manifest: Manifest) -> tuple[object, ...]:
    """Return the values that are the same only for the same run: model, settings, predictions."""
    file = folder / run_folder.PREDICTIONS
    if not file.is_file():
        return (folder,)
    plan = None if manifest.plan is None else manifest.plan.to_json()
    settings = json.dumps([manifest.recipe.to_json(), plan, manifest.seed], sort_keys=True)
    return manifest.model.name, settings, hashlib.blake2b(file.read_bytes()).digest()


def _move(folders: list[Path], home: Path) -> None:
    """Move all folders to the folder of all runs, or none of them."""
    moved: list[Path] = []
    try:
        for folder in folders:
            moved.append(folder.rename(home / folder.name))
    except OSError:
        for folder in moved:
            shutil.rmtree(folder)
        raise
