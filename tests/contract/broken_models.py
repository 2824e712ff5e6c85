"""Models that are broken on purpose: one good model, and a few lines on top of it for each fault.

``FAULTS`` names the checks that have to fail for each.
"""

import random
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.cards import ModelCard, Source
from bench.config import setting, settings
from bench.data.dataset import Split
from bench.model import Batch, FittedModel, Model


@settings
class GoodConfig:
    filters: int = setting(16, "filters of the convolution", low=1)


class Good(Model[GoodConfig]):
    """A convolution, a mean, and all that is allowed."""

    card = ModelCard(
        summary="one convolution, one mean",
        source=Source(citation="none", url="https://example.org", license="MIT"),
    )

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.letters = nn.Embedding(6, 8)
        self.scan = nn.Conv1d(8, config.filters, 9, padding=4)
        self.norm = nn.BatchNorm1d(config.filters)
        self.noise = nn.Dropout(0.1)
        self.head = nn.Linear(config.filters, 1)

    def pooled(self, tokens: Tensor) -> Tensor:
        x = self.letters(tokens.long()).transpose(1, 2)
        return self.noise(self.norm(self.scan(x)).relu().mean(dim=2))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(self.pooled(tokens))

    def read(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.float()).squeeze(1)


class UnusedParameter(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.dead = nn.Parameter(torch.ones(3))


class ZeroGradient(UnusedParameter):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) + 0 * self.dead.sum()


