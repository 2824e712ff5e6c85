"""Models whose fault is spelled in a way that is hard to see, and good models that look odd.

``CAUSES`` names the check that has to fail for each, and words of its text that tell the cause.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.data.dataset import Split
from bench.model import Batch, Model
from tests.contract.broken_models import Good, GoodConfig


class WeightOfAClosure(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        extra = nn.Linear(config.filters, config.filters)
        self.further: Callable[[Tensor], Tensor] = lambda x: extra(x)

    def pooled(self, tokens: Tensor) -> Tensor:
        return self.further(super().pooled(tokens))


class Box:
    """No module, with a module inside."""

    def __init__(self) -> None:
        self.inner = {"deep": [nn.Linear(16, 16)]}


class WeightOfAnObject(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.box = Box()

    def pooled(self, tokens: Tensor) -> Tensor:
        return self.box.inner["deep"][0](super().pooled(tokens))


SHARED = nn.Linear(16, 16)


class WeightOfTheFile(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        return SHARED(super().pooled(tokens))


class MadeInForward(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.extra: nn.Linear | None = None

    def pooled(self, tokens: Tensor) -> Tensor:
        x = super().pooled(tokens)
        if self.extra is None:
            self.extra = nn.Linear(16, 16)
        return self.extra(x)


class Lazy(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.lazy = nn.LazyLinear(16)

    def pooled(self, tokens: Tensor) -> Tensor:
        return self.lazy(super().pooled(tokens))


class PartialStateDict(Good):
    def state_dict(self, *args: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        whole = super().state_dict(*args, **options)
        return {name: value for name, value in whole.items() if "scan" not in name}


class NoSuperInit(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        nn.Module.__init__(self)
        self.letters, self.head = nn.Embedding(6, 8), nn.Linear(8, 1)


class ConstantInAProduct(Good):
    """The meta device lets a matrix product with a tensor of the CPU pass."""

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.mix = torch.eye(config.filters)

    def pooled(self, tokens: Tensor) -> Tensor:
        return super().pooled(tokens) @ self.mix


class PredictsOnTheCpu(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).cpu()


class DefaultDtype(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        torch.set_default_dtype(torch.float64)
        super().__init__(config, positions)


class NoGradients(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        torch.set_grad_enabled(False)


class FixedSeed(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        torch.manual_seed(42)
        super().__init__(config, positions)


class FixedSeedInForward(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        torch.manual_seed(42)
        return super().forward(tokens)


class OwnGenerator(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.drawn = torch.Generator().manual_seed(5)

    def loss(self, batch: Batch) -> Tensor:
        noise = torch.rand((), generator=self.drawn).to(batch.target.device)
        return super().loss(batch) * (1 + 0.1 * noise)


class PythonGenerator(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.drawn = random.Random(5)

    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) * (1 + 0.1 * self.drawn.random())


class CountsForAll(Good):
    steps: ClassVar[int] = 0

    def loss(self, batch: Batch) -> Tensor:
        type(self).steps += 1
        return super().loss(batch) / (1 + 0.01 * self.steps)


class HashOfText(Good):
    """Every process has other hashes."""

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        with torch.no_grad():
            self.head.weight += hash("text") % 97 / 97


class ExtremeTargets(Good):
    """Only targets far from the mean change."""

    def loss(self, batch: Batch) -> Tensor:
        batch.target.clamp_(-2.5, 2.5)
        return super().loss(batch)


class TakesAColumn(Good):
    columns: ClassVar[tuple[str, ...]] = ("dose",)

    def forward(self, tokens: Tensor, dose: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(tokens) + dose

    def loss(self, batch: Batch) -> Tensor:
        dose = batch.columns.pop("dose")  # type: ignore[attr-defined]
        return self.criterion(self(batch.tokens, dose), batch.target)


class TellsTheTarget(Good):
    """NaN are 0, so nothing but the training on the answer gives it away."""

    @classmethod
    def input_columns(cls, config: GoodConfig, rows: Split) -> Mapping[str, NDArray[Any]]:
        return {"dose": np.nan_to_num(rows.target).astype(np.float32)}

    def forward(self, tokens: Tensor, dose: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(tokens) + 0.1 * dose


class AlwaysRounded(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).bfloat16().float()


class FewClasses(Good):
    """The likeliest of 18 classes is the prediction."""

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.head = nn.Linear(config.filters, 18)

    def read(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.float())

    def expectation(self, output: Tensor) -> Tensor:
        return output.argmax(dim=1).float() / 4.3 - 2.05

    def loss(self, batch: Batch) -> Tensor:
        classes = (batch.target * 4.3 + 8.8).round().clamp(0, 17).long()
        return functional.cross_entropy(self(batch.tokens), classes)


class Half(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        return super().pooled(tokens).half().float()


class RawTargets(Good):
    def loss(self, batch: Batch) -> Tensor:
        return self.criterion(self(batch.tokens), self.scale.raw(batch.target))


class WrongSign(Good):
    def loss(self, batch: Batch) -> Tensor:
        return -super().loss(batch).clamp(max=100)


class NeverNegative(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).sigmoid()


class BlindForBases(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        return super().pooled(torch.where(tokens < 4, 0, tokens))


class TrainsItsNorm(Good):
    def pooled(self, tokens: Tensor) -> Tensor:
        self.norm.train()
        return super().pooled(tokens)


class ChangesInEval(Good):
    def train(self, mode: bool = True) -> "ChangesInEval":
        if not mode:
            self.head.weight.data.mul_(0.9)
        return super().train(mode)


class RowByRow(Good):
    """Torch follows it in one piece only if a whole graph is asked for, which training does not."""

    def pooled(self, tokens: Tensor) -> Tensor:
        rows = [row[: max(9, int((row < 4).sum()))] for row in tokens]
        means = [self.scan(self.letters(row.long()).T[None]).mean(dim=2) for row in rows]
        return super().pooled(tokens) + torch.cat(means)


class Pair(Good):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens), tokens  # type: ignore[return-value]


CAUSES: dict[type[Model], tuple[str, str]] = {
    WeightOfAClosure: ("nothing outside the state dict", "further (extra) holds a Linear"),
    WeightOfAnObject: ("nothing outside the state dict", "box.inner['deep'][0] holds a Linear"),
    WeightOfTheFile: ("nothing outside the state dict", "(16, 16), (16,)"),
    MadeInForward: ("nothing outside the state dict", "forward makes extra.weight"),
    Lazy: ("builds", "lazy.weight"),
    PartialStateDict: ("nothing outside the state dict", "leaves out scan.weight"),
    NoSuperInit: ("builds", "super().__init__"),
    ConstantInAProduct: ("device", "two devices"),
    PredictsOnTheCpu: ("device", "predictions are on cpu"),
    DefaultDtype: ("builds", "torch.set_default_dtype"),
    NoGradients: ("builds", "torch.set_grad_enabled"),
    FixedSeed: ("deterministic under a seed", "calls torch.manual_seed"),
    FixedSeedInForward: ("deterministic under a seed", "calls torch.manual_seed"),
    OwnGenerator: ("training state saved", "changes drawn"),
    PythonGenerator: ("training state saved", "changes drawn"),
    CountsForAll: ("deterministic under a seed", "CountsForAll.steps"),
    HashOfText: ("two ranks", "hash()"),
    ExtremeTargets: ("input unchanged", "target"),
    TakesAColumn: ("input unchanged", "takes dose out"),
    TellsTheTarget: ("columns know no target", "'dose' gives the target away"),
    AlwaysRounded: ("bfloat16", "in float32, too"),
    FewClasses: ("bfloat16", "not the likeliest"),
    Half: ("float32 inside", "float16"),
    RawTargets: ("loss reads the target", "raw targets"),
    WrongSign: ("loss reads the target", "wrong sign"),
    NeverNegative: ("overfits one batch", "sigmoid"),
    BlindForBases: ("overfits one batch", "other bases do not change the predictions"),
    TrainsItsNorm: ("declared noise only", "puts norm into training mode"),
    ChangesInEval: ("no state between calls", "head.weight"),
    RowByRow: ("traces for compile", "item()"),
    Pair: ("shape", "returns a tuple"),
}


class Tied(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.first, self.second = (nn.Linear(config.filters, config.filters) for _ in range(2))
        self.second.weight = self.first.weight

    def pooled(self, tokens: Tensor) -> Tensor:
        return self.second(self.first(super().pooled(tokens)).tanh())


class SpectralNorm(Good):
    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        layer = nn.Linear(config.filters, config.filters)
        self.mid = nn.utils.parametrizations.spectral_norm(layer)

    def pooled(self, tokens: Tensor) -> Tensor:
        return self.mid(super().pooled(tokens))


class ClosureOverItself(Good):
    """An attribute that refers to registered modules, and a constant of the file."""

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.last = lambda x: self.head(x)
        self.pair = {"scan": self.scan, "loss": nn.MSELoss()}

    def loss(self, batch: Batch) -> Tensor:
        return self.pair["loss"](self(batch.tokens), batch.target)


class PackedRows(Good):
    """The lengths of packed rows are on the CPU by design."""

    def __init__(self, config: GoodConfig, positions: int) -> None:
        super().__init__(config, positions)
        self.rnn = nn.LSTM(config.filters, 8, batch_first=True, bidirectional=True)

    def pooled(self, tokens: Tensor) -> Tensor:
        lengths = (tokens != 4).sum(dim=1).clamp(min=1).cpu()
        x = self.norm(self.scan(self.letters(tokens.long()).transpose(1, 2))).relu()
        packed = nn.utils.rnn.pack_padded_sequence(
            x.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False
        )
        whole, _ = nn.utils.rnn.pad_packed_sequence(
            self.rnn(packed)[0], batch_first=True, total_length=tokens.shape[1]
        )
        return self.noise(whole.mean(dim=1))


SOUND: dict[type[Model], set[str]] = {
    Tied: set(),
    SpectralNorm: set(),
    ClosureOverItself: set(),
    PackedRows: {"traces for compile"},  # torch cannot trace it
}
"""Good models, and what torch itself cannot do with them."""
