"""Linear maps and convolutions of sequences whose channels are last in memory, ``(B, T, C)``.

Such a sequence is an image of height one, in the memory order that oneDNN convolves without a copy,
and a linear map is a convolution of width one. On a CPU these layers use oneDNN's convolution,
because it uses the whole vector unit, and the BLAS behind ``torch.mm`` (MKL, on AMD) uses half of
it. Weights, parameter names and, up to rounding, results are those of the classes of ``torch.nn``.
"""

from __future__ import annotations

from torch import Tensor, channels_last, contiguous_format, nn
from torch.nn import functional


def as_image(x: Tensor) -> Tensor:
    """Return ``(B, C, T)`` as ``(B, C, 1, T)``, in the fastest memory order on its device."""
    order = channels_last if x.device.type == "cpu" else contiguous_format
    return x.unsqueeze(2).contiguous(memory_format=order)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return a linear map, ``(B, T, in)`` -> ``(B, T, out)``, by a weight ``(out, in)``."""
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
    """A depthwise convolution without bias that keeps the length.

    An even width has one zero more on the right.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, channels, width, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, C)`` to the same shape."""
        image, filters = as_image(x.transpose(1, 2)), self.weight.unsqueeze(2)
        width = filters.shape[-1]
        if width % 2 == 0:
            image = functional.pad(image, (0, 1))
        padding = (0, (width - 1) // 2)
        image = functional.conv2d(image, filters, padding=padding, groups=self.groups)
        return image.squeeze(2).transpose(1, 2)
