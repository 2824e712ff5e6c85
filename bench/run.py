"""One run, from a request to a scored and recorded result."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_model

from bench import data, results, settings
from bench.dataset import Dataset
from bench.environment import describe_environment
from bench.errors import BenchError
from bench.model import FITTED_ROWS, FittedModel, Model, count_parameters
from bench.recipe import Plan
from bench.registry import MODELS
from bench.report import Report, Screen, Watch
from bench.request import Prepared, Request, data_folder, prepare
from bench.scoring import score
from bench.tracking import Follower
from bench.training.device import choose_device, describe_device, peak_memory
from bench.training.feed import Feed
from bench.training.loop import DivergedError, train, validate
from bench.training.predict import predict


def execute(
    request: Request, screen: Screen, *, tracked: bool, watch: Watch | None = None
) -> dict[str, Any]:
    """Train, score and record.

    Args:
        request: What to run.
        screen: Where to tell of it.
        tracked: Also send the run to MLflow.
        watch: Told every validation's figures; what it raises ends the run as failed.

    Returns:
        The run's manifest.

    Raises:
        BenchError: The request or its data is wrong (nothing is written then), or the training
            diverged (the run is recorded as failed).
    """
    prepared, device = prepare(request), choose_device(request.device)
    screen.say(f"reading the {request.task} data")
    folder = data_folder(request, type(prepared.task), screen)
    dataset = data.load(prepared.task, request.task, folder, request.test_data)
    layout = prepared.model_class.layout(prepared.config)
    feed = Feed(dataset, layout, standardize=prepared.recipe.standardize, device=device)
    torch.manual_seed(request.seed)
    model = prepared.model_class(prepared.config, feed.view.positions).to(device)
    plan = None
    if not isinstance(model, FittedModel):
        plan = Plan.of(prepared.recipe, feed.counts["train"], prepared.max_steps)

    title = f"{request.model}-{dataset.name}-s{request.seed}"
    run = results.RunFolder.create(results.home(request.home), title)
    run.save(**describe(request, prepared, folder, dataset, feed, model, plan))
    screen.start(run.path, run.manifest)
    follower = Follower(run.path, results.home(request.home)) if tracked else None
    try:
        with Report(run, screen, plan, follower, watch) as report:
            outcome = fit(request, prepared, feed, model, plan, report)
        outcome["metrics"] = report.at(outcome["best_step"])
        if request.tested:
            scored = score_test_rows(prepared, dataset, feed, model, run)
            outcome |= {**scored, "metrics": {**outcome["metrics"], **scored["metrics"]}}
        run.finish("finished", **outcome)
    except BaseException as error:
        run.finish("failed", error=str(error) or type(error).__name__)
        if isinstance(error, DivergedError):
            raise BenchError(f"{error} Recorded as failed in {run.path}.") from None
        raise
    finally:
        if follower is not None:
            screen.warn(follower.close())
    return run.manifest


def describe(
    request: Request,
    prepared: Prepared,
    folder: Path,
    dataset: Dataset,
    feed: Feed,
    model: Model,
    plan: Plan | None,
) -> dict[str, Any]:
    """Collect everything that is decided before training starts."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return {
        "model": {
            "name": request.model,
            "origin": MODELS.places()[request.model].origin,
            "config": settings.as_dict(prepared.config),
            "positions": model.positions,
            "parameters": count_parameters(model),
            "trained_parameters": sum(parameter.numel() for parameter in trained),
        },
        "task": {"name": _task_name(request, prepared), "version": prepared.task.card.version},
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "options": dataset.options,
            "test_folder": str((request.test_data or folder).absolute()),
            "usual_length": dataset.usual_length,
            "flanks": dataset.flanks,
            "rows": feed.counts,
            "notes": dataset.notes,
        },
        "recipe": {"name": request.recipe, **settings.as_dict(prepared.recipe)},
        "plan": None if plan is None else settings.as_dict(plan),
        "preset": request.preset,
        "max_seconds": request.max_seconds,
        "compiled": request.compiled,
        "seed": request.seed,
        "device": describe_device(feed.device),
        "environment": describe_environment(),
        "target": {"mean": feed.view.mean, "deviation": feed.view.deviation},
    }


def _task_name(request: Request, prepared: Prepared) -> str:
    """Name the task so that it is found from anywhere: a table by its whole path."""
    if prepared.task.home is None:
        return request.task
    return str(Path(request.task).absolute())


def fit(
    request: Request,
    prepared: Prepared,
    feed: Feed,
    model: Model,
    plan: Plan | None,
    report: Report,
) -> dict[str, Any]:
    """Train or fit the model in place; return the best step and what it cost."""
    training, validation = feed.training(), feed.validation()
    started = time.perf_counter()
    if plan is None:
        assert isinstance(model, FittedModel)
        model.fit(training.in_order(FITTED_ROWS))
        steps, best_step, seconds = 1, 1, time.perf_counter() - started
        speed = len(training) / seconds
        report.epoch(1, validate(model, validation))
    else:
        trained = train(
            model,
            training,
            validation,
            prepared.recipe,
            plan,
            seed=request.seed,
            progress=report,
            max_seconds=request.max_seconds,
            compiled=request.compiled,
        )
        steps, best_step = trained.steps, trained.best_step
        seconds, speed = trained.seconds, trained.sequences_per_second
    cost = {
        "updates": steps,
        "train_seconds": seconds,
        "total_seconds": time.perf_counter() - started,
        "sequences_per_second": speed,
        "peak_memory_bytes": peak_memory(feed.device),
    }
    return {"best_step": best_step, "cost": cost}


def score_test_rows(
    prepared: Prepared, dataset: Dataset, feed: Feed, model: Model, run: results.RunFolder
) -> dict[str, Any]:
    """Predict the test rows, once, with the chosen weights; keep predictions and weights."""
    predictions = feed.view.in_units(predict(model, feed.test()))
    if not np.isfinite(predictions).all():
        raise DivergedError("predictions of the test rows are not all finite.")
    np.save(run.path / results.PREDICTIONS, predictions)
    save_model(model, str(run.path / results.WEIGHTS))
    shutil.copymode(run.path / results.PREDICTIONS, run.path / results.WEIGHTS)  # it is private
    return score(prepared.task, dataset.test, predictions).outcome(dataset.test)
