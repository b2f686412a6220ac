"""Convolutions that halve or double the size, with a faster weight gradient where a processor's own is slow.

Many channels on a small grid are where oneDNN's weight gradient falls behind: of 512 to 1024 channels at
4 px to about a tenth of what a matrix product reaches. There the pictures are unfolded and multiplied
instead; ``benchmarks/weight_gradient.py`` measures both.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_KERNEL, _STRIDE, _PADDING = 4, 2, 1
_WIDE = 2**17  # Input times output channels from which weights weigh more than pictures.
_CELLS = {
    torch.bfloat16: 16,
    torch.float32: 4,
}  # Cells of the smaller grid, up to which the product is faster.


class Halve(nn.Conv2d):
    """A 4x4 convolution of stride 2: [batch, channels, 2h, 2w] -> [batch, wanted, h, w].

    Its weights, names and results are those of ``nn.Conv2d``.
    """

    def __init__(self, channels: int, wanted: int, bias: bool = True) -> None:
        super().__init__(channels, wanted, _KERNEL, _STRIDE, _PADDING, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        if not _pays(self, input, input.shape[2] // 2 * (input.shape[3] // 2)):
            return super().forward(input)
        return _apply(self, input, doubles=False)


class Double(nn.ConvTranspose2d):
    """A transposed 4x4 convolution of stride 2: [batch, channels, h, w] -> [batch, wanted, 2h, 2w].

    Its weights, names and results are those of ``nn.ConvTranspose2d``.
    """

    def __init__(self, channels: int, wanted: int, bias: bool = True) -> None:
        super().__init__(channels, wanted, _KERNEL, _STRIDE, _PADDING, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None or not _pays(self, input, input.shape[2] * input.shape[3]):
            return super().forward(input, output_size)
        return _apply(self, input, doubles=True)


def _dtype(input: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype


def _pays(layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor, cells: int) -> bool:
    return (
        input.is_cpu
        and layer.weight.requires_grad
        and torch.is_grad_enabled()
        and layer.in_channels * layer.out_channels >= _WIDE
        and cells <= _CELLS.get(_dtype(input), 0)
    )


def _apply(layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor, doubles: bool) -> Tensor:
    dtype = _dtype(input)
    bias = None if layer.bias is None else layer.bias.to(dtype)
    made: Tensor = _Convolution.apply(input.to(dtype), layer.weight.to(dtype), bias, doubles)  # type: ignore[no-untyped-call]
    return made


class _Convolution(torch.autograd.Function):
    """Either convolution; its backward pass is made of differentiable functions, so it can be taken twice."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, doubles: bool) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.doubles = doubles
        convolve = F.conv_transpose2d if doubles else F.conv2d
        made: Tensor = convolve(images, weight, bias, _STRIDE, _PADDING)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        of_images = of_weight = of_bias = None
        if wanted[0]:  # Each of the two convolutions is the other one's way back.
            back = F.conv2d if ctx.doubles else F.conv_transpose2d
            of_images = back(gradient, weight, None, _STRIDE, _PADDING)
        if wanted[1]:
            large, small = (gradient, images) if ctx.doubles else (images, gradient)
            of_weight = _weight_gradient(large, small)
        if wanted[2]:
            of_bias = gradient.sum(dim=(0, 2, 3))
        return of_images, of_weight, of_bias, None


def _weight_gradient(large: Tensor, small: Tensor) -> Tensor:
    """[batch, a, 2h, 2w] and [batch, b, h, w] -> [b, a, 4, 4]: every patch times what it led to, summed."""
    channels, wanted = large.shape[1], small.shape[1]
    border = F.pad(large.permute(0, 2, 3, 1), (0, 0, _PADDING, _PADDING, _PADDING, _PADDING))
    patches = border.unfold(1, _KERNEL, _STRIDE).unfold(2, _KERNEL, _STRIDE)  # [batch, h, w, a, 4, 4]
    rows = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, _KERNEL * _KERNEL * channels)
    product = small.permute(0, 2, 3, 1).reshape(-1, wanted).t() @ rows
    return product.view(wanted, _KERNEL, _KERNEL, channels).permute(0, 3, 1, 2)
