"""The set-up of a run: its data and its model, the same on every rank."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.config import as_dict
from bench.console import Console
from bench.data.dataset import Dataset
from bench.errors import BenchError, argument
from bench.model import FITTED_ROWS, FittedModel, Model, count_parameters
from bench.registry import MODELS, TASKS
from bench.results.environment import describe_environment
from bench.results.manifest import (
    CostRecord,
    DataRecord,
    DeviceRecord,
    Manifest,
    ModelRecord,
    PlanRecord,
    RecipeRecord,
    StudyRecord,
    TargetRecord,
    TaskRecord,
    TunedRecord,
)
from bench.results.options import Request
from bench.runner.imported import Imported
from bench.runner.request import ResolvedRequest, data_folder, named_recipe
from bench.sources import locate
from bench.training.checkpoints import Checkpoints, State
from bench.training.device import describe_device, enough_memory, peak_memory
from bench.training.distributed import Ranks
from bench.training.flops import training_flops
from bench.training.loader import Loader, further_inputs
from bench.training.loop import Progress, Trained, train, validate
from bench.training.micro_batches import MicroBatches
from bench.training.monitor import Controls
from bench.training.predict import predict
from bench.training.schedule import Plan
from bench.training.signals import NEVER, Stop
from bench.training.state_check import check_state
from bench.training.views import PredictionRule


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is ready to start.

    Attributes:
        folder: Folder of the data.
        plan: Schedule of the training; None for a model that is not trained in steps.
        rows_at_once: Rows of a micro-batch; None for a model that is not trained in steps.
        imported: Weights that were trained elsewhere; None for a model that is trained here.
        stop: Request to end the training early.
    """

    request: Request
    prepared: ResolvedRequest
    ranks: Ranks
    folder: Path
    dataset: Dataset
    loader: Loader
    model: Model
    plan: Plan | None
    rows_at_once: int | None
    imported: Imported | None
    stop: Stop

    @classmethod
    def load(
        cls,
        request: Request,
        prepared: ResolvedRequest,
        ranks: Ranks,
        device: torch.device,
        console: Console,
        stop: Stop = NEVER,
    ) -> Job:
        """Return a job after reading its data and making its model.

        Raises:
            BenchError: There is no such data, or it does not fit the model or the devices.
        """
        model_class, config = prepared.model_class, prepared.config
        imported = None
        if request.weights is not None:
            imported = Imported.read(request.weights, model_class, config)
        console.say(f"reading the {request.task} data")
        with enough_memory("while the data is read", "Free some memory.", device):
            with ranks.leader_first():
                folder = data_folder(request, type(prepared.task), console)
                whole = locate.load(prepared.task, request.task, folder, request.test_data, console)
            dataset = whole.thinned(request.fraction)
            loader = Loader(
                dataset,
                model_class.layout(config),
                standardize=prepared.recipe.standardize,
                device=device,
                input_columns=partial(further_inputs, model_class, config),
                rule=PredictionRule.of(as_dict(prepared.recipe)),
                scale=imported.weights.scale if imported else None,
            )
        torch.manual_seed(request.seed)
        with enough_memory("while the model is made", "Take a smaller model.", device):
            model = model_class(config, loader.transform.positions).to(device)
        model.scale = loader.transform.scale
        plan = rows = None
        if imported is not None:
            imported.put_into(model)
        elif not isinstance(model, FittedModel):
            plan = Plan.of(prepared.recipe, loader.counts["train"], prepared.max_steps)
            rows = MicroBatches.of(prepared.recipe.batch_size, ranks, request.batch_per_device).rows
        if plan is None and ranks.size > 1:
            raise BenchError(
                f"{request.model} is not trained in steps. Leave out {argument('devices')}."
            )
        return cls(
            request, prepared, ranks, folder, dataset, loader, model, plan, rows, imported, stop
        )

    def fit(
        self, progress: Progress, state: State | None, checkpoints: Checkpoints | None
    ) -> Trained:
        """Train or fit the model in place, from a state if there is one; all ranks call this."""
        training, validation = self.loader.training(), self.loader.validation()
        if self.plan is not None:
            controls = Controls(
                ranks=self.ranks,
                batch_per_device=self.request.batch_per_device,
                checkpoints=checkpoints,
                max_seconds=self.request.max_seconds,
                compiled=self.request.compiled,
                stop=self.stop,
            )
            return train(
                self.model,
                training,
                validation,
                self.prepared.recipe,
                self.plan,
                seed=self.request.seed,
                progress=progress,
                controls=controls,
                state=state,
            )
        assert isinstance(self.model, FittedModel)
        started = time.perf_counter()
        self.model.fit(training.in_order(FITTED_ROWS))
        fitted = time.perf_counter()
        progress.epoch(1, validate(self.model, validation))
        return Trained(
            steps=1,
            best_step=1,
            seconds=fitted - started,
            validation_seconds=time.perf_counter() - fitted,
            sequences_per_second=len(training) / (fitted - started),
            losses=None,
        )

    def check_state(self, state: object) -> None:
        """Raise a ValueError if the content of a checkpoint is not a state of this training."""
        if self.plan is None:
            raise ValueError("a model that is fitted at once has no checkpoints")
        check_state(state, self.model, self.prepared.recipe, self.plan)

    def validate(self) -> dict[str, float]:
        """Return the metrics of the model on the validation rows, computed by this rank alone."""
        return validate(self.model, self.loader.validation())

    def cost(self, trained: Trained) -> CostRecord:
        """Return the cost of a training over all devices."""
        seconds = trained.seconds + trained.validation_seconds
        return CostRecord(
            updates=trained.steps,
            train_seconds=trained.seconds,
            total_seconds=seconds,
            device_hours=seconds * self.ranks.size / 3600,
            sequences_per_second=trained.sequences_per_second,
            peak_memory_bytes=peak_memory(self.loader.device),
            training_flops_per_sequence=self.training_flops(),
        )

    @property
    def strands_at_once(self) -> int:
        """Number of rows of the network that stand for one row of a batch."""
        return 2 if self.prepared.recipe.strands == "paired" else 1

    def training_flops(self) -> int | None:
        """Return operations a sequence; see :func:`bench.training.flops.training_flops`."""
        model = self.model
        columns = self.loader.sample_columns()
        flops = training_flops(type(model), model.config, model.positions, columns)
        return None if flops is None else flops * self.strands_at_once

    def predict_test(self) -> NDArray[np.float64] | None:
        """Return predictions of the test rows in the task's unit; None if they are not tested.

        All ranks have to call this method.
        """
        if not self.request.tested:
            return None
        return self.loader.transform.in_units(predict(self.model, self.loader.test(), self.ranks))

    def describe(self) -> Manifest:
        """Return the part of the manifest that is decided before training starts."""
        request, prepared, scale = self.request, self.prepared, self.model.scale
        of_search: dict[str, Any] = {}  # without a search the fields are absent, not null
        if request.study is not None:
            of_search["study"] = StudyRecord.from_json(request.study)
        if request.tuned is not None:
            of_search["tuned"] = TunedRecord.from_json(request.tuned)
        recipe = {"name": request.recipe, **as_dict(prepared.recipe)}
        numbers = describe_device(self.loader.device, prepared.recipe.precision)
        device = {**numbers, "count": self.ranks.size}
        described = Manifest(
            model=self._model(),
            task=TaskRecord(name=self._task_name(), version=prepared.task.card.version),
            data=self._data(),
            recipe=RecipeRecord.from_json(recipe),
            plan=None if self.plan is None else PlanRecord.from_json(as_dict(self.plan)),
            preset=request.preset,
            track=self._track(),
            max_seconds=request.max_seconds,
            compiled=request.compiled,
            tested=request.tested,
            seed=request.seed,
            **of_search,
            device=DeviceRecord.from_json(device),
            rows_at_once=self.rows_at_once,
            environment=describe_environment(),
            target=TargetRecord(mean=scale.mean, deviation=scale.std),
        )
        return described if self.imported is None else self.imported.described(described)

    def _model(self) -> ModelRecord:
        model = self.model
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return ModelRecord(
            name=self.request.model,
            origin=MODELS.places()[self.request.model].origin,
            config=as_dict(self.prepared.config),
            positions=model.positions,
            parameters=count_parameters(model),
            trained_parameters=sum(parameter.numel() for parameter in trained),
        )

    def _data(self) -> DataRecord:
        dataset = self.dataset
        return DataRecord(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            options=dataset.options,
            test_folder=str((self.request.test_data or self.folder).absolute()),
            usual_length=dataset.usual_length,
            flanks=dataset.flanks,
            rows=self.loader.counts,
            notes=dataset.notes,
        )

    def _track(self) -> str:
        """Return the protocol of the run: the name of its recipe, or "open" if it was changed."""
        named, _ = named_recipe(
            self.request.recipe, self.request.task, type(self.model), self.prepared.config
        )
        return self.request.recipe if self.prepared.recipe == named else "open"

    def _task_name(self) -> str:
        """Return the task's name; for a table, its absolute path."""
        if not TASKS.is_file_name(self.request.task):
            return self.request.task
        return str(Path(self.request.task).absolute())
