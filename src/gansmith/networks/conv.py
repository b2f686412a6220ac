"""Convolutions that halve or double the size, project a latent or end in scores, fast on CPUs, too.

Many channels on a small grid are where oneDNN's weight gradient falls behind: of 512 to 1024 channels at
4 px to about a tenth of what a matrix product reaches, of 128 to 256 to a quarter in bfloat16. There the
images are unfolded and multiplied instead. Few channels at full size are where its transposed convolution
does: a quarter of that product.
There a sub-pixel (pixel-shuffle) convolution makes all four pixels of a block at once. A 3x3 convolution
of what nearest neighbours doubled reads each pixel four times: a transposed 4x4 one with sums of its
weights is the same with 16 products in place of 36. And a kernel that covers the whole grid is a matrix.
``benchmarks/convolutions.py`` measures them all beside torch's.
"""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

_KERNEL, _STRIDE, _PADDING = 4, 2, 1
_MATMUL = {torch.bfloat16: (2**15, 64), torch.float32: (2**17, 4)}
"""From how many weights of a tap (channels in times out), and up to how many cells, a product is faster."""
_SUBPIXEL_MAX_CHANNELS = 4  # Channels of the larger images, up to which a sub-pixel convolution is faster.
_KERNEL_TAPS = [[3, 1, 4], [4, 2, 0]]
"""[even or odd pixel, cell before, at or after] -> index into a side of the kernel; 4 is zero padding."""


