"""Runs as objects, and functions that find them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import paths
from bench.api.html import as_html
from bench.atomic import read_plain
from bench.console import SILENT, Console
from bench.data.vectors import stored_vector
from bench.results import run_folder
from bench.results.manifest import Manifest
from bench.results.metrics_file import read_metrics

if TYPE_CHECKING:
    import polars
    from numpy.typing import NDArray
    from torch import nn

    from bench.model import Model
    from bench.results.manifest import Manifest
    from bench.scoring.scorer import Scores

_LARGEST = 1 << 32  # bytes of an array
_SHOWN = ("validation/pearson", "validation/spearman", "test/all/pearson", "test/all/spearman")


class Run:
    """A run: its settings, its results and its trained model, read from its folder.

    Args:
        path: Folder of the run.
        manifest: Manifest of the run.

    Attributes:
        path: Folder of the run.
        manifest: All settings and results of the run.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def open(cls, path: Path) -> Run:
        """Return the run in a folder.

        Raises:
            BenchError: The folder is not that of a run.
        """
        return cls(path, run_folder.read_manifest(path))

    @property
    def id(self) -> str:
        """Name of the run, and of its folder."""
        return self.manifest.id

    @property
    def status(self) -> str:
        """State of the run: running, interrupted, finished, failed or pruned."""
        return self.manifest.status

    @property
    def metrics(self) -> dict[str, float | None]:
        """Metrics by name, such as ``test/all/pearson``; None where one has no value."""
        return dict(self.manifest.metrics)

    @cached_property
    def predictions(self) -> NDArray[np.floating[Any]] | None:
        """Predictions of the test rows ``(N,)``, in the target's unit; None without any."""
        return self._array(run_folder.PREDICTIONS)

    @cached_property
    def losses(self) -> NDArray[np.floating[Any]] | None:
        """Training loss of every step; None for a model that is fitted at once."""
        return self._array(run_folder.LOSSES)

    @property
    def history(self) -> polars.DataFrame:
        """Table with a row for each validation that is readable: ``step``, then metrics."""
        import polars

        lines, _ = read_metrics(self.path / run_folder.METRICS)
        return polars.from_dicts(
            [{"step": line.step, **line.metrics} for line in lines],
            schema=None if lines else {"step": polars.Int64},
        )

    def predict(self, sequences: Iterable[str], *, device: str = "auto") -> NDArray[np.float64]:
        """Return the predictions of sequences ``(N,)``, in the target's unit.

        Args:
            sequences: DNA sequences as text, with flanks if the training rows have them.
            device: Device to predict on.

        Raises:
            BenchError: The run has no model, or the model cannot read a sequence.
        """
        from bench.runner.predictor import predict_texts

        return predict_texts([self.path], sequences, device=device)

    def model(self) -> nn.Module:
        """Return the trained model: a plain torch module on the CPU, in evaluation mode.

        The model maps tokens ``(B, positions)`` to standardized predictions; see
        :class:`bench.model.Model`.

        Raises:
            BenchError: The run has no weights, or they do not fit the model's class.
        """
        import torch

        from bench.runner.predictor import Predictor

        return Predictor.load(self.path, torch.device("cpu")).model.eval()

    def scores(
        self,
        *,
        rows: str | None = None,
        data: str | Path | None = None,
        subset_files: Mapping[str, Path] | None = None,
    ) -> Scores:
        """Return the scores of the stored predictions, computed anew.

        Args:
            rows: Part of the test rows; the part that ranks if None.
            data: Folder of the test rows; the one that the run records if None.
            subset_files: Files to use in place of those of the task, by subset.

        Raises:
            BenchError: There are no predictions, or the test rows are not on this machine.
        """
        from bench.runner.rescore import score_runs

        return score_runs(
            [str(self.path)],
            folder=paths.as_path(data),
            rows=rows,
            subset_files=subset_files or {},
            home=None,
        ).scores

    def __repr__(self) -> str:
        known = [f"{k}={v:.4f}" for k in _SHOWN if (v := self.metrics.get(k)) is not None]
        return f"Run({self.id!r}, {self.status}{''.join(', ' + text for text in known)})"

    def _repr_html_(self) -> str:
        manifest = self.manifest
        facts = {
            "model": manifest.model.name or None,
            "data": manifest.data.name or None,
            "status": manifest.status,
            **self.metrics,
            "folder": str(self.path),
        }
        return as_html(self.id, facts)

    def _array(self, name: str) -> NDArray[np.floating[Any]] | None:
        path = self.path / name
        if not path.exists():
            return None
        return stored_vector(read_plain(path, _LARGEST), name, None)


def load_run(
    reference: str | Path,
    *,
    runs_dir: str | Path | None = None,
    model: type[Model] | None = None,
) -> Run:
    """Return a run by its folder, its name, or the beginning of its name.

    Args:
        reference: Folder or name.
        runs_dir: Folder of all runs; ``$BENCH_HOME``, else ./runs, if None.
        model: Class of the run's model, if it is defined in a notebook or a program.

    Raises:
        BenchError: There is no such run, or the name fits several.
    """
    if model is not None:
        from bench.api.plugins import model_name

        model_name(model)
    folder = paths.runs_dir(paths.as_path(runs_dir))
    return Run.open(run_folder.find_run(str(reference), folder, option="run"))


def list_runs(
    *,
    task: str | None = None,
    model: str | None = None,
    runs_dir: str | Path | None = None,
    console: Console = SILENT,
) -> polars.DataFrame:
    """Return a table with a row for each run in a folder, oldest first; metrics are columns.

    Args:
        task: Name that results are filed under, such as "dream" or "dream-simulated".
        model: Name of a model.
        runs_dir: Folder of all runs; ``$BENCH_HOME``, else ./runs, if None.
        console: Console for warnings of damaged runs, which are left out.
    """
    import polars

    rows = []
    readable, damaged = run_folder.read_runs(paths.runs_dir(paths.as_path(runs_dir)))
    for line in damaged.values():
        console.warn(line)
    for path, manifest in readable.items():
        found = Run(path, manifest)
        row = _row(found)
        if task in (None, row["task"]) and model in (None, row["model"]):
            rows.append({**row, **found.metrics})
    return polars.from_dicts(rows, infer_schema_length=None) if rows else polars.DataFrame()


def _row(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    return {
        "run": manifest.id,
        "model": manifest.model.name or None,
        "task": manifest.data.name or None,
        "seed": manifest.seed,
        "status": manifest.status,
        "created": manifest.created,
    }
