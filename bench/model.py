"""Base class of models: inputs, outputs, loss, recipe and card.

A new architecture is one file with a settings class and a subclass of :class:`Model`. See
CONTRIBUTING.md for a complete example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, get_args, get_origin

from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from typing_extensions import TypeVar

from bench.cards import ModelCard
from bench.config import NoSettings
from bench.data.dataset import Split
from bench.data.layout import Layout
from bench.errors import BenchError, argument
from bench.recipe import Preset, Recipe
from bench.search_space import Spaces
from bench.weights.safetensors_file import read_safetensors

ConfigT = TypeVar("ConfigT", default=Any)


class Batch(NamedTuple):
    """A batch of rows on the device.

    Attributes:
        tokens: Bases as numbers, see :mod:`bench.data.sequences`, ``(B, positions)`` uint8.
        target: Standardized targets, ``(B,)`` float32; NaN for rows to predict.
        columns: Additional inputs of the model by name, ``(B, ...)`` each.
    """

    tokens: Tensor
    target: Tensor
    columns: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class TargetScale:
    """Mean and std of the training targets, used to standardize targets.

    Tensors keep their data type. Float32 has too few digits for values in the task's unit whose
    mean is large and whose std is small; ``tensor.double()`` has enough.
    """

    mean: float = 0.0
    std: float = 1.0

    def raw(self, standardized: Tensor) -> Tensor:
        """Convert standardized targets or predictions to the task's unit."""
        return standardized * self.std + self.mean

    def standardized(self, raw: Tensor) -> Tensor:
        """Convert values in the task's unit to standardized values."""
        return (raw - self.mean) / self.std

    def texts(self) -> dict[str, str]:
        """Return the scale as texts, which a file of weights keeps beside the tensors."""
        return {_SCALE: f"{self.mean!r} {self.std!r}"}  # one text: safetensors shuffles several

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> TargetScale | None:
        """Return the scale that a file of weights tells; None if it tells none.

        Raises:
            BenchError: A text is not a finite number, or the std is not positive.
        """
        if _SCALE not in texts:
            return None
        try:
            mean, std = map(float, texts[_SCALE].split())
        except ValueError:
            mean = std = math.nan
        scale = cls(mean, std)
        if not (math.isfinite(scale.mean) and 0 < scale.std < math.inf):
            raise BenchError(f"{argument('weights')}: the scale of the targets is not valid.")
        return scale


_SCALE = "target_scale"
"""Name of mean and std in a file of weights."""

REVERSE_STRAND = "reverse_strand"
"""Name of the column that says whether a row is shown as its reverse complement."""

UNSCALED = TargetScale()
"""Scale that leaves targets unchanged."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Trained weights from a file.

    Attributes:
        tensors: Tensors by their names in the model's state dict.
        scale: Scale of the model's output; None where the file does not tell it.
    """

    tensors: Mapping[str, Tensor]
    scale: TargetScale | None = None


