"""Batch norm over the rows of all ranks, on any device; torch's SyncBatchNorm needs GPUs."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from bench.errors import BenchError, argument


class GlobalBatchNorm1d(nn.BatchNorm1d):
    """A batch norm that uses mean and variance of the whole batch, over all ranks.

    Every rank has to hold the same number of rows. Running statistics are the same on all ranks.
    """

    @classmethod
    def of(cls, local: nn.BatchNorm1d) -> GlobalBatchNorm1d:
        """Return a global batch norm with the parameters and statistics of a local one."""
        tracked = local.track_running_stats
        shared = cls(local.num_features, local.eps, local.momentum, local.affine, tracked)
        shared.weight, shared.bias = local.weight, local.bias
        shared.running_mean, shared.running_var = local.running_mean, local.running_var
        shared.num_batches_tracked = local.num_batches_tracked
        shared.train(local.training)
        return shared

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized values, ``(B, C)`` or ``(B, C, L)`` -> the same shape."""
        if not self.training:
            return super().forward(x)
        others = [dim for dim in range(x.dim()) if dim != 1]
        count = x.numel() // x.shape[1] * dist.get_world_size()
        # In float32 at least, as in torch's own kernels.
        with torch.autocast(x.device.type, enabled=False):
            values = x.to(torch.promote_types(x.dtype, torch.float32))
            mean = _over_ranks(values.sum(dim=others)) / count
            centred = values - _spread(mean, x)
            variance = _over_ranks(centred.square().sum(dim=others)) / count
            self._update(mean.detach(), variance.detach(), count)
            scale = torch.rsqrt(variance + self.eps)
            if not self.affine:
                return (centred * _spread(scale, x)).to(x.dtype)
            scaled = centred * _spread(scale * self.weight, x)
            return (scaled + _spread(self.bias, x)).to(x.dtype)

    def _update(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        rate = self.momentum
        if rate is None:  # the mean over all batches
            rate = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(variance * (count / (count - 1)), rate)


def _spread(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.dim() - 2))


class _OverRanks(torch.autograd.Function):
    """The sum over ranks. Every rank's loss depends on it, so its gradient is summed as well."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return _OverRanks.forward(ctx, gradient)


def _over_ranks(values: Tensor) -> Tensor:
    summed: Tensor = _OverRanks.apply(values)  # type: ignore[no-untyped-call]
    return summed


def share_batch_statistics(module: nn.Module, place: str = "") -> None:
    """Replace the batch norms inside a module by those over the whole batch.

    Raises:
        BenchError: The class of a batch norm is not ``nn.BatchNorm1d``.
    """
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm1d:
            setattr(module, name, GlobalBatchNorm1d.of(child))
        elif isinstance(child, nn.modules.batchnorm._BatchNorm):
            raise BenchError(
                f"{place}{name} is a {type(child).__name__}, which normalizes the rows of one "
                f"device only. Leave out {argument('devices')}, or use nn.BatchNorm1d."
            )
        else:
            share_batch_statistics(child, f"{place}{name}.")