class DownConv(nn.Conv2d):
    """A 4x4 convolution of stride 2: [batch, channels, 2h, 2w] -> [batch, wanted, h, w].

    Its weights, names and results are those of ``nn.Conv2d``.

    Example:
        >>> DownConv(3, 64)(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 64, 16, 16])
    """

    def __init__(self, channels: int, wanted: int, bias: bool = True) -> None:
        super().__init__(channels, wanted, _KERNEL, _STRIDE, _PADDING, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        subpixel = self.in_channels <= _SUBPIXEL_MAX_CHANNELS and input.is_cpu and input.requires_grad
        if not (subpixel or _use_matmul(self, input, input.shape[2] // 2 * (input.shape[3] // 2))):
            return super().forward(input)
        return _apply(self, input, transposed=False)


class UpConv(nn.ConvTranspose2d):
    """A transposed 4x4 convolution of stride 2: [batch, channels, h, w] -> [batch, wanted, 2h, 2w].

    Its weights, names and results are those of ``nn.ConvTranspose2d``.

    Example:
        >>> UpConv(64, 3)(torch.zeros(1, 64, 16, 16)).shape
        torch.Size([1, 3, 32, 32])
    """

    def __init__(self, channels: int, wanted: int, bias: bool = True) -> None:
        super().__init__(channels, wanted, _KERNEL, _STRIDE, _PADDING, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        subpixel = self.out_channels <= _SUBPIXEL_MAX_CHANNELS and input.is_cpu
        if output_size is not None or not (
            subpixel or _use_matmul(self, input, input.shape[2] * input.shape[3])
        ):
            return super().forward(input, output_size)
        return _apply(self, input, transposed=True)


class DoubledConv(nn.Conv2d):
    """Nearest neighbours, then a 3x3 convolution: [batch, channels, h, w] -> [batch, wanted, 2h, 2w].

    Its weights, names and results are those of ``nn.Conv2d`` behind ``nn.Upsample(scale_factor=2)``.

    Example:
        >>> DoubledConv(64, 32)(torch.zeros(1, 64, 16, 16)).shape
        torch.Size([1, 32, 32, 32])
    """

    composed: ClassVar[bool] = True  # False: as it is written, to compare with.

    def __init__(self, channels: int, wanted: int, bias: bool = True) -> None:
        super().__init__(channels, wanted, 3, 1, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        # On a processor in float32; in bfloat16, and on small grids, it was no faster.
        narrow = torch.is_autocast_enabled("cpu") or input.dtype in (torch.bfloat16, torch.float16)
        quick = input.is_cpu and not narrow
        if not (self.composed and quick and input.shape[2] * input.shape[3] >= 256):
            return super().forward(F.interpolate(input, scale_factor=2, mode="nearest"))
        kernel = self.weight.flip(2, 3).transpose(0, 1)
        corners = ((0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 1, 0))  # Of each pixel's four copies.
        kernel = torch.stack([F.pad(kernel, corner) for corner in corners]).sum(dim=0)
        return F.conv_transpose2d(input, kernel, self.bias, _STRIDE, _PADDING)


class ProjectLatent(nn.ConvTranspose2d):
    """A transposed convolution from one cell to a grid: [batch, channels, 1, 1] -> [batch, wanted, *grid].

    Its weights, names and results are those of ``nn.ConvTranspose2d``.

    Example:
        >>> ProjectLatent(100, 512, grid=(4, 4))(torch.randn(8, 100, 1, 1)).shape
        torch.Size([8, 512, 4, 4])
    """

    def __init__(self, channels: int, wanted: int, grid: tuple[int, int], bias: bool = True) -> None:
        super().__init__(channels, wanted, grid, 1, 0, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        rows = self.weight.permute(2, 3, 1, 0).reshape(-1, self.in_channels)
        bias = None if self.bias is None else self.bias.repeat(len(rows) // self.out_channels)
        cells = F.linear(input.flatten(1), rows, bias)
        return cells.view(-1, *self.weight.shape[2:], self.out_channels).permute(0, 3, 1, 2)


class ScoreHead(nn.Conv2d):
    """A convolution whose kernel covers the grid: [batch, channels, *grid] -> [batch, wanted, 1, 1].

    Its weights, names and results are those of ``nn.Conv2d``.

    Example:
        >>> ScoreHead(512, 1, grid=(4, 4))(torch.randn(8, 512, 4, 4)).shape
        torch.Size([8, 1, 1, 1])
    """

    def __init__(self, channels: int, wanted: int, grid: tuple[int, int], bias: bool = True) -> None:
        super().__init__(channels, wanted, grid, 1, 0, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        rows, kernel = (tensor.permute(0, 2, 3, 1).flatten(1) for tensor in (input, self.weight))
        return F.linear(rows, kernel, self.bias)[:, :, None, None]


def _dtype(input: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype


def _use_matmul(layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor, cells: int) -> bool:
    if not (input.is_cpu and layer.weight.requires_grad and torch.is_grad_enabled()):
        return False
    weights, limit = _MATMUL.get(_dtype(input), (math.inf, 0))
    return layer.in_channels * layer.out_channels >= weights and cells <= limit


def _apply(layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor, transposed: bool) -> Tensor:
    dtype = _dtype(input)
    bias = None if layer.bias is None else layer.bias.to(dtype)
    if transposed and not torch.is_grad_enabled():
        return _transposed(input.to(dtype), layer.weight.to(dtype), bias)
    output: Tensor = _Convolution.apply(input.to(dtype), layer.weight.to(dtype), bias, transposed)  # type: ignore[no-untyped-call]
    return output


class _Convolution(torch.autograd.Function):
    """Either convolution; its backward pass is made of differentiable functions, so it can be taken twice."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.transposed = transposed
        if transposed:
            return _transposed(images, weight, bias)
        return F.conv2d(images, weight, bias, _STRIDE, _PADDING)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        of_images = of_weight = of_bias = None
        if wanted[0]:  # Each of the two convolutions is the other one's way back.
            if ctx.transposed:
                of_images = F.conv2d(gradient, weight, None, _STRIDE, _PADDING)
            else:
                of_images = _transposed(gradient, weight, None)
        if wanted[1]:
            large, small = (gradient, images) if ctx.transposed else (images, gradient)
            if weight.shape[1] <= _SUBPIXEL_MAX_CHANNELS:
                of_weight = conv2d_weight(large, weight.shape, small, _STRIDE, _PADDING)  # type: ignore[no-untyped-call]
            else:
                of_weight = _weight_gradient(large, small)
        if wanted[2]:
            of_bias = gradient.sum(dim=(0, 2, 3))
        return of_images, of_weight, of_bias, None


def _transposed(small: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The transposed convolution: [batch, b, h, w] and weights [b, a, 4, 4] -> [batch, a, 2h, 2w]."""
    channels, wanted = weight.shape[:2]
    if wanted > _SUBPIXEL_MAX_CHANNELS:
        return F.conv_transpose2d(small, weight, bias, _STRIDE, _PADDING)
    # Each pixel of a block of two by two sees three by three cells, with zeros where the kernel ends.
    taps = torch.tensor(_KERNEL_TAPS, device=weight.device)
    kernels = F.pad(weight, (0, 1, 0, 1))[:, :, taps][..., taps]  # [b, a, 2, 3, 2, 3]
    kernels = kernels.permute(1, 2, 4, 0, 3, 5).reshape(4 * wanted, channels, 3, 3)
    blocks = F.conv2d(small, kernels, None if bias is None else bias.repeat_interleave(4), 1, 1)
    return F.pixel_shuffle(blocks, 2)


def _weight_gradient(large: Tensor, small: Tensor) -> Tensor:
    """[batch, a, 2h, 2w] and [batch, b, h, w] -> [b, a, 4, 4]: every patch times what it led to, summed."""
    channels, wanted = large.shape[1], small.shape[1]
    border = F.pad(large.permute(0, 2, 3, 1), (0, 0, _PADDING, _PADDING, _PADDING, _PADDING))
    patches = border.unfold(1, _KERNEL, _STRIDE).unfold(2, _KERNEL, _STRIDE)  # [batch, h, w, a, 4, 4]
    rows = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, _KERNEL * _KERNEL * channels)
    product = small.permute(0, 2, 3, 1).reshape(-1, wanted).t() @ rows
    return product.view(wanted, _KERNEL, _KERNEL, channels).permute(0, 3, 1, 2)
