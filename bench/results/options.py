"""The options of a run, in one table.

The fields of :class:`Request` are that table. The following are derived from it: the options of the
command line, the arguments of :func:`bench.run`, the ``request`` in a manifest, the command that
repeats a run, and the part of a run's identity that no other field of the manifest holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOption:
    """One option of a run.

    Attributes:
        name: Field of :class:`Request`.
        default: Value where the user gives none.
        flag: Option of the command line; None where there is none.
        meaning: Help text.
        low, high: Bounds of a number, both included; only the lower bound 0 of a share is excluded.
        metavar: Form of the value in the help text.
        shown: Whether the help text shows the default.
        decides: Whether the result depends on the option. Such an option is recorded in the
            manifest, is part of the command that repeats the run, and cannot be changed when the
            run is resumed.
        identifies: Whether the option itself is part of a run's identity. The other options that
            decide the result enter the identity through the settings, recipe, plan and rows that
            they lead to.
        spell: Function that returns the words of the command line for a value.
    """

    name: str
    default: Any
    flag: str | None
    meaning: str
    low: float | None
    high: float | None
    metavar: str | None
    shown: bool
    decides: bool
    identifies: bool
    spell: Callable[[Any], list[str]]


def option(
    meaning: str,
    *,
    flag: str | None = None,
    low: float | None = None,
    high: float | None = None,
    metavar: str | None = None,
    shown: bool = False,
    decides: bool = False,
    identifies: bool = False,
    spell: Callable[[Any], list[str]] | None = None,
) -> dict[str, Any]:
    """Return the metadata of a field of :class:`Request`; see :class:`RunOption`."""

    def one_word(value: Any) -> list[str]:
        """Return ``--flag value``, or the flag alone where the value is true."""
        return [str(flag), *([] if value is True else [str(value)])]

    values = {
        "flag": flag,
        "meaning": meaning,
        "low": low,
        "high": high,
        "metavar": metavar,
        "shown": shown,
        "decides": decides,
        "identifies": identifies,
    }
    return {"option": {**values, "spell": spell or one_word}}


def _spell_settings(sections: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [
        word
        for section, values in sections.items()
        for name, value in values.items()
        for word in ("--set", f"{section}.{name}={value}")
    ]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of a run that a user or a search requests.

    Attributes:
        model: Name of a registered model.
        task: Name of a registered task, or path of a table.
        recipe: Name of a recipe, standard or paper.
        preset: Name of one of the model's presets, or paper for its full size.
        overrides: Values of settings as text, by section (model, task, recipe) and field.
        weights: File of trained weights, which are scored without training.
        data: Folder of the data.
        test_data: Folder of the test files.
        download: Whether missing published files are downloaded first.
        simulate_rows: Number of rows of the simulated assay that replaces the real data.
        fraction: Share of the training rows that is used; the rows are the same for every seed.
        seed: Seed of the weights, of the order of the rows and of all noise.
        epochs: Short form of the setting recipe.epochs.
        max_steps: Largest number of steps in the plan.
        max_seconds: Time on steps after which the training stops.
        device: Device to train on: auto, cpu, cuda, cuda:1 …
        batch_per_device: Rows of a micro-batch. The number of micro-batches changes the noise
            (dropout, masks) of a row, but not the expected result. The value depends on the memory
            of a device, so a run may be resumed with another value.
        compiled: Whether the loss is traced with torch.compile.
        checkpoint_minutes: Time between two checkpoints.
        runs_dir: Folder of all runs.
        resume: Folder of the run to resume.
        force: Whether to train even if the same run is finished or was interrupted.
        tested: Whether the test rows are scored with the chosen weights; a search does not.
        study: Name of the study and number of the trial that the run belongs to.
        tuned: Cost of the search for the settings: study, trials, device-hours.
    """

    model: str = field(metadata=option("Name from `bench models`.", flag="--model", decides=True))
    task: str = field(
        metadata=option(
            "Name from `bench tasks`, or path of a table of your own.", flag="--task", decides=True
        )
    )
    recipe: str = field(
        default="standard",
        metadata=option("Recipe: standard or paper.", flag="--recipe", shown=True, decides=True),
    )
    preset: str = field(
        default="paper",
        metadata=option(
            "Size and budget: smoke (a minute on two cores), quick, or paper.",
            flag="--preset",
            shown=True,
            decides=True,
        ),
    )
    overrides: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict,
        metadata=option(
            "Value of a field of model, recipe or task; may be repeated.",
            flag="--set",
            metavar="SECTION.FIELD=VALUE",
            decides=True,
            spell=_spell_settings,
        ),
    )
    weights: Path | None = field(
        default=None,
        metadata=option(
            "File of trained weights: score them as they are, without training.",
            flag="--weights",
            metavar="FILE",
            decides=True,
        ),
    )
    data: Path | None = field(
        default=None,
        metadata=option(
            "Folder of the data.  [BENCH_DATA/TASK, else the cache]", flag="--data", decides=True
        ),
    )
    test_data: Path | None = field(
        default=None,
        metadata=option("Folder of the test files, if another.", flag="--test-data", decides=True),
    )
    download: bool = field(
        default=False,
        metadata=option("Fetch missing data files first.", flag="--download"),
    )
    simulate_rows: int | None = field(
        default=None,
        metadata=option(
            "Number of simulated training rows.  [100000]",
            flag="--rows",
            low=1000,
            high=10**9,
            decides=True,
            spell=lambda rows: ["--rows", str(rows), "--simulate"],
        ),
    )
    fraction: float | None = field(
        default=None,
        metadata=option(
            "Share of the training rows to train on, the same rows for every seed.",
            flag="--fraction",
            low=0,
            high=1,
            decides=True,
        ),
    )
    seed: int = field(
        default=0,
        metadata=option(
            "Seed of weights, row order and noise.",
            flag="--seed",
            low=0,
            shown=True,
            decides=True,
            identifies=True,
        ),
    )
    compiled: bool = field(
        default=False,
        metadata=option(
            "Trace the model with torch.compile.",
            flag="--compile",
            decides=True,
            identifies=True,
        ),
    )
    epochs: int | None = field(
        default=None,
        metadata=option(
            "Short form of the setting recipe.epochs.", flag="--epochs", low=1, decides=True
        ),
    )
    max_steps: int | None = field(
        default=None,
        metadata=option(
            "Largest number of training steps.", flag="--max-steps", low=1, decides=True
        ),
    )
    max_seconds: float | None = field(
        default=None,
        metadata=option(
            "Time after which the training stops.",
            flag="--max-time",
            low=0,
            metavar="MINUTES",
            decides=True,
            identifies=True,
            spell=lambda seconds: ["--max-time", f"{seconds / 60:g}"],
        ),
    )
    tested: bool = field(default=True, metadata=option("", decides=True, identifies=True))
    device: str = field(
        default="auto",
        metadata=option("Device: auto, cpu, cuda, cuda:1 …", flag="--device", shown=True),
    )
    batch_per_device: int | None = field(
        default=None,
        metadata=option(
            "Sequences that go through the network at once, where memory is short.",
            flag="--batch-per-device",
            low=1,
        ),
    )
    checkpoint_minutes: float = field(
        default=10.0,
        metadata=option(
            "Minutes between two saved states; every validation saves one, too.",
            flag="--checkpoint-minutes",
            low=0,
            shown=True,
        ),
    )
    runs_dir: Path | None = field(
        default=None,
        metadata=option("Folder of all runs.  [BENCH_HOME, else ./runs]", flag="--home"),
    )
    resume: Path | None = field(
        default=None,
        metadata=option("Folder or name of a run to continue.", flag="--resume", metavar="RUN"),
    )
    force: bool = field(
        default=False,
        metadata=option("Train even if the same run is finished or begun.", flag="--force"),
    )
    study: Mapping[str, Any] | None = None
    tuned: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the options that decide the result as JSON values, as a manifest keeps them."""
        return {
            known.name: _absolute(getattr(self, known.name))
            for known in run_options()
            if known.decides
        }

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any], **here: Any) -> Request:
        """Return a recorded request with the options of this machine, such as device and folders.

        Args:
            recorded: Values that :meth:`as_json` returned; those of earlier versions may be fewer.
            here: Options that do not decide the result, and folders of the data.
        """
        folders = {
            name: Path(recorded[name])
            for name in ("weights", "data", "test_data")
            if recorded.get(name) is not None
        }
        return cls(**{**recorded, **folders, **here})


def run_options() -> Iterator[RunOption]:
    """Yield the options of a run in the order of the help text."""
    for known in dataclasses.fields(Request):
        if "option" in known.metadata:
            yield RunOption(name=known.name, default=known.default, **known.metadata["option"])


def _absolute(value: Any) -> Any:
    return str(value.absolute()) if isinstance(value, Path) else value
