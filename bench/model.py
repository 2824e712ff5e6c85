"""The contract of a model: what it takes, what it returns, how it is trained, and its card.

A new architecture is one file: a class of settings and a class like this one. See CONTRIBUTING.md
for a complete example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, ClassVar, Generic, NamedTuple, get_args, get_origin

from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from typing_extensions import TypeVar

from bench.cards import ModelCard
from bench.config import NoSettings
from bench.data.dataset import Split
from bench.data.layout import Layout
from bench.errors import BenchError
from bench.recipe import Preset, Recipe
from bench.search_space import Spaces

ConfigT = TypeVar("ConfigT", default=Any)


class Batch(NamedTuple):
    """Some rows on the device.

    Attributes:
        tokens: Letters as numbers, see :mod:`bench.data.sequences`, ``(B, positions)`` uint8.
        target: Standardized targets, ``(B,)`` float32; NaN where they are to be predicted.
        columns: The further inputs that the model asked for, ``(B, ...)`` each, by name.
    """

    tokens: Tensor
    target: Tensor
    columns: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class TargetScale:
    """The mean and the standard deviation that training targets were standardized by."""

    mean: float = 0.0
    std: float = 1.0

    def raw(self, standardized: Tensor) -> Tensor:
        """Return standardized targets or predictions in the task's unit."""
        return standardized * self.std + self.mean

    def standardized(self, raw: Tensor) -> Tensor:
        """Return values in the task's unit as standardized ones."""
        return (raw - self.mean) / self.std


UNSCALED = TargetScale()
"""The scale of targets that stay as they are."""


class Model(nn.Module, Generic[ConfigT]):
    """A network that reads DNA and predicts one number a sequence.

    Args:
        config: Settings; their class is the type argument, ``class Tiny(Model[TinyConfig])``.
        positions: Tokens a sequence has once laid out, both strands counted.

    Attributes:
        scale: The scale of the targets, set before training and when weights are loaded; it is no
            part of the weights.
    """

    card: ClassVar[ModelCard]
    Config: ClassVar[type[Any]] = NoSettings
    """The class of settings: the type argument, where there is one."""
    presets: ClassVar[Mapping[str, Preset]] = {}
    """Smaller budgets by name: "smoke" is a minute on two cores, "quick" a lunch break."""
    space: ClassVar[Spaces] = {}
    """What ``bench search`` varies, by field of ``Config``."""
    paper_options: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Task options that belong to the paper's recipe, by task."""
    columns: ClassVar[tuple[str, ...]] = ()
    """Names of the data set's columns that :meth:`forward` takes beside the tokens."""

    config: ConfigT
    positions: int
    forward: Callable[..., Tensor]
    """``forward(tokens, **columns)``: returns the output for ``(B, positions)`` uint8 tokens.

    The output is a standardized prediction ``(B,)``, or anything else with the first axis B, such
    as logits ``(B, K)``, that :meth:`expectation` turns into one.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in vars(cls).get("__orig_bases__", ()):
            if isinstance(origin := get_origin(base), type) and issubclass(origin, Model):
                (config,) = get_args(base)
                if isinstance(config, type) and is_dataclass(config):  # no type variable, no Any
                    cls.Config = config

    def __init__(self, config: ConfigT, positions: int) -> None:
        super().__init__()
        self.config, self.positions = config, positions
        self.scale = UNSCALED

    @classmethod
    def layout(cls, config: ConfigT) -> Layout:
        """Return how sequences are trimmed, padded and doubled for this configuration."""
        return Layout()

    @classmethod
    def paper_recipe(cls, config: ConfigT) -> Recipe:
        """Return how the authors trained it; the standard recipe if they said nothing."""
        return Recipe()

    @classmethod
    def input_columns(cls, config: ConfigT, rows: Split) -> Mapping[str, NDArray[Any]]:
        """Return the inputs beside the tokens: numbers or truth values, ``(N, ...)`` each, by name.

        By default these are the columns of the data set that the class names. A model may as well
        derive its inputs, from sequences, from columns and, in training, from targets.

        Args:
            config: The model's settings.
            rows: N sequences with their columns. Targets, in the task's unit, are those of training
                rows; they are NaN wherever they are to be predicted, in validation and test, too.
                Sequences that ``bench predict`` reads have no columns.

        Raises:
            BenchError: The rows have no column of that name.
        """
        missing = [name for name in cls.columns if name not in rows.columns]
        if missing:
            raise BenchError(
                f"{cls.__name__} reads the column '{missing[0]}' of every row; "
                f"these rows have: {', '.join(rows.columns) or 'no columns'}."
            )
        return {name: rows.columns[name] for name in cls.columns}

    def expectation(self, output: Tensor) -> Tensor:
        """Return standardized predictions ``(B,)`` for what :meth:`forward` returned."""
        if output.ndim != 1:
            raise BenchError(
                f"{type(self).__name__}.forward returns {tuple(output.shape)}, one row a sequence: "
                "define expectation(output), which makes one number of each."
            )
        return output

    def loss(self, batch: Batch) -> Tensor:
        """Return the training loss of a batch: the mean squared error, unless overridden."""
        output = self(batch.tokens, **batch.columns)
        return mse_loss(self.expectation(output), batch.target)

    def l2_parameters(self) -> Iterable[nn.Parameter]:
        """List the weights that a recipe's ``l2`` acts on: matrices and kernels by default."""
        return [parameter for parameter in self.parameters() if parameter.ndim > 1]


FITTED_ROWS = 1 << 13
"""Rows a batch when a model is fitted in one go."""


class FittedModel(Model[ConfigT]):
    """A model that is fitted in one go, with no training loop; all else is the same."""

    def fit(self, batches: Iterable[Batch]) -> None:
        """Set the model's buffers from all training rows, which come once, batch by batch.

        Args:
            batches: Batches of ``FITTED_ROWS`` rows, and the rest.
        """
        raise NotImplementedError


def count_parameters(model: Model) -> int:
    """Count weights and statistics as Keras does: moving averages are parameters too."""
    buffers = list(model.named_buffers())
    if not isinstance(model, FittedModel):  # whose buffers are all fitted
        buffers = [(n, b) for n, b in buffers if n.rpartition(".")[2] in _STATISTICS]
    return sum(tensor.numel() for tensor in [*model.parameters(), *(b for _, b in buffers)])


_STATISTICS = ("running_mean", "running_var")
