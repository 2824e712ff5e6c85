"""The progress of a run, reported to its folder, to the console and to the uploader."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from bench.console import Console
from bench.results.manifest import Manifest
from bench.results.run_folder import RunFolder
from bench.training.schedule import Plan

if TYPE_CHECKING:
    from rich.progress import Progress

    from bench.tracking.uploader import Uploader

Watch = Callable[[int, Mapping[str, float]], None]
"""A function that is called after every validation with the step and the metrics."""

_ROWS = {"train": "training", "validation": "validation", "test": "test"}
_PLAIN_SECONDS = 10.0  # between two lines where there is no terminal to redraw


def announce(console: Console, path: Path, manifest: Manifest) -> None:
    """Write the model, the data, the plan and the folder of a run to the console."""
    model, data, plan, recipe = manifest.model, manifest.data, manifest.plan, manifest.recipe
    if data.name.endswith("-simulated"):
        console.say("SIMULATED data: scores say nothing about the real assay.")
    used = ("test",) if manifest.weights else ("train", "validation", "test")
    counts = ", ".join(f"{data.rows[name]:,} {_ROWS[name]}" for name in used)
    console.say(f"{model.name}: {model.parameters:,} parameters on {data.name}: {counts} rows")
    if manifest.weights is not None:
        console.say(f"  weights of {manifest.weights.file}, as they are: nothing is trained here")
    for name, count in data.rows.items():
        if count and name.startswith(("dropped", "cropped")):
            verb, _, split = name.partition("_")
            console.say(f"  {count:,} {split} rows {verb}: longer than the model's input")
    for name, note in data.notes.items():
        if note and name.startswith(("repeated", "rows without")):
            console.say(f"  {name}: {note:,}")
        elif note and name.startswith("share of test"):
            console.say(f"  {name}: {note:.1%}")
    missing = data.notes.get("missing files", [])
    if missing:
        more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
        console.say(
            f"  missing: {', '.join(missing[:2])}{more}; metrics that need them are unavailable"
        )
    if plan is not None:
        console.say(
            f"  {recipe.name} recipe: {plan.steps:,} steps of "
            f"{recipe.settings['batch_size']} sequences on {manifest.device.kind}"
        )
        if plan.warmup_steps >= plan.steps:
            console.say(f"  warm-up ({plan.warmup_steps:,} steps) lasts the whole run")
    console.say(f"  {path}")


class ProgressReporter:
    """The reporter of a run's progress; as a context manager, it closes its progress bar.

    Args:
        run: Run folder, whose metrics.jsonl gets the metrics of every validation.
        console: Console for progress.
        plan: Plan for the progress bar and the time left; None for a model fitted at once.
        uploader: Uploader to wake after every validation; None for a run that is not tracked.
        watch: Function to call after every validation; it may raise to end the run.
    """

    def __init__(
        self,
        run: RunFolder,
        console: Console,
        plan: Plan | None,
        uploader: Uploader | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._run, self._console, self._plan, self._uploader = run, console, plan, uploader
        self._watch = watch
        self._history: dict[int, Mapping[str, float]] = {}
        self._started = self._spoken = time.perf_counter()
        self._bar: Progress | None = None

    def __enter__(self) -> ProgressReporter:
        if self._console.terminal and self._plan is not None:
            from rich.progress import BarColumn, TimeRemainingColumn

            self._bar = self._console.bar(
                BarColumn(),
                "{task.completed:,}/{task.total:,}",
                "{task.description}",
                TimeRemainingColumn(),
            )
            self._bar.add_task("starting", total=self._plan.steps)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def recall(self, history: Mapping[int, Mapping[str, float]]) -> None:
        """Take over the metrics that an earlier process reported of the same run."""
        self._history.update(history)
        if self._watch is not None:
            for step, metrics in history.items():
                self._watch(step, metrics)

    def step(self, step: int, loss: float, sequences_per_second: float) -> None:
        """See :class:`bench.training.loop.Progress`."""
        text = f"loss {loss:.4f}, {sequences_per_second:,.0f} sequences/s"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, description=text)
        elif time.perf_counter() - self._spoken > _PLAIN_SECONDS:
            assert self._plan is not None
            left = (time.perf_counter() - self._started) / step * (self._plan.steps - step)
            self._console.say(f"  {step:,}/{self._plan.steps:,}: {text}, {_clock(left)} left")
            self._spoken = time.perf_counter()

    def epoch(self, step: int, metrics: dict[str, float]) -> None:
        """See :class:`bench.training.loop.Progress`."""
        self._history[step] = metrics
        self._run.log(step, metrics)
        if self._uploader is not None:
            self._uploader.wake()
        loss = f"loss {metrics['train/loss']:.4f}, " if "train/loss" in metrics else ""
        text = f"  {step:,}: {loss}validation Pearson {metrics['validation/pearson']:.4f}"
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            self._console.say(text)
            self._spoken = time.perf_counter()
        if self._watch is not None:
            self._watch(step, metrics)

    def at(self, step: int) -> dict[str, float]:
        """Return the validation metrics of the epoch that ended at a step; none if they are lost.

        A damaged line of metrics.jsonl loses them for a run that continues.
        """
        found = self._history.get(step, {})
        return {name: value for name, value in found.items() if name.startswith("validation/")}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
