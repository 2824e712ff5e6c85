"""The options of a run: one table for everything that has to know them.

The fields of :class:`Request` are that table. The options of the command line, the arguments of
:func:`bench.run`, the ``request`` that a manifest keeps, the command that repeats a run and the
part of a run's identity that no other field holds all follow from what is declared there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOption:
    """One option of a run, as every place that knows it needs it.

    Attributes:
        name: Field of :class:`Request`.
        default: Value where nothing is asked for.
        flag: Option of the command line; None where there is none.
        meaning: Help text.
        low, high: Bounds of a number; the upper one is included, the lower one unless it is 0 of a
            share.
        metavar: Form of the value in the help text.
        shown: Whether the help text shows the default.
        decides: Whether the result depends on it: such an option is recorded with the run and
            repeated by its command, and a resumed run refuses to change it.
        identifies: Whether it is part of a run's identity by itself. The others that decide are
            part of it through what they lead to: the settings, the recipe, the plan, the rows.
        spell: Words of the command line for a value.
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
        """Spell ``--flag value``, or the flag alone where the value is true."""
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
    """A run as it is asked for.

    Attributes:
        model: Name of a registered model.
        task: Name of a registered task, or path of a table.
        recipe: Name of a recipe, standard or paper.
        preset: Name of one of the model's presets, or paper for its full size.
        overrides: Values of settings as text, by section (model, task, recipe) and field.
        data: Folder of the data.
        test_data: Folder of the test files.
        download: Whether missing published files are fetched first.
        simulate_rows: Rows of the simulated assay to train on, in place of real data.
        fraction: Share of the training rows that is used; which rows depends on no seed.
        seed: Seed of the weights, of the order of the rows and of all noise.
        epochs: Short form of the setting recipe.epochs.
        max_steps: Largest number of steps that is planned for.
        max_seconds: Time on steps after which the training stops.
        device: Device to train on: auto, cpu, cuda, cuda:1 …
        batch_per_device: Rows that go through the network at once. It cuts a batch into
            micro-batches and so changes which noise a row meets, but not what is estimated: it
            follows the memory of a device, and a run may go on with another value.
        compiled: Whether the loss is traced with torch.compile.
        checkpoint_minutes: Time between two saved states.
        runs_dir: Folder of all runs.
        resume: Run folder to go on with.
        force: Whether to train although the same run is finished or begun.
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
        """Return the options that decide the result, as the JSON values that a manifest keeps."""
        return {
            known.name: _absolute(getattr(self, known.name))
            for known in run_options()
            if known.decides
        }

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any], **here: Any) -> Request:
        """Return a recorded request with the options of this machine: devices, places.

        Args:
            recorded: Values that :meth:`as_json` returned; earlier versions knew fewer of them.
            here: Options that do not decide the result, and those of the places of the data.
        """
        folders = {
            name: Path(recorded[name])
            for name in ("data", "test_data")
            if recorded.get(name) is not None
        }
        return cls(**{**recorded, **folders, **here})


def run_options() -> Iterator[RunOption]:
    """Yield the options of a run in the order in which help texts list them."""
    for known in dataclasses.fields(Request):
        if "option" in known.metadata:
            yield RunOption(name=known.name, default=known.default, **known.metadata["option"])


def _absolute(value: Any) -> Any:
    return str(value.absolute()) if isinstance(value, Path) else value
