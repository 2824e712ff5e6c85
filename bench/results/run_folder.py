"""The folder of a run, which can be read without torch and without MLflow.

manifest.json      settings, data and results of the run
metrics.jsonl      one line a validation, in the order of the steps
losses.npy         float32 training loss of every step
loss_terms.npy     its terms, where it has several: a float32 field for each, by name
predictions.npy    one value a test row, in the target's unit; float64, in older runs float32
model.safetensors  weights of the best validation
checkpoints/       states to resume from; removed when the run is finished
"""

from __future__ import annotations

import io
import math
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import open_regular, sync, whole_path, write_json, write_text
from bench.errors import BenchError, argument, first_line
from bench.results.locks import HeldError, locked
from bench.results.manifest import SCHEMA, Manifest
from bench.results.manifest_file import LARGEST, parse_manifest
from bench.results.metrics_file import MetricsLine, read_metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST, METRICS, PREDICTIONS, WEIGHTS = (
    "manifest.json",
    "metrics.jsonl",
    "predictions.npy",
    "model.safetensors",
)
LOSSES, LOSS_TERMS, CHECKPOINTS = "losses.npy", "loss_terms.npy", "checkpoints"


class RunFolder:
    """The folder of a run that is being written.

    Attributes:
        path: Path of the folder.
        manifest: Content of its manifest.json.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def create(cls, directory: Path, title: str) -> RunFolder:
        """Make a new folder, named by a title and the time.

        Raises:
            BenchError: The folder cannot be written.
        """
        now = datetime.now(UTC)
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-.")
        name = f"{slug}-{now:%y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        path = directory / name
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise BenchError(
                f"cannot write runs to {directory}: {error.strerror}. "
                f"Name another folder by {argument('runs_dir')} or BENCH_HOME."
            ) from None
        created = now.isoformat(timespec="seconds")
        run = cls(path, Manifest(schema=SCHEMA, id=name, status="running", created=created))
        try:
            run.save()
        except BenchError:
            with suppress(OSError):
                path.rmdir()  # an empty folder would tell nothing
            raise
        return run

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Return an existing run folder, to resume its run."""
        return cls(path, read_manifest(path))

    def rewind(self, step: int) -> tuple[dict[int, Mapping[str, float]], list[str]]:
        """Remove the logged lines after a step, and damaged lines.

        Returns:
            Metrics of the other lines by step, and a message for each damaged line.

        Raises:
            BenchError: The file of metrics cannot be read or written.
        """
        path = self.path / METRICS
        with _writing(path):
            lines, damaged = read_metrics(path)
            kept = {line.step: line for line in lines if line.step <= step}
            write_text(path, "".join(line.as_text() for line in kept.values()))
        return {step: line.metrics for step, line in kept.items()}, damaged

    def restart(self, decided: Manifest) -> None:
        """Write the manifest of a run that starts or resumes, without the fields of an end."""
        self.manifest = self.manifest.without("finished", "error").changed(status="running")
        self.save(decided)

    def save(self, part: Manifest | None = None) -> None:
        """Merge a part into the manifest, and write the manifest.

        Raises:
            BenchError: The manifest cannot be written.
        """
        if part is not None:
            self.manifest = self.manifest.merged(part)
        with _writing(self.path / MANIFEST):
            write_json(self.path / MANIFEST, self.manifest.to_json(), durable=True)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the finite metrics of a step to metrics.jsonl.

        Raises:
            BenchError: The file cannot be written.
        """
        now = round(datetime.now(UTC).timestamp() * 1000)
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        path = self.path / METRICS
        with _writing(path), path.open("a", encoding="utf-8") as file:
            file.write(MetricsLine(step, now, finite).as_text())

    def write_array(self, name: str, values: NDArray[Any]) -> None:
        """Write an array to a file of the run, and wait until it is on the disk.

        Raises:
            BenchError: The file cannot be written.
        """
        import numpy as np

        content = io.BytesIO()  # numpy writes to a file without a reason for a failure
        np.save(content, values)
        with self.new_file(name) as path:
            path.write_bytes(content.getbuffer())

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """Yield a path to write to, which becomes a file of the run once it is on the disk.

        Raises:
            BenchError: The file cannot be written.
        """
        with _writing(self.path / name), whole_path(self.path / name) as fresh:
            yield fresh
            sync(fresh)

    def finish(self, status: str, outcome: Manifest) -> None:
        """Write the manifest of a run that has ended, with its results and the time.

        What the manifest tells of is on the disk before the manifest.

        Raises:
            BenchError: The manifest cannot be written.
        """
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        with _writing(self.path / METRICS):
            if (self.path / METRICS).exists():
                sync(self.path / METRICS)
            sync(self.path)
        self.save(Manifest(status=status, finished=finished).merged(outcome))
        with _writing(self.path):
            sync(self.path)
            sync(self.path.parent)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Lock a run folder for the duration of a block, so that no other process trains the run.

    Raises:
        BenchError: Another process holds the lock, or the lock cannot be written.
    """
    with ExitStack() as stack:
        try:
            with _writing(path / ".lock"):
                stack.enter_context(locked(path / ".lock"))
        except HeldError as error:
            raise BenchError(
                f"another process trains the same run in {path}. It is {error}. "
                f"Wait for it, or give another {argument('seed')}."
            ) from None
        yield


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Replace an error of the system inside the block by one that names the file.

    Raises:
        BenchError: The file cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise BenchError(f"{path} cannot be written: {reason}.") from None


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a run folder.

    Raises:
        BenchError: The folder has no manifest, or the manifest is damaged.
    """
    file = path / MANIFEST
    try:
        with open_regular(file) as opened:
            content = opened.read(LARGEST + 1)
    except FileNotFoundError:
        raise BenchError(f"{path} is not a run folder: it has no {MANIFEST}.") from None
    except OSError as error:
        raise BenchError(f"{file} cannot be read: {error.strerror}. {_ADVICE}") from None
    try:
        if len(content) > LARGEST:
            raise BenchError(f"it has more than {LARGEST:,} bytes.")
        return parse_manifest(content)
    except BenchError as error:
        raise error.wrapped(f"{file} is not a run's manifest: ", f" {_ADVICE}") from None


_ADVICE = "Restore the file, or move its folder away."


def read_runs(directory: Path) -> tuple[dict[Path, Manifest], dict[Path, str]]:
    """Return the runs of a folder: readable manifests, and messages on the damaged ones.

    Returns:
        Manifests by the run's folder, oldest first; and, by folder, what is wrong with a manifest
        that cannot be read. A caller that prints tells what it leaves out.
    """
    found, damaged = {}, {}
    for path in run_paths(directory):
        try:
            found[path] = read_manifest(path)
        except BenchError as error:
            damaged[path] = f"a run is left out: {error}"
    by_time = sorted(found.items(), key=lambda run: (run[1].created, run[0].name))
    return dict(by_time), damaged


def run_paths(directory: Path) -> list[Path]:
    """Return the run folders in a directory, without what an import may have left unfinished."""
    found = [path.parent for path in directory.glob(f"*/{MANIFEST}")]
    return sorted(path for path in found if not path.name.startswith("."))


def find_run(reference: str, directory: Path, option: str = "run") -> Path:
    """Return the run folder of a path, a name, or the beginning of a name.

    Args:
        reference: Path, name or beginning of a name, as the user typed it.
        directory: Folder of all runs.
        option: Argument that the user gave the reference for.

    Raises:
        BenchError: No run or several runs match the reference.
    """
    if (Path(reference) / MANIFEST).exists():
        return Path(reference)
    reference = reference.rstrip("/")
    names = [path.name for path in run_paths(directory)]
    found = [name for name in names if name == reference] or [
        name for name in names if reference and name.startswith(reference)
    ]
    if len(found) != 1:
        known = (
            f"the names of {len(found)} runs in {directory} begin so" if found else "no such run"
        )
        named = argument(option.removeprefix("--"))  # the command line's --resume comes with dashes
        raise BenchError(f"{named} {reference}: {known}. `bench runs` lists them.")
    return directory / found[0]


def find_members(references: Sequence[str], directory: Path) -> list[Path]:
    """Return the folders of one run, or of the runs of an ensemble; see :func:`find_run`.

    Raises:
        BenchError: A reference matches no run, or two of them the same one, or there is none.
    """
    if not references:
        raise BenchError("name a run, or several runs for the mean of them.", field="run")
    found = [find_run(reference, directory) for reference in references]
    if len({path.resolve() for path in found}) < len(found):
        raise BenchError("a run is named twice. Name each run of an ensemble once.", field="run")
    return found
