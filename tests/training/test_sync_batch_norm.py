"""Batch norm over two ranks, against torch's batch norm over the whole batch."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.training.distributed import ALONE, Ranks
from bench.training.sync_batch_norm import share_batch_statistics
from tests.forked import on_ranks

ROWS, CHANNELS = 6, 3
OPTIONS = [
    {},
    {"momentum": None},
    {"momentum": 0.0},
    {"momentum": 0.01, "eps": 0.1},
    {"affine": False},
    {"track_running_stats": False},
]


def rows(number: int, shape: tuple[int, ...], kind: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return (3 + torch.randn(ROWS, *shape, generator=generator, dtype=torch.float64)).to(kind)


def normed(ranks: Ranks, options: dict[str, Any], shape: tuple[int, ...], kind: torch.dtype) -> Any:
    """Train on two batches and predict a third; return all results of this rank."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm1d(CHANNELS, **options)).to(kind)
    for weight in module.parameters():
        nn.init.normal_(weight)
    if ranks.size > 1:
        share_batch_statistics(module)
    seen: list[Tensor] = []
    for number in (0, 1):
        x = rows(number, shape, kind).chunk(ranks.size)[ranks.rank].requires_grad_()
        module.zero_grad()
        out = module(x)
        (out * rows(number + 10, shape, kind).chunk(ranks.size)[ranks.rank]).sum().backward()
        assert x.grad is not None
        seen += [out.detach(), x.grad]
    shared = [ranks.sum(w.grad) for w in module.parameters() if w.grad is not None]
    shared += [buffer.double() for buffer in module.buffers()]
    predicted = module.eval()(rows(2, shape, kind)).detach()
    return [t.numpy() for t in seen], [t.numpy() for t in (*shared, predicted)]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_two_ranks_are_one_whole_batch(options: dict[str, Any]) -> None:
    for shape in ((CHANNELS,), (CHANNELS, 4)):
        (first, shared), (second, same) = on_ranks(2, normed, options, shape, torch.float64)
        whole, wanted = normed(ALONE, options, shape, torch.float64)
        for ours, theirs, both in zip(first, second, whole, strict=True):
            joined = torch.cat([torch.from_numpy(ours), torch.from_numpy(theirs)])
            torch.testing.assert_close(joined, torch.from_numpy(both), rtol=1e-9, atol=1e-9)
        for ours, theirs, both in zip(shared, same, wanted, strict=True):
            torch.testing.assert_close(ours, both, rtol=1e-9, atol=1e-9)
            assert (ours == theirs).all()


def half(ranks: Ranks) -> Tensor:
    """Normalize many rows in bfloat16, whose sums would stop growing at a few hundred."""
    module = nn.Sequential(nn.BatchNorm1d(CHANNELS))
    if ranks.size > 1:
        share_batch_statistics(module)
    x = rows(0, (CHANNELS, 2000), torch.bfloat16).chunk(ranks.size)[ranks.rank]
    return module(x).detach()


def test_half_precision_is_summed_in_single() -> None:
    ours, whole = torch.cat(on_ranks(2, half)), half(ALONE)
    assert ours.dtype == whole.dtype == torch.bfloat16
    torch.testing.assert_close(ours, whole, rtol=2**-7, atol=1e-3)


class Own(nn.BatchNorm1d):
    """A batch norm of a user."""


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(2), Own(2)], ids=["2d", "own"])
def test_other_batch_norms_are_refused(norm: nn.Module) -> None:
    """They would silently normalize the rows of one rank only."""
    with pytest.raises(BenchError, match=r"inner\.1 .* Leave out devices"):
        share_batch_statistics(nn.ModuleDict({"inner": nn.Sequential(nn.Identity(), norm)}))