class Frozen(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.scan.requires_grad_(False)


class Detached(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(self.pooled(tokens).detach())


class LeakAcrossTheBatch(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        x = self.pooled(tokens)
        return self.read(x + 0.05 * x.mean(dim=0))


class BatchOrder(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        place = torch.arange(len(tokens), device=tokens.device)
        return super().forward(tokens) + 0.01 * place


class BatchNormAlways(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        x = self.pooled(tokens)
        if len(x) > 1:
            x = functional.batch_norm(x, None, None, training=True)
        return self.read(x)


class WrongShape(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens)[:, None]


class NoExpectation(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.head = nn.Linear(config.filters, 18)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.pooled(tokens))


class SingleRow(Good):
    def read(self, x: Tensor) -> Tensor:
        return super().read(x).squeeze()


class NanAtLongInput(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        scale = 1.0 if tokens.shape[1] < 300 else float("nan")
        return super().forward(tokens) * scale


class OneLength(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.place = nn.Parameter(torch.randn(100))

    def pooled(self, tokens: Tensor) -> Tensor:
        x = self.letters(tokens.long()) * self.place[:, None]
        return self.noise(self.norm(self.scan(x.transpose(1, 2))).relu().mean(dim=2))


class NanForN(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        known = (tokens != 4).float().mean(dim=1)
        return super().forward(tokens) + 0 / known


class ZeroDivisionInGradient(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        weight = self.letters.weight[0].sum() * (tokens == 4).float().mean(dim=1)
        return (
            super().pooled(tokens)
            + (1 - weight * 0 - (tokens == 4).float().mean(1)).sqrt()[:, None]
            * self.letters.weight[1, 0].abs()
        )


class NoiseInEvaluation(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        return functional.dropout(super().pooled(tokens), 0.2)


class TrainingOnly(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        x = super().forward(tokens)
        return x * 2 if self.training else x


class EvalHasNoEffect(Good):
    def train(self, mode: bool = True) -> "EvalHasNoEffect":
        return super().train(True)


class NoDropoutInTraining(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        self.noise.eval()
        return super().pooled(tokens)


class NumpyNoise(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) + 0.1 * float(np.random.default_rng().normal())


class PythonNoise(Good):
    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) * (1 + random.random())


class NumpyWeights(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        drawn = np.random.default_rng().normal(size=self.head.weight.shape)
        self.head.weight.data.copy_(torch.from_numpy(drawn))


class CountsCalls(Good):
    calls = 0

    def forward(self, tokens: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(tokens) + 0.001 * self.calls


class Remembers(Good):
    seen: Tensor

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, tokens: Tensor) -> Tensor:
        x = super().forward(tokens)
        self.seen = 0.9 * self.seen + 0.1 * x.detach().mean()
        return x - self.seen


class NotCompilable(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        x = super().forward(tokens)
        return x if float(x.mean()) > -1e6 else -x


class ListOfModules(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.further = [nn.Linear(config.filters, config.filters)]

    def pooled(self, tokens: Tensor) -> Tensor:
        return self.further[0](super().pooled(tokens))


class LooseTensor(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.extra = {"weight": torch.randn(config.filters, requires_grad=True)}

    def pooled(self, tokens: Tensor) -> Tensor:
        return super().pooled(tokens) * self.extra["weight"]


class CountsSteps(Good):
    steps = 0

    def loss(self, batch: Batch) -> Tensor:
        self.steps += 1
        return super().loss(batch) / self.steps


class UnsavedBuffer(Good):
    mean: Tensor

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.register_buffer("mean", torch.zeros(()), persistent=False)

    def loss(self, batch: Batch) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * batch.target.mean()
        return super().loss(batch) * (1 + self.mean.square())


class DeviceInForward(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        return super().pooled(tokens) * torch.ones(self.config.filters, device="cpu")


class DeviceOfACuda(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        return super().pooled(tokens.to("cuda"))


class PlainConstant(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.factor = torch.full((config.filters,), 2.0)

    def pooled(self, tokens: Tensor) -> Tensor:
        return super().pooled(tokens) * self.factor


class InPlace(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        tokens[tokens == 4] = 0
        return super().forward(tokens)


class InPlaceTarget(Good):
    def loss(self, batch: Batch) -> Tensor:
        batch.target.clamp_(-1, 1)
        return super().loss(batch)


class QuantizedHead(Good):
    def read(self, x: Tensor) -> Tensor:
        return self.head(x).float().squeeze(1)


class LargeSums(Good):
    def read(self, x: Tensor) -> Tensor:
        return super().read((x.to(torch.bfloat16 if self._low() else x.dtype) + 300 - 300).float())

    def _low(self) -> bool:
        return torch.is_autocast_enabled("cpu")


class IgnoresTheTarget(Good):
    def loss(self, batch: Batch) -> Tensor:
        return self(batch.tokens).square().mean()


class SummedLoss(Good):
    def loss(self, batch: Batch) -> Tensor:
        return (self(batch.tokens) - batch.target).square().sum()


class LossOfRows(Good):
    def loss(self, batch: Batch) -> Tensor:
        return (self(batch.tokens) - batch.target).square()


class Bag:
    """Not a value that JSON has."""


@settings
class OddConfig(GoodConfig):
    kind: Any = setting(Bag, "a class")


class OddSettings(Good):
    Config: ClassVar[type[Any]] = OddConfig


class Doubles(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        return super().pooled(tokens).double().exp().log().float()


class ReturnsDoubles(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).double()


class Prints(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        print(tokens.shape)  # noqa: T201
        return super().forward(tokens)


class IgnoresTheRow(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(torch.zeros_like(tokens))


class NeverLearns(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        return torch.tanh(1e4 * super().pooled(tokens)) * 1e-6


class FittedOutsideTheState(FittedModel[GoodConfig]):
    """A model fitted at once whose result is in no buffer."""

    card = Good.card

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.register_buffer("nothing", torch.zeros(1))
        self.weight = torch.zeros(5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.counts(tokens) @ self.weight

    def counts(self, tokens: Tensor) -> Tensor:
        return torch.stack([(tokens == n).float().mean(dim=1) for n in range(5)], dim=1)

    def fit(self, batches: Any) -> None:
        whole = next(iter(batches))
        solved = torch.linalg.lstsq(self.counts(whole.tokens), whole.target[:, None])
        self.weight = solved.solution[:, 0]


class InputsFromTargets(Good):
    @classmethod
    def input_columns(cls, config: GoodConfig, rows: Split) -> dict[str, NDArray[Any]]:
        return {"dose": rows.target}  # NaN outside of training

    def forward(self, tokens: Tensor, dose: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(tokens) + dose


class Own(nn.Module):
    """Noise of a model's own."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + 0.1 * torch.randn_like(x)) if self.training else x


class Declared(ZeroGradient):
    noise_modules: ClassVar[tuple[type[nn.Module], ...]] = (Own,)
    idle_parameters: ClassVar[Mapping[str, str]] = {"de*": "as in the original"}

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.own = Own()

    def pooled(self, tokens: Tensor) -> Tensor:
        return self.own(super().pooled(tokens))


FAULTS: dict[type[Model], set[str]] = {
    Good: set(),
    UnusedParameter: {"gradient reaches every parameter"},
    ZeroGradient: {"gradient reaches every parameter"},
    Frozen: {"gradient reaches every parameter"},
    Detached: {"gradient reaches every parameter"},
    LeakAcrossTheBatch: {"batch independence"},
    BatchOrder: {"batch independence"},
    BatchNormAlways: {"batch independence"},
    WrongShape: {"shape"},
    NoExpectation: {"shape"},
    SingleRow: {"odd batch sizes"},
    NanAtLongInput: {"odd lengths"},
    OneLength: {"odd lengths"},
    NanForN: {"rows of N only"},
    ZeroDivisionInGradient: {"rows of N only"},
    NoiseInEvaluation: {"declared noise only"},
    TrainingOnly: {"declared noise only"},
    EvalHasNoEffect: {"declared noise only"},
    NoDropoutInTraining: {"declared noise only"},
    NumpyNoise: {"deterministic under a seed"},
    PythonNoise: {"deterministic under a seed"},
    NumpyWeights: {"deterministic under a seed"},
    CountsCalls: {"no state between calls", "training state saved"},
    Remembers: {"no state between calls"},
    NotCompilable: {"traces for compile"},
    ListOfModules: {"nothing outside the state dict"},
    LooseTensor: {"nothing outside the state dict"},
    CountsSteps: {"training state saved"},
    UnsavedBuffer: {"training state saved"},
    DeviceInForward: {"device"},
    DeviceOfACuda: {"device"},
    PlainConstant: {"device"},
    InPlace: {"input unchanged"},
    InPlaceTarget: {"input unchanged"},
    QuantizedHead: {"bfloat16"},
    LargeSums: {"bfloat16"},
    IgnoresTheTarget: {"loss reads the target"},
    SummedLoss: {"two ranks"},
    LossOfRows: {"loss reads the target"},
    OddSettings: {"settings round trip"},
    Doubles: {"float32 inside"},
    ReturnsDoubles: {"shape"},
    Prints: {"prints nothing"},
    IgnoresTheRow: {"finite output"},
    NeverLearns: {"gradient reaches every parameter"},
    FittedOutsideTheState: {"device", "safetensors round trip"},
    InputsFromTargets: {"finite output"},
}
