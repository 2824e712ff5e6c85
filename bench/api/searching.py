"""The search for settings: a study of many trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import paths
from bench.api.html import as_html
from bench.api.plugins import model_name, task_name
from bench.config import spell
from bench.console import SILENT, Console
from bench.errors import BenchError
from bench.results.options import Request
from bench.search_space import Choice, Range

if TYPE_CHECKING:
    import polars
    from optuna.study import Study

    from bench.data.dataset import Dataset
    from bench.model import Model
    from bench.task import Task
    from bench.tuning.summary import Summary


@dataclass(frozen=True)
class SearchResult:
    """The state of a study after a search.

    Attributes:
        study: Optuna's study.
        summary: Numbers of trials by state, the best trial, and the cost.
    """

    study: Study
    summary: Summary

    @property
    def best(self) -> dict[str, Any]:
        """Values of the best trial, such as ``{"model.dim": 64}``; empty before there is one."""
        return {} if self.summary.best is None else dict(self.summary.best.params)

    @property
    def value(self) -> float | None:
        """Best validation Pearson; None before there is one."""
        return None if self.summary.best is None else self.summary.best.value

    def trials(self) -> polars.DataFrame:
        """Return a table with a row for each trial; the values are columns."""
        import polars

        from bench.tuning.summary import table

        head, rows = table(self.study)
        return polars.DataFrame(rows, schema=head, orient="row", infer_schema_length=None)

    def __repr__(self) -> str:
        value = "no score yet" if self.value is None else f"best {self.value:.4f}"
        return f"SearchResult({self.summary.name!r}, {self.summary.finished} trials, {value})"

    def _repr_html_(self) -> str:
        facts = {"trials": self.summary.finished, "best validation Pearson": self.value}
        return as_html(self.summary.name, {**facts, **self.best})


def search(
    model: str | type[Model],
    task: str | type[Task] | Dataset,
    *,
    space: Mapping[str, object] | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    sampler: str = "tpe",
    sampler_seed: int = 0,
    pruned: bool = True,
    seeds: Iterable[int] = (0,),
    refit: int | None = None,
    name: str | None = None,
    storage: str | None = None,
    recipe: str = "standard",
    preset: str = "paper",
    model_options: Mapping[str, object] | None = None,
    recipe_options: Mapping[str, object] | None = None,
    task_options: Mapping[str, object] | None = None,
    data: str | Path | None = None,
    test_data: str | Path | None = None,
    simulate_rows: int | None = None,
    fraction: float | None = None,
    epochs: int | None = None,
    max_steps: int | None = None,
    max_parameters: int | None = None,
    max_memory: float | None = None,
    device: str = "auto",
    runs_dir: str | Path | None = None,
    track: bool = False,
    console: Console | None = None,
) -> SearchResult:
    """Search the settings of a model for the best validation Pearson; test rows are not used.

    If a study of this name exists, trials are added to it. The command line can run several
    processes.

    Args:
        model: Name of a registered model, path of a plugin file, or a class.
        task: Task, as for :func:`bench.run`.
        space: Values to search, by "model.FIELD" or "recipe.FIELD": a :class:`bench.Choice`, a
            :class:`bench.Range`, or one fixed value. They replace the spaces that the model
            declares for these fields.
        trials: Number of finished trials; 100 if neither this nor ``minutes`` is given.
        minutes: Time after which no trial is started.
        sampler: "tpe", "random", "grid", "cmaes" or "quasi-random".
        sampler_seed: Seed of the sampler.
        pruned: Whether trials that are behind the others end early.
        seeds: Seeds of a trial's runs; the score of a trial is the mean over them.
        refit: Number of the best trials to run at full budget afterwards, with test scores.
        name: Name of the study; made of model, data and a hash if None.
        storage: Path of a journal or URL of a database; a journal in ``runs_dir`` if None.
        recipe: "standard" or "paper".
        preset: Size and budget of a run.
        model_options: Settings of the model that do not vary.
        recipe_options: Settings of the recipe that do not vary.
        task_options: Options of the task.
        data: Folder of the data.
        test_data: Folder of the test files, if it is another one.
        simulate_rows: Number of training rows of a simulated assay to use in place of real data.
        fraction: Share of the training rows that a trial uses; refits use all.
        epochs: Number of epochs of a trial; refits have the full number.
        max_steps: Largest number of steps of a run.
        max_parameters: Largest number of parameters of a feasible model.
        max_memory: Largest memory of a feasible trial, in gigabytes.
        device: Device, as for :func:`bench.run`.
        runs_dir: Folder of all runs; ``$BENCH_HOME``, else ./runs, if None.
        track: Whether to send the runs and the study to MLflow.
        console: Console for progress; silent if None.

    Raises:
        BenchError: A name, a space or another value is wrong, or the study of this name has another
            identity.
    """
    from bench.api.training import settings_texts
    from bench.tuning.open_study import SearchSpec
    from bench.tuning.run_search import search as work
    from bench.tuning.search_options import SearchOptions
    from bench.tuning.summary import summarize

    home = paths.runs_dir(paths.as_path(runs_dir))
    request = Request(
        model=model_name(model),
        task=task_name(task),
        recipe=recipe,
        preset=preset,
        overrides=settings_texts(model=model_options, task=task_options, recipe=recipe_options),
        data=paths.as_path(data),
        test_data=paths.as_path(test_data),
        simulate_rows=simulate_rows,
        max_steps=max_steps,
        device=device,
    )
    rest = {
        "epochs": epochs,
        "fraction": fraction,
        "seeds": tuple(seeds),
        "pruned": pruned,
        "max_parameters": max_parameters,
        "max_memory": max_memory,
        "sampler": sampler,
        "sampler_seed": sampler_seed,
    }
    spaces = tuple(
        f"{field}={given if isinstance(given, Choice | Range) else spell(given)}"
        for field, given in (space or {}).items()
    )
    asked = SearchOptions(
        settings=SearchSpec(request=request, spaces=spaces, rest=rest),
        name=name,
        storage=storage,
        resume=False,
        trials=trials,
        minutes=minutes,
        refit=refit,
        workers=1,
        child=False,
        device=device,
        tracked=track,
        home=home,
        data=request.data,
    )
    study = work(asked, console or SILENT)
    if study is None:
        raise BenchError("this process is one of several ranks: only rank 0 has a result.")
    return SearchResult(study, summarize(study))
