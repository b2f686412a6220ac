"""The norms a network may have between its layers, by name."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansmith.core.tensors import full

Norm = Literal["batch", "layer", "none"]

ImageNorm = Literal["instance", "batch"]
"""Of networks that make images of images: over the places of each image alone, or over the whole batch."""


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
        # One group a channel. Unlike instance_norm it keeps channels_last, and in float32 it is as fast.
        normed = functional.group_norm(full(features), self.channels, self.weight, self.bias, self.eps)
        return normed.to(features.dtype)


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