class Model(nn.Module, Generic[ConfigT]):
    """A network that reads DNA and predicts one number per sequence.

    Args:
        config: Settings; their class is the type argument, ``class Tiny(Model[TinyConfig])``.
        positions: Number of tokens per sequence after layout, both strands included.

    Attributes:
        scale: Scale of the targets, set before training and when weights are loaded; not a part of
            the weights.
        criterion: Mean loss of predictions and targets, ``(B,)`` each; the recipe's, set before
            training.
    """

    card: ClassVar[ModelCard]
    Config: ClassVar[type[Any]] = NoSettings
    """Settings class: the type argument of the base class, if there is one."""
    presets: ClassVar[Mapping[str, Preset]] = {}
    """Smaller budgets by name: "smoke" takes a minute on two cores, "quick" about an hour."""
    space: ClassVar[Spaces] = {}
    """Search space of ``bench search``, by field of ``Config``."""
    paper_options: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Task options of the paper's recipe, by task."""
    columns: ClassVar[tuple[str, ...]] = ()
    """Names of the data set's columns that :meth:`forward` takes in addition to the tokens.

    The name ``reverse_strand`` stands for a column of booleans ``(B,)`` that training and
    prediction make: whether a row is shown as its reverse complement, that of the laid-out tokens.
    Other columns stay as they are, those with a value for every position too.
    """

    noise_modules: ClassVar[tuple[type[nn.Module], ...]] = ()
    """Classes of the model's own modules that act differently in training than in evaluation.

    Those of torch, such as dropout and batch norm, need not be named. `bench check` refuses every
    other difference.
    """
    idle_parameters: ClassVar[Mapping[str, str]] = {}
    """Weights that are not trained, by design, each with its reason; names may have ``*``."""

    config: ConfigT
    positions: int
    forward: Callable[..., Tensor]
    """``forward(tokens, **columns)`` returns the output for ``(B, positions)`` uint8 tokens.

    The output is a standardized prediction ``(B,)``, or another tensor with first axis B, such as
    logits ``(B, K)``, which :meth:`expectation` converts to predictions.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in vars(cls).get("__orig_bases__", ()):
            if isinstance(origin := get_origin(base), type) and issubclass(origin, Model):
                (config,) = get_args(base)
                if isinstance(config, type) and is_dataclass(config):  # no type variable, no Any
                    cls.Config = config
        if "loss" in vars(cls) and "losses" not in vars(cls) and cls.losses is not Model.losses:
            raise BenchError(
                f"{cls.__name__}.loss would not be used: the class above it trains by the terms of "
                "losses(batch). Override losses."
            )

    def __init__(self, config: ConfigT, positions: int) -> None:
        super().__init__()
        self.config, self.positions = config, positions
        self.scale = UNSCALED
        self.criterion: Callable[[Tensor, Tensor], Tensor] = mse_loss

    @classmethod
    def layout(cls, config: ConfigT) -> Layout:
        """Return the layout of input sequences for this configuration."""
        return Layout()

    @classmethod
    def paper_recipe(cls, config: ConfigT) -> Recipe:
        """Return the authors' recipe; by default the standard recipe."""
        return Recipe()

    @classmethod
    def check_recipe(cls, config: ConfigT, recipe: Recipe) -> None:
        """Raise a BenchError if a recipe contradicts the settings; by default, none does."""

    @classmethod
    def import_weights(cls, config: ConfigT, path: Path) -> Weights:
        """Return trained weights from a file, for ``bench run --weights FILE``.

        By default the file is bench's own safetensors file. A model whose authors published weights
        overrides this method for their format; :mod:`bench.weights` reads some formats.

        Args:
            config: Settings of the model.
            path: Path that the user gave.

        Raises:
            BenchError: The file cannot be read, or lacks tensors of such a model.
        """
        found = read_safetensors(path)
        return Weights(found.tensors, TargetScale.of_texts(found.texts))

    @classmethod
    def input_columns(cls, config: ConfigT, rows: Split) -> Mapping[str, NDArray[Any]]:
        """Return the additional inputs by name: numbers or booleans, ``(N, ...)`` each.

        By default these are the data set's columns that the attribute ``columns`` names. A model
        may derive inputs from sequences, columns and, for training rows, targets. The column
        ``reverse_strand`` is none of them.

        Args:
            config: Settings of the model.
            rows: N sequences with their columns. The targets of training rows are in the task's
                unit; the targets of validation and test rows, and of all rows to predict, are NaN.
                Sequences that ``bench predict`` reads have no columns.

        Raises:
            BenchError: The rows do not have a column that the class names.
        """
        names = [name for name in cls.columns if name != REVERSE_STRAND]
        missing = [name for name in names if name not in rows.columns]
        if missing:
            raise BenchError(
                f"{cls.__name__} reads the column '{missing[0]}' of every row; "
                f"these rows have: {', '.join(rows.columns) or 'no columns'}."
            )
        return {name: rows.columns[name] for name in names}

    def expectation(self, output: Tensor) -> Tensor:
        """Return standardized predictions ``(B,)`` from an output of :meth:`forward`."""
        if output.ndim != 1:
            raise BenchError(
                f"{type(self).__name__}.forward returns {tuple(output.shape)}, one row a sequence: "
                "define expectation(output), which returns one number per sequence."
            )
        return output

    def loss(self, batch: Batch) -> Tensor:
        """Return the training loss of a batch: the recipe's, unless overridden."""
        output = self(batch.tokens, **batch.columns)
        return self.criterion(self.expectation(output), batch.target)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms of the training loss by name, whose sum is trained.

        A model whose loss has several terms overrides this method; each is logged as
        ``train/loss_<name>``. By default there is one term, :meth:`loss`.
        """
        return {"loss": self.loss(batch)}

    def l2_parameters(self) -> Iterable[nn.Parameter]:
        """Return the weights that a recipe's ``l2`` penalizes: matrices and kernels by default."""
        return [parameter for parameter in self.parameters() if parameter.ndim > 1]


FITTED_ROWS = 1 << 13
"""Number of rows per batch for models without a training loop."""


class FittedModel(Model[ConfigT]):
    """A model that is fitted in one pass over the training rows, without a training loop."""

    def fit(self, batches: Iterable[Batch]) -> None:
        """Set the model's buffers from one pass over all training rows.

        Args:
            batches: Batches of ``FITTED_ROWS`` rows; the last batch may be smaller.
        """
        raise NotImplementedError


def count_parameters(model: Model) -> int:
    """Return the number of weights, frozen ones included; of a fitted model, that of its buffers.

    This is how the field counts. Keras also counts the moving averages of batch norm.
    """
    fitted = isinstance(model, FittedModel)
    return sum(tensor.numel() for tensor in (model.buffers() if fitted else model.parameters()))
