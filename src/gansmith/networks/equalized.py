"""Layers whose weights have one scale and are scaled as they are used, and two small ones (Karras 2017)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.tensors import full

_EPS = 1e-8


class EqualizedLinear(nn.Module):
    """[batch, numbers] -> [batch, wanted], with weights from N(0, 1) that are scaled at run time.

    Adam's steps are then equally long in every layer, measured by its gain (Karras 2017, section 4.1).

    Args:
        numbers: in.
        wanted: out.
        gain: of the layer; sqrt(2) where a leaky ReLU follows.
        bias_gain: what the stored bias is multiplied by.
        bias: the bias at the start; None: no bias.
        rate: of the layer, as a share of the optimizer's (StyleGAN's mapping: 0.01).

    Example:
        >>> EqualizedLinear(512, 64, gain=math.sqrt(2.0))(torch.randn(4, 512)).shape
        torch.Size([4, 64])
    """

    def __init__(
        self,
        numbers: int,
        wanted: int,
        *,
        gain: float = 1.0,
        bias_gain: float = 1.0,
        bias: float | None = 0.0,
        rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(wanted, numbers) / rate)
        self.bias = None if bias is None else nn.Parameter(torch.full((wanted,), bias / rate))
        self.scale, self.bias_scale = gain * rate / math.sqrt(numbers), bias_gain * rate

    def forward(self, inputs: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias * self.bias_scale
        return F.linear(inputs, self.weight * self.scale, bias)


class EqualizedConv2d(nn.Module):
    """A convolution in the same manner: [batch, channels, height, width] -> [batch, wanted, height, width].

    Args:
        channels: in.
        wanted: out.
        kernel: a side; odd.
        gain: as in ``EqualizedLinear``.
        bias_gain: as in ``EqualizedLinear``.
        bias: whether there is one, 0 at the start.

    Example:
        >>> EqualizedConv2d(3, 16, 3)(torch.randn(4, 3, 32, 32)).shape
        torch.Size([4, 16, 32, 32])
    """

    def __init__(
        self,
        channels: int,
        wanted: int,
        kernel: int,
        *,
        gain: float = 1.0,
        bias_gain: float = 1.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(wanted, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(wanted)) if bias else None
        self.scale, self.bias_scale = gain / math.sqrt(channels * kernel**2), bias_gain
        self.padding = kernel // 2

    def forward(self, features: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
        bias = None if self.bias is None else self.bias * self.bias_scale
        padding = self.padding if padding is None else padding
        return F.conv2d(features, self.weight * self.scale, bias, stride, padding)


def pixel_norm(features: Tensor) -> Tensor:
    """Each position, or vector, over the root of its mean square: [batch, channels, ...] (section 4.2)."""
    features = full(features)
    return features * (features.square().mean(dim=1, keepdim=True) + _EPS).rsqrt()


def with_deviation(features: Tensor, group: int = 4) -> Tensor:
    """The features, and one further channel: how much the images of a group differ (Karras 2017, section 3).

    The standard deviation over the group at every place of every channel, averaged to a single number. Of a
    batch of N, group j holds the images j, j + N / G, j + 2N / G, ... Where ``group`` does not divide the
    batch, the next smaller number that does is taken.

    Args:
        features: [batch, channels, height, width].
        group: G, images in a group.

    Returns: [batch, channels + 1, height, width].
    """
    batch, channels, height, width = features.shape
    size = next(n for n in range(min(group, batch), 0, -1) if batch % n == 0)
    groups = full(features).reshape(size, batch // size, channels, height, width)
    deviation = (groups.var(dim=0, correction=0) + _EPS).sqrt().mean(dim=(1, 2, 3))
    plane = deviation.repeat(size)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([features, plane.to(features.dtype)], dim=1)
