"""Linear maps and convolutions of sequences whose channels lie last in memory, ``(B, T, C)``.

Such a sequence is an image of height one in the order that oneDNN convolves without a copy, and a
linear map is a convolution one letter wide. On a CPU that is the way taken: oneDNN uses the whole
vector unit, where the BLAS behind ``torch.mm`` (MKL, on AMD) uses half of it. Weights, parameter
names and, to rounding, numbers are those of the classes of ``torch.nn``.
"""

from __future__ import annotations

from torch import Tensor, channels_last, contiguous_format, nn
from torch.nn import functional


def as_image(x: Tensor) -> Tensor:
    """Return ``(B, C, T)`` as ``(B, C, 1, T)``, in the order its device convolves fastest."""
    order = channels_last if x.device.type == "cpu" else contiguous_format
    return x.unsqueeze(2).contiguous(memory_format=order)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Map ``(B, T, in)`` to ``(B, T, out)`` by a weight ``(out, in)``."""
    if x.device.type != "cpu":
        return functional.linear(x, weight, bias)
    image = functional.conv2d(as_image(x.transpose(1, 2)), weight[:, :, None, None], bias)
    return image.squeeze(2).transpose(1, 2)


class Linear(nn.Linear):
    """``nn.Linear`` for ``(B, T, C)`` only."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, in)`` to ``(B, T, out)``."""
        return linear(x, self.weight, self.bias)


class Depthwise(nn.Conv1d):
    """A filter of odd width for every channel, no bias; keeps the length."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, channels, width, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, C)`` to the same shape."""
        image, filters = as_image(x.transpose(1, 2)), self.weight.unsqueeze(2)
        padding = (0, filters.shape[-1] // 2)
        image = functional.conv2d(image, filters, padding=padding, groups=self.groups)
        return image.squeeze(2).transpose(1, 2)
