"""Training of a model on a task."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import paths
from bench.api.plugins import loaded_files, model_name, task_name
from bench.api.results import Run
from bench.config import as_dict, spell
from bench.console import SILENT, Console
from bench.errors import BenchError
from bench.recipe import Recipe
from bench.registry import MODELS, TASKS
from bench.results.command import local_words, resume_words, run_words
from bench.results.options import Request
from bench.training.signals import NEVER, Stop

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.model import Model
    from bench.runner.progress import Watch
    from bench.task import Task

PathLike = str | Path
Options = Mapping[str, object]


def run(
    model: str | type[Model],
    task: str | type[Task] | Dataset,
    *,
    recipe: str | Recipe = "standard",
    preset: str = "paper",
    model_options: Options | None = None,
    recipe_options: Options | None = None,
    task_options: Options | None = None,
    weights: PathLike | None = None,
    data: PathLike | None = None,
    test_data: PathLike | None = None,
    download: bool = False,
    simulate_rows: int | None = None,
    fraction: float | None = None,
    seed: int = 0,
    compiled: bool = False,
    epochs: int | None = None,
    max_steps: int | None = None,
    max_seconds: float | None = None,
    tested: bool = True,
    device: str = "auto",
    devices: int = 1,
    batch_per_device: int | None = None,
    checkpoint_minutes: float = 10.0,
    runs_dir: PathLike | None = None,
    force: bool = False,
    track: bool = False,
    console: Console | None = None,
) -> Run:
    """Train a model on a task, score it on the test rows, and record the result.

    The same call continues a run that was interrupted, and returns a finished run without training
    again.

    Args:
        model: Name of a registered model, path of a plugin file, or a class.
        task: Name of a registered task, path of a table or of a plugin file, a class, or a data set
            in memory.
        recipe: "standard", "paper", or a :class:`bench.recipe.Recipe`.
        preset: Size of the model and budget of the run: "smoke", "quick", or "paper" for the full
            size.
        model_options: Settings of the model, by name.
        recipe_options: Settings of the recipe that differ from ``recipe`` and ``preset``.
        task_options: Options of the task.
        weights: File of trained weights to score as they are; nothing is trained.
        data: Folder of the data; ``$BENCH_DATA/TASK``, else the cache, if None.
        test_data: Folder of the test files, if it is another one.
        download: Whether missing published files are fetched first.
        simulate_rows: Number of training rows of a simulated assay to use in place of real data.
        fraction: Share of the training rows to use, the same rows for every seed.
        seed: Seed of the weights, of the order of the rows and of all noise.
        compiled: Whether the loss is traced with torch.compile.
        epochs: Short form of ``recipe_options={"epochs": …}``.
        max_steps: Largest number of training steps.
        max_seconds: Time spent on steps, in seconds, after which the training stops.
        tested: Whether the test rows are scored.
        device: Name of the device: "auto", "cpu", "cuda", "cuda:1" …
        devices: Number of devices of this machine to train on, one process each.
        batch_per_device: Number of rows that go through the network at once, if memory is short.
        checkpoint_minutes: Minutes between two saved states.
        runs_dir: Folder of all runs; ``$BENCH_HOME``, else ./runs, if None.
        force: Whether to train even if the same run is finished or begun.
        track: Whether to send the run to MLflow.
        console: Console for progress; silent if None.

    Raises:
        BenchError: A name, a value or the data is wrong, or the training diverged.
    """
    if isinstance(recipe, Recipe):
        if recipe_options:
            raise BenchError(
                "recipe_options change a named recipe; put the values into the Recipe instead."
            )
        recipe, recipe_options = (
            "standard",
            as_dict(recipe),
        )  # all of its values, so that no preset changes them
    request = Request(
        model=model_name(model),
        task=task_name(task),
        recipe=recipe,
        preset=preset,
        overrides=settings_texts(model=model_options, task=task_options, recipe=recipe_options),
        weights=paths.as_path(weights),
        data=paths.as_path(data),
        test_data=paths.as_path(test_data),
        download=download,
        simulate_rows=simulate_rows,
        fraction=fraction,
        seed=seed,
        compiled=compiled,
        epochs=epochs,
        max_steps=max_steps,
        max_seconds=max_seconds,
        tested=tested,
        device=device,
        batch_per_device=batch_per_device,
        checkpoint_minutes=checkpoint_minutes,
        runs_dir=paths.as_path(runs_dir),
        force=force,
    )
    done = train(request, devices=devices, track=track, console=console)
    if done is None:
        raise BenchError("this process is one of several ranks: only rank 0 has a result.")
    return done


def resumed(reference: str, **here: Any) -> Request:
    """Return the request of an earlier run, with which :func:`train` continues that run.

    Args:
        reference: Folder of the run, its name, or the beginning of its name.
        here: Options that do not decide the result, such as ``device`` and ``runs_dir``.

    Raises:
        BenchError: There is no such run, or it records no request.
    """
    from bench.runner.resume import resumed_request

    return resumed_request(reference, paths.runs_dir(here.pop("runs_dir", None)), **here)


def train(
    request: Request,
    *,
    devices: int = 1,
    track: bool = False,
    console: Console | None = None,
    watch: Watch | None = None,
    stop: Stop = NEVER,
) -> Run | None:
    """Train, score and record the run that a request describes.

    Args:
        request: Options of the run.
        devices: Number of devices of this machine, one process each.
        track: Whether to send the run to MLflow.
        console: Console for progress; silent if None.
        stop: Request to end the training early; never made by default.
        watch: Function called after every validation; an error that it raises ends the run.

    Returns:
        The run; None in a process that is one of several ranks and does not lead.

    Raises:
        BenchError: The request or its data is wrong, or the training diverged.
    """
    from bench.runner.request import check_numbers
    from bench.runner.run import execute
    from bench.training.launch import launch

    check_numbers(request)

    console = console or SILENT
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report = Path(folder) / "run"
        words = _rank_words(request, report, track, console)
        if launch(devices, request.device, words, stop):
            return Run.open(Path(report.read_text(encoding="utf-8")))
    manifest = execute(request, console, tracked=track, watch=watch, stop=stop)
    if manifest is None:
        return None
    return Run(paths.runs_dir(request.runs_dir) / manifest.id, manifest)


def _rank_words(request: Request, report: Path, track: bool, console: Console) -> list[str]:
    """Return the words after ``bench`` that start a rank of this run."""
    places = (MODELS.places().get(request.model), TASKS.places().get(request.task))
    plugins = loaded_files(place for place in places if place)
    if request.resume is not None:
        words = resume_words(str(request.resume), plugins)
    else:
        words = run_words(request.as_json(), plugins)
    words += local_words(request)
    words += ["--report", str(report), *([] if track else ["--no-tracking"])]
    return [*words, *(["--silent"] if console.silent else [])]


def settings_texts(**sections: Options | None) -> dict[str, dict[str, str]]:
    """Return settings as the texts that a request keeps, by section and field."""
    return {
        section: {name: spell(value) for name, value in values.items()}
        for section, values in sections.items()
        if values
    }
