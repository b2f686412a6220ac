"""The norms a network may have between its layers, by name."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansmith.core.tensors import full

Norm = Literal["batch", "layer", "none"]

ImageNorm = Literal["instance", "batch"]
"""Of networks that make images of images: over the places of each image alone, or over the whole batch."""

_FEW = 2**15  # Numbers: for fewer torch's own way through instance norm is the faster one.


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1 over its places, then a gain and a shift.

    It is what batch norm is to a batch of one, in training and in use, so no image depends on its batch.
    Taken in float32 whatever the arithmetic around it.

    Args:
        channels: of the features.
        affine: whether there are a gain and a shift for each channel.

    Example:
        >>> InstanceNorm(64)(torch.randn(2, 64, 8, 8)).shape
        torch.Size([2, 64, 8, 8])
    """

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.channels, self.eps = channels, 1e-5
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def extra_repr(self) -> str:
        return f"{self.channels}, affine={self.weight is not None}"

    def forward(self, features: Tensor) -> Tensor:
        # One group a channel. Unlike instance_norm it keeps channels_last.
        x = full(features)
        if _slow_way_back(x):
            normed: Tensor = _Normalized.apply(x, self.weight, self.bias, self.eps)[0]  # type: ignore[no-untyped-call]
        else:
            normed = functional.group_norm(x, self.channels, self.weight, self.bias, self.eps)
        return normed.to(features.dtype)


def _slow_way_back(x: Tensor) -> bool:
    """Whether torch would go back through these features channel by channel, across the order in memory."""
    if x.device.type != "cpu" or x.numel() < _FEW or torch.compiler.is_compiling():
        return False
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return last and torch.is_grad_enabled()


class _Normalized(torch.autograd.Function):
    """(x, w, b) -> w (x - m) r + b, m and r, of each image and channel the mean and 1 / sqrt(variance + eps).

    For features with their channels last in memory on a processor: torch's own way back is 2 to 5 times as
    slow there, and its way there for fewer than 1,024 places. With g the gradient of the output and
    y = (x - m) r the gradient of x is w r (g - mean(g) - y mean(g y)). As m and r are results, too, this
    gradient can itself be differentiated.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor | None, b: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        n, c, height, width = x.shape
        if height * width >= 1024:
            out, mean, r = torch.native_group_norm(x, w, b, n, c, height * width, c, eps)
        else:
            rows, out = _rows(x), torch.empty_like(x)
            mean = rows.mean(dim=1)
            r = (rows - mean[:, None]).square_().mean(dim=1).add_(eps).rsqrt_()
            gain = r if w is None else r * w
            shift = (0.0 if b is None else b) - mean * gain
            torch.addcmul(shift[:, None], rows, gain[:, None], out=_rows(out))
        ctx.save_for_backward(x, w, mean, r)
        ctx.set_materialize_grads(False)
        return out, mean, r

    @staticmethod
    def backward(
        ctx: Any, of_out: Tensor | None, of_mean: Tensor | None, of_r: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, w, mean, r = ctx.saved_tensors
        n, c, height, width = x.shape
        rows, mean, r, places = _rows(x), mean[:, None], r[:, None], height * width
        of_w = of_b = None
        if of_out is None:
            of_rows = torch.zeros_like(rows)
        else:
            g = _rows(of_out)
            gain = r if w is None else r * w
            mean_g = g.mean(dim=1, keepdim=True)
            mean_gy = ((g * rows).mean(dim=1, keepdim=True) - mean_g * mean) * r
            slope = gain * mean_gy * r
            of_rows = torch.addcmul(slope * mean - gain * mean_g, rows, slope, value=-1)
            of_rows = torch.addcmul(of_rows, g, gain)
            if w is not None:
                of_w, of_b = places * mean_gy.sum(dim=(0, 1)), places * mean_g.sum(dim=(0, 1))
        if of_mean is not None:
            of_rows = of_rows + of_mean[:, None] / places
        if of_r is not None:
            of_rows = of_rows - (rows - mean) * (of_r[:, None] * r**3 / places)
        return of_rows.view(n, height, width, c).permute(0, 3, 1, 2), of_w, of_b, None


def _rows(x: Tensor) -> Tensor:
    """[n, c, height, width] as [n, places, c], with channels last in memory nothing is copied."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def image_norm(norm: ImageNorm, channels: int) -> nn.Module:
    """The norm of this name for features [batch, channels, height, width], with a gain and a shift.

    Example:
        >>> image_norm("instance", 64)
        InstanceNorm(64, affine=True)
    """
    return InstanceNorm(channels) if norm == "instance" else nn.BatchNorm2d(channels)


def norm_layer(norm: Norm, channels: int, momentum: float = 0.1) -> nn.Module:
    """The norm of this name for features [batch, channels, height, width].

    Batch norm ties the images of a batch together; a layer norm is over channels, height and width of each
    image, with a gain and a shift for each channel.

    Args:
        norm: its name.
        channels: of the features.
        momentum: of batch norm, in torch's sense (share of the newest batch).

    Example:
        >>> norm_layer("layer", 64)
        GroupNorm(1, 64, eps=1e-05, affine=True)
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels, momentum=momentum)
    return nn.GroupNorm(1, channels) if norm == "layer" else nn.Identity()
